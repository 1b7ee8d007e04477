"""The SQL of what belongs to a case: its images, its clinical question, earlier studies of the same person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select

from service.results.visibility import FINAL, sees_version
from service.roles import Permission
from service.tables import account, clinical_question, instance, report, report_version, series, study
from service.worklist.criteria import Ask

Row = dict[str, Any]

MOST_PRIORS = 50
MOST_IMAGES_COMPARED = 2_000
"""Of all earlier studies together: a radiograph has two, and slices have no view to compare."""


def list_images(rx: Connection, study_id: int) -> list[Row]:
    """Return every received instance of a study with its series, in the order of their numbers."""
    s, i = series.c, instance.c
    query = (
        select(
            s.id.label("series_id"), s.series_instance_uid, s.modality, s.series_number, s.series_description,
            s.body_part_examined, i.id.label("instance_id"), i.header,
        )
        .join(series, s.id == i.series_id)
        .where(i.study_id == study_id, i.is_result.is_(False))
        .order_by(
            s.series_number.is_(None), s.series_number, s.id, i.instance_number.is_(None), i.instance_number, i.id
        )
    )  # fmt: skip
    return _rows(rx, query)


def geometries_of(rx: Connection, study_id: int) -> dict[int, Any]:
    """Return how the slices of each CT and MR series lie, by series id, as known since the study settled."""
    s = series.c
    rows = rx.execute(select(s.id, s.geometry).where(s.study_id == study_id, s.geometry.is_not(None)))
    return {row.id: row.geometry for row in rows}


def image_ids(rx: Connection, study_id: int, sop_instance_uids: Iterable[str]) -> dict[str, Row]:
    """Return those of these images that the study has, with their sizes, by SOP Instance UID."""
    i = instance.c
    query = select(
        i.id, i.sop_instance_uid, i.header["rows"].as_integer().label("rows"),
        i.header["columns"].as_integer().label("columns"),
    ).where(i.study_id == study_id, i.is_result.is_(False), i.sop_instance_uid.in_(set(sop_instance_uids)))  # fmt: skip
    return {row["sop_instance_uid"]: row for row in _rows(rx, query)}


def find_question(rx: Connection, site_id: int, study_instance_uid: str) -> Row | None:
    """Return the newest clinical question of a study, with who asked."""
    q = clinical_question.c
    query = (
        select(q.question, q.history, q.language, q.made_at, account.c.name.label("by"))
        .outerjoin(account, account.c.id == q.account_id)
        .where(q.site_id == site_id, q.study_instance_uid == study_instance_uid)
        .order_by(q.id.desc())
        .limit(1)
    )
    return next(iter(_rows(rx, query)), None)


def list_priors(rx: Connection, item: Mapping[str, Any]) -> list[Row]:
    """Return earlier studies of the same site and Patient ID, newest first.

    Earlier is by Study Date; of the same day, and where a date is missing, by arrival.
    """
    if not (item["patient_id"] or "").strip():
        return []
    s = study.c
    query = (
        select(
            s.id.label("study_id"), s.public_id, s.study_date, s.modalities, s.study_description,
            s.patient_birth_date, s.patient_sex,
        )
        .where(
            s.site_id == item["site_id"],
            s.patient_id == item["patient_id"],
            s.id != item["study_id"],
            _is_earlier(item["study_date"], item["first_image_at"]),
        )
        .order_by(func.coalesce(s.study_date, "").desc(), s.first_image_at.desc(), s.id.desc())
        .limit(MOST_PRIORS)
    )  # fmt: skip
    return _rows(rx, query)


def reports_of(rx: Connection, ask: Ask, study_ids: Sequence[int]) -> dict[int, Row]:
    """Return the reports of these studies that the caller would be shown, each with its newest status, by study.

    A center's programs are told of final versions only, as the reports' own routes show them.
    """
    is_reader = ask.caller.can(Permission.READ_CASES)
    if not (is_reader or ask.caller.can(Permission.SEE_OWN_STUDIES)):
        return {}
    r, of = report.alias(), report_version.alias()
    which = [r.c.study_id.in_(study_ids), sees_version(ask.sight, of, r.c.study_id)]
    if not is_reader:
        which.append(of.c.status.in_((*FINAL, "cancelled")))
    query = (
        select(r.c.study_id, r.c.public_id, of.c.status)
        .join(of, of.c.report_id == r.c.id)
        .where(*which)
        .order_by(of.c.number)
    )
    return {row["study_id"]: row for row in _rows(rx, query)}


def identity_of(rx: Connection, study_id: int) -> tuple[str | None, str | None]:
    """Return birth date and sex as the study states them."""
    row = rx.execute(select(study.c.patient_birth_date, study.c.patient_sex).where(study.c.id == study_id)).one()
    return row.patient_birth_date, row.patient_sex


def headers_of(rx: Connection, study_ids: Sequence[int]) -> list[tuple[int, dict[str, object]]]:
    """Return the headers of these studies' received projections, to compare their views."""
    query = (
        select(instance.c.study_id, instance.c.header)
        .join(series, series.c.id == instance.c.series_id)
        .where(instance.c.study_id.in_(study_ids), instance.c.is_result.is_(False), series.c.modality.in_(_COMPARED))
        .order_by(instance.c.study_id.desc(), instance.c.id)
        .limit(MOST_IMAGES_COMPARED)
    )
    return [(row.study_id, row.header) for row in rx.execute(query)]


def _is_earlier(study_date: str | None, first_image_at: float) -> ColumnElement[bool]:
    s = study.c
    arrived = s.first_image_at < first_image_at
    if not study_date:
        return arrived
    return or_(s.study_date < study_date, and_(func.coalesce(s.study_date, study_date) == study_date, arrived))


def _rows(rx: Connection, query: Select[Any]) -> list[Row]:
    return [dict(row) for row in rx.execute(query).mappings()]


_COMPARED = ("CR", "DX", "DR", "RG")
