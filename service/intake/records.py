"""The intake's SQL: sites' studies, series and instances, and what was held or refused."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from sqlalchemy import Connection, bindparam, func, insert, select, update

from preprocessing.header import InstanceHeader, age_years
from preprocessing.header import to_json as header_json
from service import tables
from service.intake.arrival import Arrival
from service.intake.outcomes import IntakeReason, Kind
from service.intake.problem_records import hold, short
from service.intake.studies import PRIORITY_ROUTINE, fold, quiet_time_s, when_due
from service.intake.verify import belongs_nowhere
from service.routing import Origin
from service.routing.records import NEWEST, RuleBook, values_of
from service.routing.studies import Routed, Waits, route

# Built once: an instance takes six of them before its sender gets an answer, and building costs more than running.
_i, _s, _e = tables.instance.c, tables.study.c, tables.series.c
_KNOWN = select(_i.content_sha256, _i.transfer_syntax_uid, _i.is_result).where(
    _i.site_id == bindparam("site"), _i.sop_instance_uid == bindparam("uid")
)
_SITE = select(
    tables.site.c.code.label("site_code"), tables.site.c.policy, NEWEST.label("rules_revision")
).where(tables.site.c.id == bindparam("site"))  # fmt: skip
_FIND_STUDY = (
    select(
        _s.id, _s.patient_id, _s.modalities, _s.flags, _s.state, _s.revision, _s.series_count, _s.instance_count,
        _s.arriving_since, _s.expected_instances, _s.center_priority, _s.routing, tables.site.c.policy,
        tables.site.c.code.label("site_code"), NEWEST.label("rules_revision"),
    )
    .join(tables.site, _s.site_id == tables.site.c.id)
    .where(_s.site_id == bindparam("site"), _s.study_instance_uid == bindparam("uid"))
    .with_for_update(of=tables.study)
)  # fmt: skip
_COUNT_STUDY = update(tables.study).where(_s.id == bindparam("study"))
_COUNT_SERIES = (
    update(tables.series)
    .where(_e.study_id == bindparam("study"), _e.series_instance_uid == bindparam("uid"))
    .values(instance_count=_e.instance_count + 1)
    .returning(_e.id)
)
_ADD_INSTANCE = insert(tables.instance)

LARGEST_INTEGER_STRING = 2**31 - 1
"""PS3.5 section 6.2, VR IS. Some writers put longer numbers there, which no column holds."""

TellList = Callable[[Connection, int, float], None]
"""Called in the transaction that first sees a study or makes it more urgent: (connection, study_id, now)."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Settings and routing rules that decide when a study settles, and who must hear of a new one."""

    quiet_s: Mapping[str, float]
    partial_after_s: float
    max_instances: int
    tell_list: TellList | None
    book: RuleBook


@dataclass(frozen=True, slots=True)
class _Study:
    id: int
    patient_id: str | None
    modalities: tuple[str, ...]
    flags: tuple[str, ...]
    state: str
    revision: int
    series_count: int
    instance_count: int
    arriving_since: float
    expected_instances: int | None
    center_priority: int
    routing: list[dict[str, object]] | None
    policy: Mapping[str, object]
    """Of its site."""
    site_code: str
    rules_revision: int | None
    """Of the routing rules that hold."""
    is_new: bool = False


def keep(tx: Connection, arrival: Arrival, rules: Rules, now: float) -> tuple[Kind, IntakeReason | None]:
    """Write the rows of one instance; the same content is accepted once, other content under its UID is held.

    The same bytes under another transfer syntax say something else: they are other content.
    """
    header, sender = arrival.header, arrival.sender
    if belongs_nowhere(header):
        hold(tx, arrival, IntakeReason.NO_STUDY, now)
        return Kind.HELD, IntakeReason.NO_STUDY
    known = tx.execute(_KNOWN, {"site": sender.site_id, "uid": header.sop_instance_uid}).one_or_none()
    same = (arrival.content_sha256, header.transfer_syntax_uid)
    if known is not None and (known.content_sha256, known.transfer_syntax_uid) == same:
        return Kind.DUPLICATE, None
    if known is not None:
        policy = tx.execute(_SITE, {"site": sender.site_id}).one().policy
        # A center's PACS that sends our own result back has changed its patient attributes: no conflict of films.
        is_warned = known.is_result or policy.get("conflict_answer") == "warn"
        reason = IntakeReason.CONFLICT_KEPT if is_warned else IntakeReason.CONFLICT
        hold(tx, arrival, reason, now)
        return Kind.HELD, reason
    study = _study(tx, arrival, now)
    if study.instance_count >= rules.max_instances:
        return Kind.REFUSED, IntakeReason.STUDY_FULL
    study, series_id = _series(tx, arrival, study)
    origin = Origin(study.site_code, sender.name, sender.door.value, study.center_priority)
    routed = route(header, origin, study.routing, rules.book.of(tx, study.rules_revision))
    quiet_s = quiet_time_s(header.modality, study.policy, rules.quiet_s)
    study = _count(tx, arrival, study, routed, routed.waits(quiet_s, rules.partial_after_s), now)
    tx.execute(
        _ADD_INSTANCE,
        {
            "site_id": sender.site_id,
            "study_id": study.id,
            "series_id": series_id,
            "sop_instance_uid": header.sop_instance_uid,
            "sop_class_uid": header.sop_class_uid,
            "transfer_syntax_uid": header.transfer_syntax_uid,
            "instance_number": _integer(header.instance_number),
            "content_sha256": arrival.content_sha256,
            "size_bytes": arrival.size_bytes,
            "header": header_json(header),
            "revision": study.revision,
            "door": sender.door.value,
            "sender": sender.name,
            "received_at": now,
            "is_result": False,
        },
    )
    if rules.tell_list is not None and (study.is_new or routed.is_more_urgent):
        rules.tell_list(tx, study.id, now)
    return Kind.STORED, None


def newest_contents(rx: Connection, at_most: int) -> frozenset[tuple[int, str, str]]:
    """Return site, SHA-256 and transfer syntax of the instances that were stored last."""
    query = select(_i.site_id, _i.content_sha256, _i.transfer_syntax_uid).order_by(_i.id.desc()).limit(at_most)
    return frozenset((row.site_id, row.content_sha256, row.transfer_syntax_uid) for row in rx.execute(query))


def _study(tx: Connection, arrival: Arrival, now: float) -> _Study:
    header, sender, t = arrival.header, arrival.sender, tables.study
    found = tx.execute(_FIND_STUDY, {"site": sender.site_id, "uid": header.study_instance_uid})
    row = found.mappings().one_or_none()
    if row is not None:
        modalities = tuple(m for m in row["modalities"].split("\\") if m)
        return _Study(**{**row, "modalities": modalities, "flags": tuple(row["flags"])})
    site = tx.execute(_SITE, {"site": sender.site_id}).mappings().one()
    study_id = tx.execute(
        insert(t)
        .values(
            site_id=sender.site_id,
            public_id=secrets.token_hex(16),
            study_instance_uid=header.study_instance_uid,
            patient_id=header.patient_id,
            patient_name=header.patient_name,
            patient_name_folded=fold(header.patient_name) if header.patient_name else None,
            patient_birth_date=short(header.patient_birth_date, 8),
            patient_sex=short(header.patient_sex, 16),
            age_years=age_years(header),
            study_date=short(header.study_date, 8),
            study_time=short(header.study_time, 16),
            study_id_text=header.study_id,
            accession_number=header.accession_number,
            referring_physician_name=header.referring_physician_name,
            referring_physician_folded=(
                fold(header.referring_physician_name) if header.referring_physician_name else None
            ),
            timezone_offset_from_utc=short(header.timezone_offset_from_utc, 16),
            study_description=header.study_description,
            modalities="",
            series_count=0,
            instance_count=0,
            flags=[],
            state="arriving",
            revision=1,
            first_image_at=now,
            last_instance_at=now,
            arriving_since=now,
            settle_at=now,
            settle_by="quiet",
            center_priority=PRIORITY_ROUTINE,
        )
        .returning(t.c.id)
    ).scalar_one()
    first = {"modalities": (), "flags": (), "state": "arriving", "revision": 1, "series_count": 0, "instance_count": 0}
    asked = {"expected_instances": None, "center_priority": PRIORITY_ROUTINE, "routing": None}
    known = {"id": study_id, "patient_id": header.patient_id, "arriving_since": now}
    return _Study(**{**first, **asked, **known, **site}, is_new=True)


def _series(tx: Connection, arrival: Arrival, study: _Study) -> tuple[_Study, int]:
    header, t = arrival.header, tables.series
    known = {"study": study.id, "uid": header.series_instance_uid}
    found: int | None = tx.execute(_COUNT_SERIES, known).scalar_one_or_none()
    if found is not None:
        return study, found
    series_id = tx.execute(
        insert(t)
        .values(
            site_id=arrival.sender.site_id,
            study_id=study.id,
            series_instance_uid=header.series_instance_uid,
            modality=short(header.modality, 16),
            series_number=_integer(header.series_number),
            series_description=header.series_description,
            body_part_examined=short(header.body_part_examined, 64),
            performed_date=short(header.performed_procedure_step_start_date, 8),
            performed_time=short(header.performed_procedure_step_start_time, 16),
            requested_procedure_id=header.requested_procedure_id,
            scheduled_procedure_step_id=header.scheduled_procedure_step_id,
            instance_count=1,
            is_result=False,
        )
        .returning(t.c.id)
    ).scalar_one()
    return replace(study, series_count=study.series_count + 1), series_id


def _count(tx: Connection, arrival: Arrival, study: _Study, routed: Routed, waits: Waits, now: float) -> _Study:
    """Count the instance in its study; a late one opens the next revision of the same study."""
    header = arrival.header
    if study.state != "arriving":
        study = replace(study, state="arriving", revision=study.revision + 1, arriving_since=now)
    study = replace(
        study,
        instance_count=study.instance_count + 1,
        modalities=tuple(sorted({*study.modalities, *([header.modality[:16]] if header.modality else [])})),
        flags=tuple(sorted({*study.flags, *_flags(header, study)})),
    )
    due = when_due(
        now=now,
        arriving_since=study.arriving_since,
        quiet_s=waits.quiet_s,
        partial_after_s=waits.partial_after_s,
        instance_count=study.instance_count,
        expected_instances=study.expected_instances,
    )
    tx.execute(
        _COUNT_STUDY,
        {
            "study": study.id,
            "modalities": "\\".join(study.modalities),
            "flags": list(study.flags),
            "state": study.state,
            "revision": study.revision,
            "arriving_since": study.arriving_since,
            "series_count": study.series_count,
            "instance_count": study.instance_count,
            "last_instance_at": now,
            "settle_at": due.at,
            "settle_by": due.by,
            **values_of(routed.decisions),
        },
    )
    return study


def _flags(header: InstanceHeader, study: _Study) -> set[str]:
    flags = set()
    if header.charset_flag:
        flags.add(f"charset:{header.charset_flag}")
    if header.patient_id != study.patient_id:
        flags.add("patient_conflict")
    if header.patient_age and header.patient_age.strip().isdigit():
        flags.add("age_without_unit")
    if header.is_shortened:
        flags.add("text_cut")
    return flags


def study_states(rx: Connection) -> dict[str, int]:
    """Return how many studies stand in which state, over all sites."""
    s = tables.study.c
    return {row.state: row.n for row in rx.execute(select(s.state, func.count().label("n")).group_by(s.state))}


def _integer(number: int | None) -> int | None:
    return number if number is not None and abs(number) <= LARGEST_INTEGER_STRING else None


__all__ = ["Arrival", "Rules", "TellList", "keep", "study_states"]
