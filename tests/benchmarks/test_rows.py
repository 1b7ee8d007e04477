"""Rows are judged the right way round, and the page says what was measured."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.page import draw, page
from tests.benchmarks.peers import missing, need
from tests.benchmarks.rows import Row, against, figure, limit, p95, p95_limit


def test_a_rate_beside_a_peer_is_reached_when_it_is_high_enough() -> None:
    row = against("STOW", [20.0, 30.0, 22.0], "Orthanc", [10.0, 10.0, 10.0], unit="MB/s", must=2.0)

    assert (row.ratio, row.low, row.high) == (2.2, 2.0, 3.0)
    assert row.is_reached
    assert row.asked == "≥ 2.00"
    assert not against("STOW", [19.0], "Orthanc", [10.0], unit="MB/s", must=2.0).is_reached


def test_a_time_beside_a_peer_is_reached_when_it_is_low_enough() -> None:
    quick = against("scored", [0.8], "bare", [1.0], unit="s", must=1.0, smaller=True)
    slow = against("scored", [1.2], "bare", [1.0], unit="s", must=1.0, smaller=True)

    assert (quick.is_reached, slow.is_reached) == (True, False)
    assert slow.asked == "≤ 1.00"
    assert slow.verdict == "MISSED"


def test_a_figure_is_held_to_its_limit_in_its_own_unit() -> None:
    assert limit("memory", [400.0, 500.0, 300.0], unit="MB", must=500.0).is_reached
    assert not limit("memory", [501.0], unit="MB", must=500.0).is_reached
    assert limit("memory", [501.0], unit="MB", must=500.0).asked == "≤ 500 MB"
    assert limit("memory", [501.0], unit="MB", must=None).is_reached is None


@pytest.mark.parametrize(
    ("times", "expected"),
    [([1.0], 1.0), (list(range(1, 101)), 95), (list(range(1, 21)), 19), (list(range(1, 41)), 38), ([2.0, 1.0], 2.0)],
)
def test_the_95th_percentile_is_the_least_time_that_95_of_100_do_not_exceed(
    times: list[float], expected: float
) -> None:
    assert p95(times) == expected
    assert sum(one <= p95(times) for one in times) >= 0.95 * len(times)


def test_a_percentile_is_held_to_its_limit_and_tells_the_ends() -> None:
    row = p95_limit("worklist page", [float(n) for n in range(1, 101)], unit="ms", must=94.0)

    assert (row.work, row.ours, row.low, row.high) == ("worklist page, p95", 95.0, 1.0, 100.0)
    assert row.is_reached is False


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.0123456, "0.0123"),
        (1.005, "1.00"),
        (9.87, "9.87"),
        (12.34, "12.3"),
        (123.4, "123"),
        (12345, "12,345"),
    ],
)
def test_a_figure_has_three_digits(value: float, text: str) -> None:
    assert figure(value) == text


def kept(*rows: Row) -> dict[str, Any]:
    return {"group": {"machine": "2 cores", "load": 0.1, "rows": [asdict(row) for row in rows]}}


def test_the_page_tells_a_missed_row_from_a_reached_one_and_from_information() -> None:
    results = kept(
        against("fast", [30.0], "Orthanc", [10.0], unit="MB/s", must=2.0),
        limit("slow", [30.0], unit="s", must=2.0),
        limit("known", [30.0], unit="s", must=None),
    )

    lines = [line for line in page(results).splitlines() if line.startswith("| ")]

    assert lines[-3] == "| fast | 30.0 MB/s | Orthanc | 10.0 | 3.00 × | ≥ 2.00 | reached |"
    assert lines[-2] == "| slow | 30.0 s |  |  |  | ≤ 2.00 s | **missed** |"
    assert lines[-1] == "| known | 30.0 s |  |  |  |  |  |"


def test_the_picture_has_every_row_that_has_a_peer_or_a_limit(tmp_path: Path) -> None:
    results = kept(
        against("fast", [30.0, 31.0], "Orthanc", [10.0, 10.0], unit="MB/s", must=2.0),
        limit("slow", [30.0], unit="s", must=2.0),
    )

    draw(results, tmp_path / "chart.svg")

    drawn = (tmp_path / "chart.svg").read_text()
    assert "fast, beside Orthanc" in drawn
    assert "<!-- slow -->" in drawn


def test_a_peer_that_is_not_here_is_named_with_what_brings_it() -> None:
    assert missing("/usr/sbin/no-such-peer") == ["dcmtk"]
    with pytest.raises(SystemExit, match="apt-get install --no-install-recommends dcmtk"):
        need("/usr/sbin/no-such-peer")
