"""A small kill sweep: processes die with -9 while studies flow in; nothing acknowledged is lost or doubled."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kill_sweep import sweep


@pytest.mark.slow
@pytest.mark.films
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
def test_killed_processes_lose_and_double_nothing(shared_data: Path, tmp_path: Path) -> None:
    film = shared_data / "dicom" / "chest" / "gdcm-CR-MONO1-10-chest.dcm"

    counts = sweep(film=film, studies=40, kills=8, seed=7, folder=tmp_path, drain_s=240)

    assert counts["acknowledged"] == 40, counts
    assert {n: c for n, c in counts.items() if c and n.startswith(("lost", "doubled", "unfinished", "studies w"))} == {}
    assert counts["scored"] == 40, counts
