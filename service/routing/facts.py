"""The closed set of facts that a rule may ask for: who sent an image, and what its header says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

from pydicom.uid import UID_dictionary

from preprocessing.header import InstanceHeader, age_years

WordFact = Literal[
    "site", "sender", "door", "requested_priority", "modality", "sop_class", "transfer_syntax", "image_type",
    "body_part", "view_position", "laterality", "study_description", "series_description", "protocol_name",
    "station_name", "manufacturer", "model_name", "sex",
]  # fmt: skip
WORD_FACTS: tuple[WordFact, ...] = get_args(WordFact)
AGE = "age_years"

PRIORITIES: Mapping[str, int] = {"stat": 1, "urgent": 2, "routine": 3}
"""Priority classes by their words; the smaller, the sooner."""

MAX_VALUE_LENGTH = 1_024
"""No attribute that a rule asks for is longer by the standard; of a longer one the beginning counts."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What is known of an image beside its header."""

    site: str
    sender: str | None
    """AE title, or the name of the key or account."""
    door: str
    requested_priority: int
    """The center's own class."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one image.

    Attributes:
        words: The values of each fact; none: unknown. An image type or a coded class has several.
        age_years: At the study; None is unknown.
    """

    words: Mapping[str, tuple[str, ...]]
    age_years: float | None


def facts_of(header: InstanceHeader, origin: Origin) -> Facts:
    """Return the facts of one image."""
    region = header.anatomic_region
    view = header.view_code
    words: dict[WordFact, tuple[str | None, ...]] = {
        "modality": (header.modality,),
        "sop_class": (header.sop_class_uid, _name_of(header.sop_class_uid)),
        "transfer_syntax": (header.transfer_syntax_uid, _name_of(header.transfer_syntax_uid)),
        "image_type": header.image_type,
        "body_part": (header.body_part_examined, region.meaning if region else None),
        "view_position": (header.view_position, view.meaning if view else None),
        "laterality": (header.image_laterality, header.laterality),
        "study_description": (header.study_description,),
        "series_description": (header.series_description,),
        "protocol_name": (header.protocol_name,),
        "station_name": (header.station_name,),
        "manufacturer": (header.manufacturer,),
        "model_name": (header.manufacturer_model_name,),
        "sex": (header.patient_sex,),
    }
    known: dict[str, tuple[str, ...]] = {
        fact: tuple(dict.fromkeys(v[:MAX_VALUE_LENGTH] for v in values if v)) for fact, values in words.items()
    }
    return Facts({**known, **_sent(origin)}, age_years(header))


def sent_by(words: Mapping[WordFact, Sequence[str]], age: float | None, origin: Origin) -> Facts:
    """Return the facts of an image that was read before, as another origin would send it."""
    return Facts({**{fact: tuple(words.get(fact, ())) for fact in WORD_FACTS}, **_sent(origin)}, age)


def _sent(origin: Origin) -> dict[str, tuple[str, ...]]:
    priority = tuple(word for word, value in PRIORITIES.items() if value == origin.requested_priority)
    sender = (origin.sender[:MAX_VALUE_LENGTH],) if origin.sender else ()
    return {"site": (origin.site,), "sender": sender, "door": (origin.door,), "requested_priority": priority}


@cache
def _name_of(uid: str | None) -> str | None:
    """Return the standard's name of a UID, so that a rule may say `*Ultrasound*`."""
    known = UID_dictionary.get(uid or "")
    return known[0] if known else None
