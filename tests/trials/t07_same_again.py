"""Trial 07: one study through three entrances ten times at once, and pairs with one UID and two contents."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pydicom import Dataset
from sqlalchemy import select

from service import tables
from service.archive import Archive
from tests.factories import make_ct_slice, part10
from tests.trials import invariants
from tests.trials.nursery import Nursery
from tests.trials.place import Place, film, make_place, sha256_of, slices
from tests.trials.trial import Counts, Trial

TIMES = 10
PAIRS = 200
CONFLICT = 0x0111


def run(seed: int, folder: Path) -> Counts:
    """Send one study ten times at once, then pairs side by side, some of them under a signed report."""
    with Nursery() as nursery:
        place = make_place(folder, nursery)
        signed = film(seed * 10_000 + 9_000)
        [case], link = place.arrived([signed]), place.link()
        for part in ("listener", "web"):
            place.start(part)
        for part in ("listener", "web"):
            place.wait_ready(part)
        try:
            place.open_link(link)
            assert place.sign(case, place.read(case)) == 200
            before = _signed(place)
            study = slices(6, seed * 10_000)
            counts: Counter[str] = Counter(dict.fromkeys(NEVER, 0))
            counts["refused"] = _ten_times(place, study)
            acknowledged = {str(one.SOPInstanceUID): sha256_of(one) for one in [*study, signed]}
            pairs = [_pair(seed * 10_000 + 100 + 2 * n) for n in range(PAIRS - 1)]
            pairs.append((signed, _changed(signed)))
            counts["wrong_answers"] = _side_by_side(place, pairs)
        finally:
            place.close()
        counts["copies"] = _copies(place, study) - len(study)
        counts["not_quarantined"] = sum(not _is_held(place, pair) for pair in pairs)
        counts["changed_signed_cases"] = int(_signed(place) != before)
        counts.update(invariants.audit(place.settings, acknowledged))
    return {**counts, "pairs": len(pairs), "same_study_sent": TIMES}


def _ten_times(place: Place, study: Sequence[Dataset]) -> int:
    """Send a study through every entrance at once; returns how many were not answered with success."""
    doors: tuple[Callable[[], bool], ...] = (
        lambda: _statuses(place, study) == [0] * len(study),
        lambda: len(place.stow(*study)[1]) == len(study),
        lambda: all(_upload(place, one) for one in study),
    )
    with ThreadPoolExecutor(TIMES) as pool:
        told = [pool.submit(doors[n % len(doors)]) for n in range(TIMES)]
        return sum(not one.result() for one in told)


def _side_by_side(place: Place, pairs: Sequence[tuple[Dataset, Dataset]]) -> int:
    """Send the halves of every pair through two entrances at once; returns how many pairs had a wrong answer.

    Right is one success and one refusal as a conflict, whoever was first.
    """
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(_statuses, place, [one for one, _ in pairs])
        other = pool.submit(lambda: [bool(place.stow(one)[1]) for _, one in pairs])
        statuses, stored = first.result(), other.result()
    return sum(
        (status, is_stored) not in ((0, False), (CONFLICT, True))
        for status, is_stored in zip(statuses, stored, strict=True)
    )


def _statuses(place: Place, films: Sequence[Dataset]) -> list[int | None]:
    """Send over one association."""
    first_of_kind = {str(one.SOPClassUID): one for one in films}

    def send(association: Any) -> list[int | None]:
        return [association.send_c_store(one).get("Status") for one in films]

    return list(place.associate(send, tuple(first_of_kind.values())) or [])


def _upload(place: Place, one: Dataset) -> bool:
    answer = place.http.post("/api/uploads", content=part10(one), headers={"Content-Type": "application/dicom"})
    return answer.status_code == 200


def _pair(seed: int) -> tuple[Dataset, Dataset]:
    one = make_ct_slice(rows=16, seed=seed)
    return one, _changed(one)


def _changed(one: Dataset) -> Dataset:
    """Return an instance under the same UIDs with other pixels."""
    other = copy.deepcopy(one)
    other.PixelData = bytes(b ^ 1 for b in one.PixelData)
    return other


def _is_held(place: Place, pair: tuple[Dataset, Dataset]) -> bool:
    """Tell whether one of a pair is the study's and the other lies whole beside it, for an operator."""
    uid, hashes = str(pair[0].SOPInstanceUID), {sha256_of(one) for one in pair}
    i, p = tables.instance.c, tables.problem.c
    archive = Archive(place.settings.archive_folder)
    with place.tables() as database, database.reading() as rx:
        kept = set(rx.execute(select(i.content_sha256).where(i.sop_instance_uid == uid)).scalars())
        held = rx.execute(select(p.content_sha256).where(p.sop_instance_uid == uid, p.kind == "held")).scalars()
        aside = set(held)
    return (
        len(kept) == len(aside) == 1
        and kept | aside == hashes
        and all(archive.is_intact(place.site_id, sha256) for sha256 in hashes)
    )


def _copies(place: Place, study: Sequence[Dataset]) -> int:
    """Return how many instances and further cases stand for a study."""
    s, i = tables.study.c, tables.instance.c
    with place.tables() as database, database.reading() as rx:
        where = s.study_instance_uid == str(study[0].StudyInstanceUID)
        ids = rx.execute(select(s.id).where(where)).scalars().all()
        return len(ids) - 1 + len(rx.execute(select(i.id).where(i.study_id.in_(ids))).all())


def _signed(place: Place) -> list[Any]:
    """Return all that was signed, and the images that it was signed under."""
    version, instance, report = tables.report_version, tables.instance, tables.report
    with place.tables() as database, database.reading() as rx:
        versions = rx.execute(select(version.c.sha256, version.c.content_sha256)).all()
        under = select(report.c.study_id)
        images = rx.execute(select(instance.c.sop_instance_uid, instance.c.content_sha256, instance.c.revision)
                            .where(instance.c.study_id.in_(under)).order_by(instance.c.id)).all()  # fmt: skip
    return [*map(tuple, versions), *map(tuple, images)]


NEVER = (*invariants.NEVER, "refused", "wrong_answers", "copies", "not_quarantined", "changed_signed_cases")

TRIAL = Trial(
    number="07",
    title="the same study through three entrances at once, and one UID with two contents",
    run=run,
    counted="pairs",
    full=1_000,
    never=NEVER,
    quick=tuple(range(5)),
)
