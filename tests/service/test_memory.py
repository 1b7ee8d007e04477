"""A process of many threads gives back what it frees."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import ROOT

CHILD = """
import sys, threading
from service.memory import keep_little
if sys.argv[1] == "little":
    keep_little()
barrier = threading.Barrier(12)
def work():
    barrier.wait()
    for _ in range(4):
        bytearray(6 << 20)
    barrier.wait()
    barrier.wait()
threads = [threading.Thread(target=work) for _ in range(11)]
for thread in threads:
    thread.start()
barrier.wait()
barrier.wait()
for line in open("/proc/self/status"):
    if line.startswith("RssAnon:"):
        print(int(line.split()[1]) // 1024)
barrier.wait()
"""

HOLES = """
from service.memory import give_back, keep_little
def resident_mb():
    for line in open("/proc/self/status"):
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) // 1024
keep_little()
blocks = [bytearray(64 << 10) for _ in range(1_000)]
last = bytearray(64 << 10)
del blocks
before = resident_mb()
give_back()
print(before - resident_mb())
"""

OF_A_THREAD = """
import threading
from service.memory import give_back, keep_little
def resident_mb():
    for line in open("/proc/self/status"):
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) // 1024
keep_little()
def work():
    blocks = [bytearray(1 << 20) for _ in range(7)]
    del blocks
    freed.set()
    told.wait()
freed, told = threading.Event(), threading.Event()
empty = resident_mb()
thread = threading.Thread(target=work)
thread.start()
freed.wait()
give_back()
print(resident_mb() - empty)
told.set()
"""


def kept_mb(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", CHILD, how], cwd=ROOT, capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_threads_keep_little_of_what_they_freed() -> None:
    if sys.platform != "linux":
        pytest.skip("memory is told by Linux")

    assert kept_mb("little") < 30
    assert kept_mb("as it is") > kept_mb("little")


def test_what_is_free_below_something_in_use_is_given_back() -> None:
    if sys.platform != "linux":
        pytest.skip("memory is told by Linux")

    done = subprocess.run([sys.executable, "-c", HOLES], cwd=ROOT, capture_output=True, text=True, check=True)

    assert int(done.stdout) > 30


def test_what_a_thread_freed_is_given_back_as_well() -> None:
    if sys.platform != "linux":
        pytest.skip("memory is told by Linux")

    done = subprocess.run([sys.executable, "-c", OF_A_THREAD], cwd=ROOT, capture_output=True, text=True, check=True)

    assert int(done.stdout) < 4  # a second arena would keep its top: all 7
