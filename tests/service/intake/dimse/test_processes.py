"""Several listener processes on one port: every image is kept once, and one of them may die."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.driver import c_store, role, running, wait_until
from tests.factories import make_ct_slice

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SENDERS, EACH = 8, 6


def test_two_listeners_share_the_port_and_the_tables(tmp_path: Path) -> None:
    first = make_ct_slice(rows=128)
    slices = [make_ct_slice(rows=128, seed=seed) for seed in range(SENDERS * EACH)]
    for number, each in enumerate(slices):
        each.StudyInstanceUID, each.InstanceNumber = first.StudyInstanceUID, number

    with running(tmp_path, PANDOK_DICOM_PROCESSES="2", PANDOK_MAX_ASSOCIATIONS_PER_PEER="32") as service:

        def listeners() -> list[int]:
            return [pid for pid in service.descendants() if role(pid) == "listener"]

        before = listeners()
        with ThreadPoolExecutor(SENDERS) as senders:
            shares = [slices[number::SENDERS] for number in range(SENDERS)]
            statuses = [s for share in senders.map(lambda own: c_store(service.dicom_port, own), shares) for s in share]
        os.kill(before[0], signal.SIGKILL)
        wait_until("another listener", lambda: len(after := listeners()) == 2 and after != before, 30)
        late = c_store(service.dicom_port, slices[:4])
        [row] = service.wait_scored(1)

    assert len(before) == 2
    assert statuses == [0x0000] * len(slices)
    assert late == [0x0000] * 4
    assert row["instance_count"] == len(slices)
    assert "commit failed" not in service.log
