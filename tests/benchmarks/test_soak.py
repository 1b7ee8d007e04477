"""What a soak says at its end follows from its samples, and its section tells it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from service.inference.forked import ForkServer
from service.worker import RECIPES
from tests.benchmarks.soak import by_kind, by_time, end_one, judged, thinned
from tests.benchmarks.soak_load import Request
from tests.benchmarks.soak_page import PARTS, draw_soak, soak_section
from tests.benchmarks.soak_samples import POINTS, Sample, drift_percent, medians, memory_slope, sample, slope, verdict
from tests.driver import Service, wait_until


def samples(
    mb_per_hour: float, *, hours: float = 1.0, noise_mb: float = 3.0, drop_at_s: float | None = None
) -> list[Sample]:
    dice = random.Random(1)
    found = []
    for number in range(int(hours * 3600 / 3)):
        at_s = number * 3.0
        memory = 500 + mb_per_hour * at_s / 3600 + dice.gauss(0, noise_mb)
        if drop_at_s is not None and at_s >= drop_at_s:
            memory -= 80
        found.append(Sample(at_s, {"web": memory / 2, "worker": memory / 2}, 100 + number, 20, 1.5))
    return found


@pytest.mark.parametrize("mb_per_hour", [-20.0, 0.0, 5.0, 40.0, 200.0])
def test_the_slope_is_found_through_noise(mb_per_hour: float) -> None:
    found = memory_slope(samples(mb_per_hour), [])

    assert found is not None
    assert found.low <= mb_per_hour <= found.high
    assert found.middle == pytest.approx(mb_per_hour, abs=3)


def test_spikes_do_not_move_the_slope() -> None:
    points = [(float(n), 2.0 * n + (1_000 if n % 5 == 0 else 0)) for n in range(100)]

    found = slope(points)

    assert found is not None
    assert found.middle == pytest.approx(2.0)


def test_a_restart_is_no_slope() -> None:
    fallen = samples(30.0, drop_at_s=1_900.0)

    with_break, without = memory_slope(fallen, [1_900.0]), memory_slope(fallen, [])

    assert with_break is not None
    assert without is not None
    assert with_break.middle == pytest.approx(30.0, abs=5)
    assert abs(without.middle - 30.0) > 20


def test_what_a_part_fills_after_its_restart_is_no_slope() -> None:
    def filling(at_s: float) -> float:
        return -100 * max(0.0, 1 - (at_s - 1_900) / 110) if at_s >= 1_900 else 0.0

    every = [
        Sample(one.at_s, {"web": one.memory_mb + filling(one.at_s)}, 0, 0, 0.0) for one in samples(0.0, noise_mb=1.0)
    ]

    found = memory_slope(every, [1_900.0])

    assert found is not None
    assert found.middle == pytest.approx(0.0, abs=3)


def test_two_points_have_no_slope_that_one_could_trust() -> None:
    assert slope([(0.0, 1.0), (1.0, 2.0)]) is None
    assert verdict(None) == "too few samples to tell"


def test_neighbours_become_one_point() -> None:
    points = [(float(n), float(n)) for n in range(10_000)]

    assert POINTS <= len(medians(points, [])) <= POINTS + 1


@pytest.mark.parametrize(
    ("mb_per_hour", "hours", "words"),
    [(0.0, 2.0, "bounded"), (60.0, 2.0, "growing by more than 10 MB an hour"), (10.0, 0.1, "too short to tell")],
)
def test_memory_is_called_bounded_only_when_the_interval_says_so(mb_per_hour: float, hours: float, words: str) -> None:
    assert judged(samples(mb_per_hour, hours=hours), [])["memory"] == words


def test_what_memory_rose_since_the_warm_up_is_told() -> None:
    found = judged(samples(60.0), [])["drift_percent"]

    assert found == pytest.approx(6.5, abs=0.5)  # 34 of 523 MB


def test_what_fills_in_the_first_third_is_no_drift() -> None:
    every = [Sample(one.at_s, {"web": min(1.0, one.at_s / 1_200) * 500}, 0, 0, 0.0) for one in samples(0.0)]

    assert drift_percent(every) == pytest.approx(0.0)


def test_times_are_those_of_answered_requests_and_the_others_are_counted() -> None:
    requests = [Request("QIDO", at, 0.1 * at, at != 20) for at in map(float, range(1, 21))]

    found = by_kind(requests)["QIDO"]

    assert (found["asked"], found["failed"]) == (20, 1)
    assert (found["p50_s"], found["p95_s"]) == (1.0, 1.9)
    assert all(one["p95_s"] <= 1.9 for one in by_time(requests))


def test_thinned_samples_keep_the_last_one() -> None:
    every = samples(0.0)

    fewer = thinned(every, most=100)

    assert len(fewer) <= 101
    assert fewer[-1] is every[-1]


def test_a_soak_kills_a_decoder_and_not_the_program_that_forks_it(tmp_path: Path) -> None:
    server = ForkServer()
    try:
        decoder, other = (server.fork("service.inference.decode_child", "--recipes", RECIPES) for _ in range(2))
        program = int(Path(f"/proc/{decoder.pid}/stat").read_text().rpartition(")")[2].split()[1])
        service = Running(tmp_path, found=[os.getpid(), program, decoder.pid, other.pid])

        assert end_one(service, "decode_child", signal.SIGKILL)

        wait_until("the decoder ends", lambda: not decoder.is_running())
        assert other.is_running()
        assert set(sample(service, 0.0).parts_mb) == {"supervisor", "fork_server", "decode_child"}
        assert {"supervisor", "fork_server", "decode_child"} <= set(PARTS)
    finally:
        server.close()


@dataclass
class Running(Service):
    """A service of these processes."""

    found: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.process = cast("subprocess.Popen[bytes]", SimpleNamespace(pid=os.getpid()))

    def descendants(self) -> list[int]:
        return self.found


EVENTS = ((100.0, "decoder killed"), (240.0, "worker restarted"), (300.0, "web restarted"))


def soak(**verdict_: Any) -> dict[str, Any]:
    every = samples(0.0, hours=0.2)
    shown = [{"at_s": one.at_s, "parts_mb": one.parts_mb} for one in every]
    latency = [{"kind": "QIDO", "at_s": 60.0 * n, "p50_s": 0.01, "p95_s": 0.02} for n in range(10)]
    counts = {"acknowledged": 1_234, "lost": 0, "unfinished": 0, "signed": 5}
    return {
        "minutes": 12.0, "pace": 2.0, "cores": 2, "samples": shown, "latency": latency,
        "requests": {"QIDO": {"asked": 600, "failed": 2, "p50_s": 0.01, "p95_s": 0.02}},
        "events": [{"at_s": at_s, "what": what} for at_s, what in EVENTS],
        "verdict": {**judged(every, []), **counts, **verdict_},
    }  # fmt: skip


def test_the_section_tells_what_was_asked_and_what_was_lost() -> None:
    text = "\n".join(soak_section(soak(lost=3)))

    assert "--minutes 12 --pace 2`" in text
    assert "| QIDO | 600 | 2 | 0.010 s | 0.020 s |" in text
    assert "Acknowledged: 1,234 instances, lost: 3." in text


def test_a_short_soak_has_a_section_too() -> None:
    assert "too few samples to tell" in "\n".join(soak_section(soak(**judged(samples(0.0)[:3], []))))


def test_the_picture_shows_each_part_and_names_the_restarts(tmp_path: Path) -> None:
    draw_soak(soak(), tmp_path / "soak.svg")

    drawn = (tmp_path / "soak.svg").read_text()
    assert "<!-- worker -->" in drawn
    assert drawn.count("restarted: worker, web") == 2  # in both panels
