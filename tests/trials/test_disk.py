"""The tools of the power trials: a trace is read in the kernel's order, and the disk forgets what was not synced."""

from __future__ import annotations

import random
from pathlib import Path

from tests.trials.disk import Disk, moments
from tests.trials.recording import Event, read_trace


def hexed(text: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in text.encode())


def test_trace_is_read_with_halves_joined_and_failed_calls_left_out(tmp_path: Path) -> None:
    file, socket = hexed("/data/a"), hexed("socket:[7]")
    (tmp_path / "trace").write_text(
        f'11 openat(AT_FDCWD<{hexed("/")}>, "{file}", O_RDWR|O_CREAT|O_EXCL, 0600) = 5<{file}>\n'
        f'11 write(5<{file}>, "{hexed("abc")}", 3 <unfinished ...>\n'
        f"12 fsync(6<{file}>)                    = 0\n"
        f"11 <... write resumed>)              = 3\n"
        f'11 write(5<{file}>, "{hexed("de")}", 2)  = 2\n'
        f'11 unlink("{file}")               = -1 ENOENT (No such file or directory)\n'
        f'11 write(9<{socket}>, "{hexed("OK")}", 2) = 2\n'
    )

    assert read_trace(tmp_path / "trace") == [
        Event("create", "/data/a", 0, 0),
        Event("sync", "/data/a", 2, 2),
        Event("write", "/data/a", 1, 3, 0, b"abc"),
        Event("write", "/data/a", 4, 4, 3, b"de"),
        Event("answer", "", 6, 6, data=b"OK"),
    ]


def found(root: Path, events: list[Event], keep: float, seed: int = 0) -> dict[str, bytes]:
    """Cut the power after everything happened."""
    disk = Disk(root)
    list(moments(events, disk, [1_000]))
    chance = random.Random(seed)
    return {path.removeprefix(f"{root}/"): data for path, data in disk.after_power_loss(chance, keep).items()}


def stored(root: Path) -> list[Event]:
    """Store a file as the service does: written, synced, renamed, its folder synced."""
    part, name = str(root / "a.part"), str(root / "b")
    return [
        Event("create", part, 0, 0),
        Event("write", part, 1, 1, 0, bytes(range(256)) * 8),
        Event("sync", part, 2, 2),
        Event("rename", part, 3, 3, target=name),
        Event("sync", str(root), 4, 4),
    ]


def test_what_was_synced_survives_and_what_was_not_may_not(tmp_path: Path) -> None:
    events = stored(tmp_path)
    whole = bytes(range(256)) * 8

    assert found(tmp_path, events, 0.0) == {"b": whole}
    assert found(tmp_path, events[:4], 0.0) == {}
    assert found(tmp_path, [*events[:2], *events[3:]], 0.0) == {"b": b""}
    assert found(tmp_path, events[:4], 1.0) == {"b": whole}


def test_a_sync_covers_only_what_had_ended_when_it_began(tmp_path: Path) -> None:
    events = stored(tmp_path)
    events[1] = Event("write", events[1].path, 1, 3, 0, events[1].data)

    assert found(tmp_path, events, 0.0) == {"b": b""}


def test_an_unsynced_write_tears_at_sectors(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"o" * 2048)
    events = [Event("write", str(tmp_path / "b"), 0, 0, 0, b"n" * 2048)]

    torn = {found(tmp_path, events, 0.5, seed)["b"] for seed in range(40)}

    assert all(len(one) == 2048 for one in torn)
    assert len(torn) > 8
    assert any({one[n : n + 512] for n in range(0, 2048, 512)} == {b"o" * 512, b"n" * 512} for one in torn)
