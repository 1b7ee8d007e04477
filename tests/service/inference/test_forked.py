"""Children forked from one clean program: what they know, and who dies with whom."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.inference.forked import Forked, ForkFailed, ForkServer
from tests.conftest import ROOT
from tests.driver import role
from tests.service.worker_site import until

CHILD = "tests.service.inference.telling_child"


@pytest.fixture
def server() -> Iterator[ForkServer]:
    server = ForkServer()
    yield server
    server.close()


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in ("Z", "X")
    except OSError:
        return True


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def heard(child: Forked) -> dict[str, list[str]]:
    told: dict[str, list[str]] = json.loads(os.read(child.stdout, 65_536))
    return told


def test_children_know_no_secret_and_hold_nothing_of_the_worker_s(
    server: ForkServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PANDOK_DATABASE_URL", "postgresql://pandok:secret@db/pandok")
    with (tmp_path / "tables.db").open("wb") as tables:
        os.set_inheritable(tables.fileno(), True)

        child = server.fork(CHILD, "--word", "two words")
        told = heard(child)

    assert told["arguments"] == ["--word", "two words"]
    assert not [name for name in told["environment"] if name.startswith("PANDOK")]
    assert b"secret" not in Path(f"/proc/{child.pid}/environ").read_bytes()
    assert not [target for target in told["descriptors"] if "socket" in target or "tables" in target]
    assert told["threads"] == 1


def test_children_share_one_program_and_end_with_it(server: ForkServer) -> None:
    first, second = server.fork(CHILD), server.fork(CHILD)
    heard(first)
    heard(second)
    [program] = {parent_of(first.pid), parent_of(second.pid)}

    os.kill(program, signal.SIGKILL)

    until(lambda: not first.is_running() and not second.is_running())
    third = server.fork(CHILD)
    assert heard(third)
    assert parent_of(third.pid) != program


def test_each_process_bears_a_name_that_tells_what_it_is(server: ForkServer) -> None:
    decoder = server.fork("service.inference.decode_child", "--recipes", "preprocessing.recipes")
    assert b"ready" in os.read(decoder.stdout, 1024)

    assert role(decoder.pid) == "decode_child"
    assert role(parent_of(decoder.pid)) == "fork_server"


def test_a_killed_child_is_gone_and_the_others_are_not(server: ForkServer) -> None:
    one, other = server.fork(CHILD), server.fork(CHILD)

    one.close()
    one.close()

    assert not one.is_running()
    until(lambda: is_gone(one.pid))
    assert other.is_running()
    assert heard(other)


def test_nothing_outlives_the_process_that_wanted_it() -> None:
    code = (
        "import os, signal; from service.inference.forked import ForkServer; server = ForkServer();"
        f"child = server.fork({CHILD!r}); os.read(child.stdout, 9999); print(child.pid, flush=True);"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    until(lambda: is_gone(int(done.stdout)))


def test_a_module_that_is_not_there_ends_its_child_only(server: ForkServer) -> None:
    lost = server.fork("no.such.module")

    assert os.read(lost.stdout, 1) == b""
    assert heard(server.fork(CHILD))


def test_no_child_is_forked_where_no_program_starts(server: ForkServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")

    with pytest.raises(ForkFailed):
        server.fork(CHILD)
