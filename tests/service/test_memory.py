"""A process of many threads gives back what it frees."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import ROOT

RESIDENT = """
def resident_mb():
    for line in open("/proc/self/status"):
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) // 1024
"""

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
print(resident_mb())
barrier.wait()
"""

HOLES = """
from service.memory import give_back, keep_little
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


@pytest.fixture(autouse=True)
def _linux() -> None:
    if sys.platform != "linux":
        pytest.skip("memory is told by Linux")


def printed(program: str, *arguments: str) -> int:
    call = [sys.executable, "-c", RESIDENT + program, *arguments]
    return int(subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=True).stdout)


def test_threads_keep_little_of_what_they_freed() -> None:
    kept_mb = printed(CHILD, "little")

    assert kept_mb < 30
    assert printed(CHILD, "as it is") > kept_mb


def test_what_is_free_below_something_in_use_is_given_back() -> None:
    assert printed(HOLES) > 30


def test_what_a_thread_freed_is_given_back_as_well() -> None:
    assert printed(OF_A_THREAD) < 4  # a second arena would keep its top: all 7
