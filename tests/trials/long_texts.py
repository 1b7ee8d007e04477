"""Films of megabytes of text, sent by C-STORE, and how long another peer waits for its C-ECHO meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from preprocessing.header_tags import TEXT
from preprocessing.values import LONGEST_BYTES
from tests.preprocessing.phantoms import implicit
from tests.trials.attacked import can_echo
from tests.trials.mutants.bombs import CR, MIB
from tests.trials.mutants.doors import Doors
from tests.trials.mutants.tree import IMPLICIT
from tests.trials.trial import Counts

NEIGHBOR = "NEIGHBOR"
ECHO_EVERY_S = 0.02
TOO_LONG_S = 3.0
"""Nobody waits so long for an echo on any machine, unless one sender stops the whole listener."""
_SPECIFIC_CHARACTER_SET, _IMAGE_TYPE = 0x00080005, 0x00080008


def long_texts(doors: Doors) -> Counts:
    """Send each film while another peer echoes, and look for long texts in the tables."""
    doors.service.pandok("peers", "add", "test", NEIGHBOR, "--network", "127.0.0.1/32")
    port = doors.service.dicom_port
    counts: dict[str, float] = {"bombs": 0, "films_refused": 0, "echoes": 0, "echoes_kept_waiting": 0}
    slowest = 0.0
    for number, (name, values) in enumerate(_films()):
        uid = f"1.2.3.12.{number}"
        data_set = _data_set({0x00080018: uid.encode(), 0x0020000D: b"1.2.3.12", 0x0020000E: b"1.2.3.12.1", **values})
        said, waits = _while_echoing(port, lambda: doors.c_store(data_set, syntax=IMPLICIT, uid=uid))  # noqa: B023
        counts["bombs"] += 1
        counts["films_refused"] += said != "kept 0000"
        counts["echoes"] += len(waits)
        counts["echoes_kept_waiting"] += sum(wait > TOO_LONG_S for wait in waits)
        slowest = max(slowest, *waits)
        print(f"{name}: {said}, {len(waits)} echoes, the slowest {max(waits):.3f} s")
    return {**counts, "texts_too_long": _texts_too_long(doors), "echo_s_max": slowest}


def _films() -> Iterator[tuple[str, dict[int, bytes]]]:
    words = "Иванов Пётр ".encode("cp1251")
    for size in (MIB, 64 * 1024, LONGEST_BYTES):
        text = (words * (size // len(words) + 1))[:size]
        yield f"13 texts of {size:,} bytes without a character set", dict.fromkeys(TEXT.values(), text)
    several = {_SPECIFIC_CHARACTER_SET: b"\\" * MIB, _IMAGE_TYPE: b"\\" * MIB}
    yield "a character set of 1 MiB of backslashes", several


def _data_set(values: dict[int, bytes]) -> bytes:
    every = {0x00080016: CR.encode() + b"\0", 0x00080060: b"CR", **values}
    return b"".join(implicit(tag, every[tag]) for tag in sorted(every))


def _while_echoing(port: int, send: Callable[[], str]) -> tuple[str, list[float]]:
    """Return what was answered, and the seconds that each echo took from before the sending until after it."""
    is_sent = threading.Event()

    def echo() -> list[float]:
        waits = [_echo_s(port)]
        while not is_sent.wait(ECHO_EVERY_S):
            waits.append(_echo_s(port))
        return [*waits, _echo_s(port)]

    with ThreadPoolExecutor(1) as pool:
        echoes = pool.submit(echo)
        try:
            said = send()
        finally:
            is_sent.set()
        return said, echoes.result()


def _echo_s(port: int) -> float:
    """Return how long an echo took; one that had no answer took longer than anybody waits."""
    started = time.monotonic()
    is_answered = can_echo(port, calling=NEIGHBOR)
    return (time.monotonic() - started) + (0 if is_answered else TOO_LONG_S)


def _texts_too_long(doors: Doors) -> int:
    rows = doors.rows("select * from study") + doors.rows("select * from series")
    headers = doors.rows("select header from instance")
    assert rows
    assert headers
    texts = [value for row in rows for value in row.values() if isinstance(value, str)]
    # A header's thirteen texts in JSON, two bytes and four more for each letter that is written as an escape.
    return sum(len(text) > LONGEST_BYTES for text in texts) + sum(
        len(str(row["header"])) > 20 * 6 * LONGEST_BYTES for row in headers
    )
