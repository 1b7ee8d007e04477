"""Trial 16: a thousand silent peers, half-done handshakes, drips and oversize claims beside one honest site.

Known peers of their own send an image in crumbs, one byte to a value. Whoever is cut off calls again after `AGAIN_S`.

In the field attackers compute on machines of their own; here they take processor time of the one that the service runs
on. So the honest site's throughput is compared with that of stretches, before and after, in which no one attacks and a
process beside the listener burns as much processor time a second as the attackers do: what is missing then is what
their presence costs, not what their processes do. Their share is taken from a first, short attack that is not judged.
Long attacks come several times with such a stretch between them: a shared machine's speed wanders within minutes.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import math
import os
import ssl
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from tests.service.intake.dimse.authority import Authority
from tests.service.intake.dimse.sender import COMMAND, CT, CT_ID, LAST, associate_rq, data_pdu, pdv, store_command
from tests.trials.attacked import MIB, ROOT, Attacked, attacked
from tests.trials.honest import CALLING
from tests.trials.trial import Counts, Trial

SILENT, HALF_TLS, DRIPPING, OVERSIZE, CRUMBLING = 1_000, 200, 64, 10, 8
CRUMBLERS = {"CRUMBLER": 1, "PACKER": 256, "STUFFER": 37_000}
"""Peers that send values of one byte, and how many of them they put into one PDU."""
RISE_S, PROBE_S = 6.0, 4.0
ATTACK_S, QUIET_S = 15.0, 6.0
LONG_ATTACKS, LONG_ATTACK_S, LONG_QUIET_S = 3, 100.0, 40.0
"""Of every seed but 0, which is the test command's: each attack is long enough for each deadline of the listener."""
AGAIN_S = 5.0
ACCEPTED = 2
"""The PDU type of A-ASSOCIATE-AC."""
CHUNK_BYTES = 65_536
BURN_GRAIN_S = 0.005
DRIP_S = 1.0
PER_ADDRESS = 16


Attack: TypeAlias = Callable[[int, str], Coroutine[Any, Any, None]]
"""Attacks a port from an address, once."""


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
            if reader.at_eof() or writer.is_closing():
                return


async def oversize(port: int, address: str) -> None:
    """Claim a PDU of 4 GiB and begin to send it."""
    async with connected(port, address) as (reader, writer):
        writer.write(struct.pack(">BxL", 1, 0xFFFFFFFF))
        while not (reader.at_eof() or writer.is_closing()):
            writer.write(bytes(65_536))
            await writer.drain()
            await asyncio.sleep(0.01)  # drain alone never waits at a connection that is gone


async def crumbling(port: int, address: str, *, calling: str, values: int) -> None:
    """Begin an image as a known peer and send it, as fast as it is taken, in values of one byte."""
    async with connected(port, address) as (reader, writer):
        writer.write(associate_rq(calling=calling))
        kind, length = struct.unpack(">BxL", await reader.readexactly(6))
        await reader.readexactly(length)
        if kind != ACCEPTED:
            return
        writer.write(data_pdu(pdv(CT_ID, COMMAND | LAST, store_command(CT, "1.2.826.0.1.3680043.8.498.16"))))
        pdu = data_pdu(pdv(CT_ID, 0, b"x") * values)
        chunk = pdu * -(-CHUNK_BYTES // len(pdu))
        while not (reader.at_eof() or writer.is_closing()):
            writer.write(chunk)
            await writer.drain()
            await asyncio.sleep(0.01)


async def _again(attack: Attack, port: int, number: int) -> None:
    await asyncio.sleep(number % 97 / 97 * RISE_S)
    while True:
        with contextlib.suppress(OSError, EOFError):
            await attack(port, address_of(number))
        await asyncio.sleep(AGAIN_S)


async def _crowd(plain: int, tls: int) -> None:
    attacks: list[tuple[Attack, int, int]] = [
        (silent, plain, SILENT),
        (half_tls, tls, HALF_TLS),
        (dripping, plain, DRIPPING),
        (oversize, plain, OVERSIZE),
    ]
    attacks += [(partial(crumbling, calling=name, values=each), plain, CRUMBLING) for name, each in CRUMBLERS.items()]
    async with asyncio.TaskGroup() as group:
        number = 0
        for attack, port, count in attacks:
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


def processor_s(process: subprocess.Popen[str]) -> float:
    """Return the processor time that a process has used, in seconds."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def burn(share: float) -> None:
    """Use so much processor time of each second, for ever."""
    began_s, began_used_s = time.monotonic(), time.process_time()
    while True:
        while time.process_time() - began_used_s < share * (time.monotonic() - began_s):
            continue
        time.sleep(BURN_GRAIN_S)


def run(seed: int, folder: Path) -> Counts:
    """Measure the honest site before, during and after each attack."""
    server = Authority(folder).issue("server")
    tls = {"dicom_tls_port": 0, "dicom_tls_certificate": server.path, "dicom_tls_key": server.key}
    peers = {CALLING: {"network": "127.0.0.1/32"}, "DRIPPER": {}, **{name: {} for name in CRUMBLERS}}
    with (
        attacked(folder, tls, peers) as listener,
        in_process("tests.trials.honest", str(listener.port)) as honest,
    ):
        stretch(honest, 2.0)
        attacks, seconds, quiet_s = (LONG_ATTACKS, LONG_ATTACK_S, LONG_QUIET_S) if seed else (1, ATTACK_S, QUIET_S)
        _, share = _attack(listener, honest, PROBE_S)
        quiet_per_s, during = [_quiet(honest, quiet_s, share)["per_s"]], []
        base = listener.ask()
        for _ in range(attacks):
            figures, share = _attack(listener, honest, seconds)
            during.append({**figures, "share": share})
            quiet_per_s.append(_quiet(honest, quiet_s, share)["per_s"])
        beside_per_s = [statistics.mean(pair) for pair in itertools.pairwise(quiet_per_s)]
        echoes_s = [took for one in during for took in one["echoes_s"]]
        resident_bytes = max(one["resident_bytes"] for one in during)
        return {
            "attacked_s": attacks * seconds,
            "deaths": not listener.is_alive,
            "honest_refused": sum(one["refused"] for one in during),
            "unexpected_errors": listener.log_count("association failed"),
            "echo_p99_s_max": round(percentile_99(echoes_s or [seconds]), 3),
            "throughput_percent_min": round(100 * sum(one["per_s"] for one in during) / sum(beside_per_s), 1),
            "quiet_per_s_min": round(min(quiet_per_s), 1),
            "quiet_per_s_max": round(max(quiet_per_s), 1),
            "burnt_percent_max": round(100 * max(one["share"] for one in during), 1),
            "crumblers_min": len(listener.broken_off() & set(CRUMBLERS)),
            "connections_max": max(one["sockets"] for one in during) - base["sockets"],
            "memory_growth_mib_max": round((resident_bytes - base["resident_bytes"]) / MIB, 1),
        }


def _attack(listener: Attacked, honest: subprocess.Popen[str], seconds: float) -> tuple[dict[str, Any], float]:
    """Return the honest site's figures and the listener's under attack, and the share of a processor it costs."""
    with in_process("tests.trials.t16_crowd", "crowd", str(listener.port), str(listener.tls_port)) as crowd:
        stretch(honest, RISE_S)
        used_s, began_s = processor_s(crowd), time.monotonic()
        figures = stretch(honest, seconds)
        share = (processor_s(crowd) - used_s) / (time.monotonic() - began_s)
        return {**figures, **listener.ask()}, share


def _quiet(honest: subprocess.Popen[str], seconds: float, share: float) -> dict[str, Any]:
    """Return the honest site's figures while nobody attacks, beside as much computing as the attackers did."""
    with in_process("tests.trials.t16_crowd", "burn", str(share)):
        stretch(honest, 2.0)
        return stretch(honest, seconds)


TRIAL = Trial(
    "16",
    "1,000 silent, 200 half-done TLS, 64 dripping, 10 oversize and 24 crumbling peers beside one honest site",
    run,
    "attacked_s",
    600,
    ("deaths", "honest_refused", "unexpected_errors"),
    at_most={"echo_p99_s_max": 1.0, "memory_growth_mib_max": 128.0},
    at_least={"throughput_percent_min": 80.0, "crumblers_min": len(CRUMBLERS)},
    quick_bounds={"echo_p99_s_max": 5.0, "throughput_percent_min": 40.0},
    timeout_s=600.0,
)


if __name__ == "__main__":
    if sys.argv[1] == "burn":
        burn(float(sys.argv[2]))
    asyncio.run(_crowd(int(sys.argv[2]), int(sys.argv[3])))
