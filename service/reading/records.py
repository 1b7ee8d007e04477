"""The SQL of a reading: first impressions, verdicts, image quality, events. Rows are added, never edited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, insert, select, update

from service.tables import (
    finding,
    first_impression,
    image_quality,
    instance,
    reading_event,
    report_draft,
    revision,
    run,
    verdict,
)

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reading:
    """One reader on one revision of one study."""

    site_id: int
    study_id: int
    account_id: int
    revision: int

    def values(self) -> dict[str, int]:
        """Return the columns that every row of a reading has."""
        return {"site_id": self.site_id, "study_id": self.study_id, "account_id": self.account_id,
                "revision": self.revision}  # fmt: skip


def find_impression(rx: Connection, reading: Reading) -> Row | None:
    """Return the reader's first impression of this revision."""
    t = first_impression.c
    query = select(t.impression, t.places, t.seconds, t.made_at, t.revision).where(
        t.study_id == reading.study_id, t.account_id == reading.account_id, t.revision == reading.revision
    )
    return next(iter(_rows(rx, query)), None)


def add_impression(tx: Connection, reading: Reading, values: Mapping[str, Any]) -> None:
    """Add the reader's first impression of this revision."""
    tx.execute(insert(first_impression).values(**reading.values(), **values))


def list_verdicts(rx: Connection, reading: Reading) -> list[Row]:
    """Return the reader's verdicts on this revision that stand."""
    t = verdict.c
    query = (
        select(
            t.finding_id, t.instance_id, t.finding_code, t.judgement, t.place, t.side, t.severity, t.ai_visible,
            t.made_at, instance.c.sop_instance_uid,
        )
        .outerjoin(instance, instance.c.id == t.instance_id)
        .where(
            t.study_id == reading.study_id,
            t.account_id == reading.account_id,
            t.revision == reading.revision,
            t.replaced_at.is_(None),
        )
        .order_by(t.id)
    )  # fmt: skip
    return _rows(rx, query)


def has_verdicts(rx: Connection, study_id: int, revision: int) -> bool:
    """Tell whether anybody has judged what the AI found in this revision; replaced verdicts count."""
    t = verdict.c
    query = select(t.id).where(t.study_id == study_id, t.revision == revision).limit(1)
    return rx.execute(query).first() is not None


def replace_verdicts(tx: Connection, reading: Reading, rows: Sequence[Mapping[str, Any]], *, now: float) -> None:
    """Add these verdicts; those that stood until now are kept as replaced."""
    _replace(tx, verdict, reading, now)
    if rows:
        tx.execute(insert(verdict), [{**reading.values(), "made_at": now, **row} for row in rows])


def find_quality(rx: Connection, reading: Reading) -> Row | None:
    """Return what the reader says of the images' quality."""
    t = image_quality.c
    query = select(t.grade, t.reasons).where(
        t.study_id == reading.study_id, t.account_id == reading.account_id, t.revision == reading.revision,
        t.replaced_at.is_(None),
    )  # fmt: skip
    return next(iter(_rows(rx, query)), None)


def replace_quality(tx: Connection, reading: Reading, values: Mapping[str, Any] | None, *, now: float) -> None:
    """Add what the reader says of the images' quality; what stood until now is kept as replaced."""
    _replace(tx, image_quality, reading, now)
    if values is not None:
        tx.execute(insert(image_quality).values(**reading.values(), made_at=now, **values))


def add_events(tx: Connection, reading: Reading, events: Sequence[Mapping[str, Any]]) -> None:
    """Add what happened while the case was open."""
    values = {"site_id": reading.site_id, "study_id": reading.study_id, "account_id": reading.account_id}
    tx.execute(insert(reading_event), [{**values, **event} for event in events])


def draft_updated_at(rx: Connection, study_id: int, account_id: int | None) -> float | None:
    """Return when the reader's draft of a report was last kept."""
    t = report_draft.c
    query = select(t.updated_at).where(t.study_id == study_id, t.account_id == account_id)
    return rx.execute(query).scalar_one_or_none()


def shown_findings(rx: Connection, reading: Reading, finding_ids: Sequence[int]) -> dict[int, Row]:
    """Return those of these findings that readers of this revision see, with the package and image of each."""
    query = (
        select(
            finding.c.id, finding.c.finding, finding.c.presence, finding.c.probability, finding.c.threshold,
            run.c.instance_id, run.c.package, run.c.package_version, run.c.package_sha256,
        )
        .join(run, run.c.id == finding.c.run_id)
        .join(revision, revision.c.id == finding.c.revision_id)
        .where(
            finding.c.id.in_(finding_ids),
            finding.c.study_id == reading.study_id,
            finding.c.shown,
            revision.c.number <= reading.revision,
        )
    )  # fmt: skip
    return {row["id"]: row for row in _rows(rx, query)}


def _replace(tx: Connection, table: Any, reading: Reading, now: float) -> None:
    t = table.c
    tx.execute(
        update(table)
        .where(
            t.study_id == reading.study_id, t.account_id == reading.account_id, t.revision == reading.revision,
            t.replaced_at.is_(None),
        )
        .values(replaced_at=now)
    )  # fmt: skip


def _rows(rx: Connection, query: Select[Any]) -> list[Row]:
    return [dict(row) for row in rx.execute(query).mappings()]
