"""Signed verdicts → labels of films: what is held true, whether AI was seen, and nothing that names a patient."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from preprocessing.header import InstanceHeader
from preprocessing.scope import is_chest_text
from preprocessing.view import View, read_view

Label = Literal["present", "absent"]

ANY_FINDING = "any_finding"
OLDEST_YEARS = 90.0
"""Ages above 89 are so rare that they name people; all of them are given as 90."""
VIEWS = {View.PA: "PA", View.AP: "AP"}
FRONTAL = frozenset({View.PA, View.AP, View.FRONTAL})
MODALITIES = frozenset({"CR", "DX", "DR", "RG"})


@dataclass(frozen=True, slots=True)
class Judged:
    """One verdict that stood when the report was signed.

    Attributes:
        instance_id: The image that it is on; None: the study as a whole.
        presence: What the AI said of the finding; None for one that it missed.
    """

    instance_id: int | None
    code: str
    judgement: str
    presence: str | None
    place: tuple[float, float, float, float] | None
    ai_visible: bool


@dataclass(frozen=True, slots=True)
class Film:
    """One image of a study with a signed report.

    Attributes:
        patient: The site's Patient ID, or the study's public id where there is none; never leaves as it is.
        is_only_frontal: No other frontal film of the study could be the one that a word on the study means.
        judged: The signer's verdicts on the study.
        impression: His first impression, before he saw what the AI found; None when he gave none.
    """

    site: str
    site_id: int
    patient: str
    instance_id: int
    sop_instance_uid: str
    content_sha256: str
    header: InstanceHeader
    age_years: float | None
    sex: str | None
    is_only_frontal: bool
    judged: tuple[Judged, ...]
    impression: str | None


@dataclass(frozen=True, slots=True)
class Labels:
    """What is held true of one film.

    Attributes:
        by_finding: What is not named is unknown: silence is never "absent".
        boxes: Where the radiologist marked a finding: (finding, left, top, width, height) in the film's pixels.
        with_ai: Some of it was said by someone who saw what the AI found: it must not be taken for a second opinion.
    """

    by_finding: Mapping[str, Label]
    boxes: tuple[tuple[str, float, float, float, float], ...]
    with_ai: bool


def labels_of(film: Film) -> Labels:
    """Return what the signer's verdicts and first impression say of a film."""
    mine = [one for one in film.judged if _is_on(one, film)]
    found: dict[str, Label] = {}
    for one in mine:
        label = word_of(one)
        # A finding that one output overcalled and the reader then marked himself is there.
        if label is not None and found.get(one.code) != "present":
            found[one.code] = label
    with_ai = any(one.ai_visible for one in mine if word_of(one) is not None)
    if ANY_FINDING not in found:
        if "present" in found.values():
            found[ANY_FINDING] = "present"
        elif film.impression == "normal" and film.is_only_frontal and not _leaves_doubt(film.judged):
            found[ANY_FINDING] = "absent"
    boxes = tuple(
        (one.code, left, top, right - left, bottom - top)
        for one in mine
        if one.judgement == "missed" and one.instance_id is not None and one.place is not None
        for left, top, right, bottom in [one.place]
    )
    return Labels(found, boxes, with_ai)


def why_not(film: Film) -> str | None:
    """Return why a film is not given out; None when it may be."""
    header = film.header
    if header.modality not in MODALITIES or read_view(header).view not in FRONTAL:
        return "not_a_frontal_film"
    if is_chest_text(header.body_part_examined or "") is False:
        return "not_a_chest"
    if (header.burned_in_annotation or "").strip().upper() == "YES":
        return "burned_in_annotation"
    return None


def pseudonym(key: bytes, site: str, what: str) -> str:
    """Return the name under which a patient or image leaves the site: the same every time, and no way back."""
    return hmac.new(key, f"{site}/{what}".encode(), hashlib.sha256).hexdigest()[:20]


def row_of(film: Film, labels: Labels, *, key: bytes, data_set: str, image: str, split: str | None) -> dict[str, Any]:
    """Return the film's line of cases.jsonl (docs/manifest.md)."""
    age = film.age_years
    row: dict[str, Any] = {
        "set": data_set,
        "image": image,
        "patient": f"{film.site}-{pseudonym(key, film.site, film.patient)}",
        "labels": dict(sorted(labels.by_finding.items())),
        "age_years": None if age is None else OLDEST_YEARS if age >= OLDEST_YEARS else round(age, 2),
        "sex": film.sex if film.sex in ("F", "M", "O") else "",
        "view": VIEWS.get(read_view(film.header).view, ""),
        "boxes": [list(box) for box in labels.boxes],
        "split": split,
    }
    return {name: value for name, value in row.items() if value not in (None, "", [])}


def _is_on(one: Judged, film: Film) -> bool:
    return one.instance_id == film.instance_id or (one.instance_id is None and film.is_only_frontal)


def word_of(one: Judged) -> Label | None:
    """Return what a verdict says: the AI's word, its opposite, or nothing where the reader was not sure."""
    match one.judgement, one.presence:
        case ("missed", _) | ("confirmed", "present") | ("rejected", "absent"):
            return "present"
        case ("confirmed", "absent") | ("rejected", "present"):
            return "absent"
    return None


def _leaves_doubt(judged: Sequence[Judged]) -> bool:
    return any(one.judgement == "uncertain" or word_of(one) == "present" for one in judged)
