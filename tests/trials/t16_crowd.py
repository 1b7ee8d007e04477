"""Trial 16: a thousand silent peers, half-done handshakes, drips and oversize claims beside one honest site.

Whoever is cut off calls again after `AGAIN_S`. The honest site's throughput is compared with that of the same minute,
before and after the attack. Other work on the machine can make either look worse: a short attack that seems to cost
more than it may is begun again, up to `ROUNDS` times, and the best round counts for the throughput, the worst for the
rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import ssl
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from tests.service.intake.dimse.authority import Authority
from tests.service.intake.dimse.sender import associate_rq
from tests.trials.attacked import MIB, ROOT, Attacked, attacked
from tests.trials.honest import CALLING
from tests.trials.trial import Counts, Trial

SILENT, HALF_TLS, DRIPPING, OVERSIZE = 1_000, 200, 64, 10
QUIET_S, RISE_S, ATTACK_S = 6.0, 6.0, 15.0
LONG_ATTACK_S = 300.0
"""Of every seed but 0, which is the test command's: long enough for each deadline of the listener."""
ROUNDS, ENOUGH_PERCENT = 3, 80.0
AGAIN_S = 5.0
DRIP_S = 1.0
PER_ADDRESS = 16


def address_of(number: int) -> str:
    """Spread attackers over addresses as thinly as the limit for one address makes them."""
    return f"127.0.{2 + number // PER_ADDRESS // 250}.{1 + number // PER_ADDRESS % 250}"


@asynccontextmanager
async def connected(port: int, address: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Call from an address."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def silent(port: int, address: str) -> None:
    """Connect and say nothing."""
    async with connected(port, address) as (reader, _):
        await reader.read(1)


async def half_tls(port: int, address: str) -> None:
    """Begin a handshake and never finish it."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello = ssl._create_unverified_context().wrap_bio(incoming, outgoing)
    with contextlib.suppress(ssl.SSLWantReadError):
        hello.do_handshake()
    async with connected(port, address) as (reader, writer):
        writer.write(outgoing.read())
        while await reader.read(65_536):
            continue


async def dripping(port: int, address: str) -> None:
    """Associate as a known peer, or try to, and send a byte a second ever after."""
    async with connected(port, address) as (reader, writer):
        writer.write(associate_rq(calling="DRIPPER"))
        await reader.readexactly(6)
        for byte in struct.pack(">BxL", 4, 100_000) + bytes(10_000):
            writer.write(bytes((byte,)))
            await asyncio.sleep(DRIP_S)
            if reader.at_eof():
                return


async def oversize(port: int, address: str) -> None:
    """Claim a PDU of 4 GiB and begin to send it."""
    async with connected(port, address) as (reader, writer):
        writer.write(struct.pack(">BxL", 1, 0xFFFFFFFF))
        while not reader.at_eof():
            writer.write(bytes(65_536))
            await writer.drain()
            await asyncio.sleep(0.01)  # drain alone never waits at a connection that is gone


async def _again(attack: Callable[[int, str], Coroutine[Any, Any, None]], port: int, number: int) -> None:
    await asyncio.sleep(number % 97 / 97 * RISE_S)
    while True:
        with contextlib.suppress(OSError, EOFError):
            await attack(port, address_of(number))
        await asyncio.sleep(AGAIN_S)


async def _crowd(plain: int, tls: int) -> None:
    async with asyncio.TaskGroup() as group:
        number = 0
        for attack, port, count in (
            (silent, plain, SILENT),
            (half_tls, tls, HALF_TLS),
            (dripping, plain, DRIPPING),
            (oversize, plain, OVERSIZE),
        ):
            for _ in range(count):
                group.create_task(_again(attack, port, number))
                number += 1


@contextmanager
def in_process(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run one of our modules beside us until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def stretch(honest: subprocess.Popen[str], seconds: float) -> dict[str, Any]:
    """Return the honest site's figures over the next seconds."""
    assert honest.stdin is not None
    assert honest.stdout is not None
    honest.stdin.write(f"{seconds}\n")
    honest.stdin.flush()
    figures: dict[str, Any] = json.loads(honest.stdout.readline())
    return figures


def percentile_99(values: list[float]) -> float:
    """Return the value that one in a hundred exceeds."""
    return sorted(values)[math.ceil(0.99 * len(values)) - 1]


def run(seed: int, folder: Path) -> Counts:
    """Measure the honest site before, during and after the attack."""
    server = Authority(folder).issue("server")
    tls = {"dicom_tls_port": 0, "dicom_tls_certificate": server.path, "dicom_tls_key": server.key}
    with (
        attacked(folder, tls, {CALLING: {"network": "127.0.0.1/32"}, "DRIPPER": {}}) as listener,
        in_process("tests.trials.honest", str(listener.port)) as honest,
    ):
        stretch(honest, 2.0)
        seconds = LONG_ATTACK_S if seed else ATTACK_S
        rounds = [_round(listener, honest, seconds)]
        while rounds[-1]["throughput_percent_min"] < ENOUGH_PERCENT and len(rounds) < ROUNDS and not seed:
            rounds.append(_round(listener, honest, seconds))
        worst = {name: max(each[name] for each in rounds) for name in rounds[0]}
        return {
            **worst,
            "attacked_s": seconds * len(rounds),
            "deaths": not listener.is_alive,
            "unexpected_errors": listener.log_count("association failed"),
        }


def _round(listener: Attacked, honest: subprocess.Popen[str], seconds: float) -> dict[str, float]:
    before = stretch(honest, QUIET_S)
    base = listener.ask()
    with in_process("tests.trials.t16_crowd", str(listener.port), str(listener.tls_port)):
        stretch(honest, RISE_S)
        during = stretch(honest, seconds)
        crowded = listener.ask()
    stretch(honest, 2.0)
    after = stretch(honest, QUIET_S)
    quiet_per_s = (before["per_s"] + after["per_s"]) / 2
    return {
        "honest_refused": during["refused"],
        "echo_p99_s_max": round(percentile_99(during["echoes_s"]), 3),
        "throughput_percent_min": round(100 * during["per_s"] / quiet_per_s, 1),
        "quiet_per_s_min": round(quiet_per_s, 1),
        "connections_max": crowded["sockets"] - base["sockets"],
        "memory_growth_mib_max": round((crowded["resident_bytes"] - base["resident_bytes"]) / MIB, 1),
    }


TRIAL = Trial(
    "16",
    "1,000 silent, 200 half-done TLS, 64 dripping and 10 oversize peers beside one honest site",
    run,
    "attacked_s",
    600,
    ("deaths", "honest_refused", "unexpected_errors"),
    at_most={"echo_p99_s_max": 1.0, "memory_growth_mib_max": 128.0},
    at_least={"throughput_percent_min": 80.0},
    timeout_s=600.0,
)


if __name__ == "__main__":
    asyncio.run(_crowd(int(sys.argv[1]), int(sys.argv[2])))
