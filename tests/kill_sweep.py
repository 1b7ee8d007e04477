"""Kill the service's processes with -9 at random points while studies flow in; count what was lost or doubled.

    python -m tests.kill_sweep --studies 500 --kills 50 --seed 1

Every study is a real film with UIDs of its own. A study counts as sent when its C-STORE was answered with success.
Afterwards each must stand once in the archive, byte for byte, and once in the worklist with one finished revision.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid
from pynetdicom import AE
from sqlalchemy import func, select

from service import tables
from service.archive import Archive
from service.database import Database
from service.settings import Settings
from tests.driver import CALLING_AE, Service
from tests.factories import dataset_bytes

SENDERS = 4
FINISHED = ("scored", "unscored")


def films(film: Path, count: int) -> Iterator[Dataset]:
    """Yield the film as many studies."""
    for number in range(count):
        dataset = dcmread(film)
        dataset.StudyInstanceUID = generate_uid()
        dataset.SeriesInstanceUID = generate_uid()
        dataset.SOPInstanceUID = generate_uid()
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.PatientID = f"SWEEP-{number}"
        yield dataset


class Sender(threading.Thread):
    """Sends until every study was answered with success, as a center's PACS would."""

    def __init__(self, port: int, work: list[Dataset], acknowledged: dict[str, str], pause_s: float) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._work = work
        self._acknowledged = acknowledged
        self._pause_s = pause_s
        self.sends = 0

    def run(self) -> None:
        while self._work:
            ae = AE(CALLING_AE)
            ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 10
            first = self._work[-1]
            ae.add_requested_context(first.SOPClassUID, first.file_meta.TransferSyntaxUID)
            association = ae.associate("127.0.0.1", self._port, ae_title="PANDOK")
            while association.is_established and self._work:
                dataset = self._work[-1]
                self.sends += 1
                try:
                    status = association.send_c_store(dataset)
                except (RuntimeError, ValueError):
                    break
                if status.get("Status") == 0x0000:
                    self._acknowledged[dataset.SOPInstanceUID] = hashlib.sha256(dataset_bytes(dataset)).hexdigest()
                    self._work.pop()
                    time.sleep(self._pause_s)
                elif "Status" not in status:
                    break
            association.abort() if association.is_established else time.sleep(0.2)


def audit(settings: Settings, acknowledged: dict[str, str]) -> Counter[str]:
    """Compare what was acknowledged with what stands in the tables and in the archive."""
    counts: Counter[str] = Counter()
    database, archive = Database(settings.sqlalchemy_url), Archive(settings.archive_folder)
    i, r = tables.instance.c, tables.revision.c
    with database.reading() as tx:
        stored = tx.execute(
            select(i.sop_instance_uid, i.site_id, i.content_sha256, i.study_id).where(i.is_result.is_(False))
        ).all()
        by_uid = {row.sop_instance_uid: row for row in stored}
        counts["stored"] = len(stored)
        counts["doubled instances"] = len(stored) - len(by_uid)
        counts["doubled items"] = len(
            tx.execute(
                select(tables.worklist_item.c.study_id)
                .group_by(tables.worklist_item.c.study_id)
                .having(func.count() > 1)
            ).all()
        )
        counts["studies without an item"] = len(
            tx.execute(
                select(tables.study.c.id).where(~tables.study.c.id.in_(select(tables.worklist_item.c.study_id)))
            ).all()
        )
        counts["studies"] = tx.execute(select(func.count()).select_from(tables.study)).scalar_one()
        counts["scored"] = tx.execute(
            select(func.count()).select_from(tables.study).where(tables.study.c.state == "scored")
        ).scalar_one()
        counts["unfinished"] = counts["studies"] - len(
            tx.execute(select(r.study_id).where(r.state.in_(FINISHED)).distinct()).all()
        )
        counts["doubled runs"] = len(
            tx.execute(
                select(tables.run.c.instance_id)
                .where(tables.run.c.outcome == "done")
                .group_by(tables.run.c.revision_id, tables.run.c.instance_id, tables.run.c.package)
                .having(func.count() > 1)
            ).all()
        )
        results = tx.execute(
            select(i.run_id, i.sop_class_uid, func.count().label("n"))
            .where(i.is_result.is_(True))
            .group_by(i.run_id, i.sop_class_uid)
        ).all()
        counts["results"] = sum(row.n for row in results)
        counts["doubled results"] = sum(row.n > 1 for row in results)
    for uid, sha256 in acknowledged.items():
        row = by_uid.get(uid)
        whole = row is not None and row.content_sha256 == sha256 and archive.is_intact(row.site_id, sha256)
        counts["lost"] += not whole
    database.close()
    return counts


def sweep(*, film: Path, studies: int, kills: int, seed: int, folder: Path, drain_s: float) -> Counter[str]:
    """Run the sweep and return the counts; `lost` and every `doubled ...` must be 0."""
    chance = random.Random(seed)
    service = Service(folder / "data", {"PANDOK_LOG_LEVEL": "WARNING"})
    service.folder.mkdir(parents=True)
    service.add_site()
    service.start()
    work = list(films(film, studies))
    acknowledged: dict[str, str] = {}
    senders = [Sender(service.dicom_port, work[n::SENDERS], acknowledged, pause_s=0.02) for n in range(SENDERS)]
    killed: Counter[str] = Counter()
    settings = Settings(data_folder=service.folder)
    try:
        for sender in senders:
            sender.start()
        while sum(killed.values()) < kills:
            time.sleep(chance.uniform(0.3, 2.5))
            killed[service.kill_one(chance)] += 1
        for sender in senders:
            sender.join(drain_s)
        deadline = time.monotonic() + drain_s
        counts = audit(settings, acknowledged)
        while counts["unfinished"] and time.monotonic() < deadline:
            time.sleep(2)
            counts = audit(settings, acknowledged)
    except BaseException:
        print(service.log[-6_000:])
        raise
    finally:
        service.stop()
    counts["acknowledged"] = len(acknowledged)
    counts["sends"] = sum(sender.sends for sender in senders)
    counts.update({f"killed {name}": n for name, n in killed.items()})
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--film", type=Path, required=True, help="a DICOM file of a chest radiograph")
    parser.add_argument("--studies", type=int, default=500)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--drain-s", type=float, default=600.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        counts = sweep(film=given.film, studies=given.studies, kills=given.kills, seed=given.seed,
                       folder=Path(folder), drain_s=given.drain_s)  # fmt: skip
        for name, count in sorted(counts.items()):
            print(f"{count:6d}  {name}")
        print(f"seed {given.seed}, {time.monotonic() - started:.0f} s")
    sys.exit(any(count for name, count in counts.items() if name.startswith(("lost", "doubled", "unfinished"))))


if __name__ == "__main__":
    main()
