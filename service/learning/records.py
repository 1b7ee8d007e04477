"""The SQL of signed cases: films of studies with a standing final report, and what its signer said of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Select, exists, select

from preprocessing.header import from_json
from preprocessing.view import read_view
from service.catalogue import FINDING_CODES, findings
from service.learning.cases import FRONTAL, MODALITIES, Film, Judged, word_of
from service.results.visibility import FINAL
from service.tables import (
    first_impression,
    instance,
    report,
    report_version,
    series,
    site,
    study,
    verdict,
)

Row = dict[str, Any]


def signed_films(rx: Connection, site_ids: Sequence[int], *, since: float) -> list[Film]:
    """Return the films of every study of these sites whose report was made final since then and still stands."""
    return [film for case in _signed(rx, site_ids, since) for film in _films(rx, case)]


def _signed(rx: Connection, site_ids: Sequence[int], since: float) -> list[Row]:
    """Return the newest final version of each report that nobody has taken back since."""
    v, later = report_version.c, report_version.alias()
    superseded = exists().where(
        later.c.report_id == v.report_id, later.c.number > v.number, later.c.status.in_((*FINAL, "cancelled"))
    )
    query = (
        select(
            study.c.id.label("study_id"), study.c.public_id, study.c.patient_id, study.c.patient_sex,
            study.c.age_years, site.c.id.label("site_id"), site.c.code.label("site"), v.account_id,
            v.study_revision, v.content,
        )
        .join(report, report.c.id == v.report_id)
        .join(study, study.c.id == report.c.study_id)
        .join(site, site.c.id == study.c.site_id)
        .where(
            site.c.id.in_(site_ids), v.status.in_(FINAL), v.signed_at >= since,
            ~superseded.correlate_except(later),
        )
        .order_by(study.c.id)
    )  # fmt: skip
    return _rows(rx, query)


def _films(rx: Connection, case: Row) -> list[Film]:
    reader = _reader_of(rx, case)
    if reader is None:
        return []
    signed = case["content"].get("content", {})
    judged = (*_as_signed(_judged(rx, case, reader), signed), *_reported(signed))
    impression = _impression(rx, case, reader)
    images = [(row, from_json(row["header"])) for row in _images(rx, case)]
    frontal = Counter(
        header.modality in MODALITIES and read_view(header).view in FRONTAL for _, header in images
    )[True]  # fmt: skip
    return [
        Film(
            site=case["site"],
            site_id=case["site_id"],
            patient=case["patient_id"] or case["public_id"],
            instance_id=row["id"],
            sop_instance_uid=row["sop_instance_uid"],
            content_sha256=row["content_sha256"],
            header=header,
            age_years=case["age_years"],
            sex=case["patient_sex"],
            is_only_frontal=frontal == 1,
            judged=judged,
            impression=impression,
        )
        for row, header in images
    ]


def _reader_of(rx: Connection, case: Row) -> int | None:
    """Return who read these images: the signer; where a chief corrected the report, the first who judged them."""
    t = first_impression.c
    readers = list(
        rx.execute(
            select(t.account_id)
            .where(t.study_id == case["study_id"], t.revision == case["study_revision"])
            .order_by(t.id)
        ).scalars()
    )
    return case["account_id"] if case["account_id"] in readers else next(iter(readers), None)


def _images(rx: Connection, case: Row) -> list[Row]:
    i = instance.c
    query = (
        select(i.id, i.sop_instance_uid, i.content_sha256, i.header)
        .join(series, series.c.id == i.series_id)
        .where(i.study_id == case["study_id"], i.is_result.is_(False), i.revision <= case["study_revision"])
        .order_by(i.id)
    )
    return _rows(rx, query)


def _judged(rx: Connection, case: Row, account_id: int) -> tuple[Judged, ...]:
    t = verdict.c
    query = (
        select(t.instance_id, t.finding_code, t.judgement, t.place, t.ai_visible, t.presence)
        .where(
            t.study_id == case["study_id"],
            t.account_id == account_id,
            t.revision == case["study_revision"],
            t.replaced_at.is_(None),
        )
        .order_by(t.id)
    )
    return tuple(
        Judged(
            row["instance_id"], row["finding_code"], row["judgement"], row["presence"],
            tuple(row["place"]) if row["place"] else None, row["ai_visible"],
        )
        for row in _rows(rx, query)
    )  # fmt: skip


def _as_signed(judged: Iterable[Judged], content: Mapping[str, Any]) -> Iterator[Judged]:
    """Give the verdicts; of a finding that the reader held true and the signed text does not name, only the doubt.

    Who corrected the report, or its author on a second look, took that word back. Codes of a package that no report
    can name are left as they were said.
    """
    told = {one["code"] for one in content.get("findings", ()) if one["presence"] != "absent"}
    for one in judged:
        can_be_told = one.code in FINDING_CODES and findings()[one.code].is_reportable
        if can_be_told and one.code not in told and word_of(one) == "present":
            yield replace(one, judgement="uncertain")
        else:
            yield one


def _reported(content: Mapping[str, Any]) -> Iterator[Judged]:
    """Give what the signed text names beside the verdicts: a film of which it says something is not without findings.

    A report is written with the AI in view. What it calls absent is its template's wording and labels nothing.
    """
    for one in content.get("findings", ()):
        if one["presence"] != "absent":
            judgement = "missed" if one["presence"] == "present" else "uncertain"
            yield Judged(None, one["code"], judgement, None, None, ai_visible=True)


def _impression(rx: Connection, case: Row, account_id: int) -> str | None:
    t = first_impression.c
    query = select(t.impression).where(
        t.study_id == case["study_id"], t.account_id == account_id, t.revision == case["study_revision"]
    )
    found: str | None = rx.execute(query).scalar_one_or_none()
    return found


def _rows(rx: Connection, query: Select[Any]) -> list[Row]:
    return [dict(row) for row in rx.execute(query).mappings()]
