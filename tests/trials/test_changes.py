"""What the kernel tells of changes: of native code too, wherever they are, and of nothing that only reads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.trials.changes import changed_paths, outside, tracer_of_changes
from tests.trials.trial import Missing

NATIVE = """
import ctypes, os, sys
sys.stdin.readline()
libc, places = ctypes.CDLL(None), [each.encode() for each in sys.argv[1:]]
for place in places:
    os.close(libc.open(place + b"/native", os.O_WRONLY | os.O_CREAT, 0o600))
libc.open(b"/etc/hostname", os.O_RDONLY)
libc.rename(places[1] + b"/native", places[1] + b"/renamed")
libc.symlink(b"/etc/passwd", b"relative")
libc.open(b"/nowhere/at/all", os.O_WRONLY | os.O_CREAT, 0o600)
"""


@pytest.mark.slow
def test_the_kernel_tells_what_native_code_changes_outside(tmp_path: Path) -> None:
    inside, beside, link = tmp_path / "data", tmp_path / "data-beside", tmp_path / "data" / "link"
    inside.mkdir()
    beside.mkdir()
    link.symlink_to(beside)
    places = [inside, beside, link]
    native = subprocess.Popen([sys.executable, "-c", NATIVE, *places], cwd=beside, stdin=subprocess.PIPE)
    try:
        tracer = tracer_of_changes(tmp_path / "trace", [native.pid])
    except Missing as what:
        native.kill()
        missing(str(what))
    native.communicate(b"\n", timeout=20)
    tracer.wait()

    changed = [path for path in changed_paths(tmp_path / "trace", beside) if "__pycache__" not in path]

    own = [os.fspath(beside / name) for name in ("native", "native", "native", "renamed", "relative")]
    assert changed == [os.fspath(inside / "native"), *own]
    assert outside(changed, [inside, os.devnull]) == own
