"""A reader's judgements: the first impression, stored before he knows the AI's; then a verdict on each finding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from service.errors import Conflict, Invalid
from service.reading import case_records, records
from service.reading.records import Reading
from service.reading.requests import EventsGiven, ImpressionGiven, QualityGiven, VerdictGiven, VerdictsGiven
from service.worklist.policies import ReadingPolicy

EVENT_BEFORE_S, EVENT_AHEAD_S = 86_400.0, 60.0
"""A page's clock may differ; an event that it puts further away is noted at the moment of its arrival."""

_OF_FINDING = ("presence", "probability", "threshold", "package", "package_version", "package_sha256")
"""What a verdict keeps of the finding that it is on: a later run may say something else."""
_STORED = ("finding_id", "instance_id", "finding_code", "judgement", "place", "side", "severity", "ai_visible")


def store_impression(
    tx: Connection, reading: Reading, given: ImpressionGiven, *, policy: ReadingPolicy, state: str, now: float
) -> bool:
    """Store the first impression of the study's newest revision; returns false when it stood there already.

    Args:
        tx: The transaction in which the claim was checked.
        reading: Who, on what.
        given: What he sent.
        policy: Under which he read.
        state: Of the study: while its images still arrive, an impression would be of some of them only.
        now: Seconds since 1970 UTC.

    Raises:
        Conflict: `impression_stored`, another one stands; `still_arriving`.
        Invalid: A place is on no image of the study.
    """
    before = records.find_impression(tx, reading)
    places = [place.model_dump() for place in given.places]
    if before is not None:
        if (before["impression"], before["places"]) == (given.impression, places):
            return False
        raise Conflict("Your first impression of these images stands and cannot be changed.", code="impression_stored")
    if state == "arriving":
        raise Conflict("Images of this study still arrive. Look again when they are all here.", code="still_arriving")
    _check_places(tx, reading, given)
    values = {"impression": given.impression, "places": places, "seconds": given.seconds, "policy": policy}
    records.add_impression(tx, reading, {**values, "made_at": now})
    records.add_events(tx, reading, [{"kind": "impression", "detail": {"revision": reading.revision}, "at": now}])
    return True


def store_verdicts(tx: Connection, reading: Reading, given: VerdictsGiven, *, now: float) -> bool:
    """Store a reader's verdicts in the place of his earlier ones; returns false when they stood there already.

    Raises:
        Conflict: `impression_first`: there is no first impression of these images.
        Invalid: A verdict is on no finding of this study that readers see, or on no image of it.
    """
    if records.find_impression(tx, reading) is None:
        raise Conflict("Give your first impression of these images before your verdicts.", code="impression_first")
    rows = _verdict_rows(tx, reading, given)
    quality = given.quality.model_dump() if given.quality else None
    standing = [{name: row[name] for name in _STORED} for row in records.list_verdicts(tx, reading)]
    is_new = standing != [{name: row[name] for name in _STORED} for row in rows]
    if is_new:
        records.replace_verdicts(tx, reading, rows, now=now)
    if records.find_quality(tx, reading) != quality:
        records.replace_quality(tx, reading, quality, now=now)
        is_new = True
    return is_new


def store_events(tx: Connection, reading: Reading, given: EventsGiven, *, now: float) -> None:
    """Store what a reader's page did while the case was open."""
    rows = [
        {
            "kind": event.kind,
            "detail": {**event.detail, "revision": reading.revision},
            "at": event.at if now - EVENT_BEFORE_S <= event.at <= now + EVENT_AHEAD_S else now,
        }
        for event in given.events
    ]
    records.add_events(tx, reading, rows)


def quality_of(tx: Connection, reading: Reading) -> QualityGiven | None:
    """Return what the reader says of the images' quality."""
    row = records.find_quality(tx, reading)
    return QualityGiven(**row) if row else None


def _check_places(tx: Connection, reading: Reading, given: ImpressionGiven) -> None:
    images = case_records.image_ids(tx, reading.study_id, [place.instance for place in given.places])
    for place in given.places:
        image = images.get(place.instance)
        if image is None or not _is_inside(image, (place.x, place.y)):
            raise Invalid("A place is not on an image of this study.", code="no_such_place")


def _verdict_rows(tx: Connection, reading: Reading, given: VerdictsGiven) -> list[dict[str, Any]]:
    wanted = [verdict.finding_id for verdict in given.verdicts if verdict.finding_id is not None]
    findings = records.shown_findings(tx, reading, wanted)
    images = case_records.image_ids(tx, reading.study_id, [v.instance for v in given.verdicts if v.instance])
    return [_verdict_row(verdict, given, findings, images) for verdict in given.verdicts]


def _verdict_row(
    verdict: VerdictGiven,
    given: VerdictsGiven,
    findings: Mapping[int, Mapping[str, Any]],
    images: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    image = images.get(verdict.instance) if verdict.instance else None
    if verdict.instance and image is None:
        raise Invalid("A verdict names an image that this study does not have.", code="no_such_place")
    if image is not None and verdict.place and not _is_inside(image, verdict.place[2:]):
        raise Invalid("A verdict's place is not on its image.", code="no_such_place")
    row: dict[str, Any] = {
        "finding_id": verdict.finding_id,
        "instance_id": image["id"] if image else None,
        "finding_code": verdict.code,
        "judgement": verdict.judgement,
        "place": list(verdict.place) if verdict.place else None,
        "side": verdict.side,
        "severity": verdict.severity,
        "ai_visible": given.ai_visible,
        "seconds": given.seconds,
        **dict.fromkeys(_OF_FINDING),
    }
    if verdict.finding_id is None:
        return row
    finding = findings.get(verdict.finding_id)
    if finding is None or finding["finding"] != verdict.code:
        raise Invalid("A verdict is on a finding that this study does not have.", code="no_such_finding")
    row |= {name: finding[name] for name in (*_OF_FINDING, "instance_id")}
    # Who judges a finding of the AI has seen it, whatever his page says.
    return row | {"ai_visible": True}


def _is_inside(image: Mapping[str, Any], point: Sequence[float]) -> bool:
    """Tell whether a point is on an image; an image whose size nobody stated holds every point."""
    return point[0] <= (image["columns"] or point[0]) and point[1] <= (image["rows"] or point[1])
