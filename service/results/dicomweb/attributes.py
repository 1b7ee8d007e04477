"""Which DICOM attributes a search knows, where they are kept, and how they look in the DICOM JSON model (PS3.18 F)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import Any, Literal

from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword

Json = dict[str, Any]

Matching = Literal["text", "name", "uid", "code", "date", "time", "number", "modalities", "none"]
"""How a value is compared; `none` can be asked for, not searched by."""


class Level(IntEnum):
    """What a search returns."""

    STUDY = 1
    SERIES = 2
    INSTANCE = 3


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of the search.

    Attributes:
        keyword: As in the DICOM dictionary.
        level: Of the resource that it describes.
        column: The row's key that holds it: a column of the level's table, or a name that the records compute.
        matching: How it is searched by.
        is_default: Returned without being asked for (DWB-12).
    """

    keyword: str
    level: Level
    column: str
    matching: Matching
    is_default: bool = True
    sequence: str = ""
    """Keyword of the sequence whose item holds it; empty for one of the data set itself."""
    folded: str = ""
    """Column of a name without case and accents, which it is searched by."""

    @property
    def name(self) -> str:
        """Keyword as a query gives it: with that of its sequence."""
        return f"{self.sequence}.{self.keyword}" if self.sequence else self.keyword

    @property
    def tags(self) -> tuple[int, ...]:
        """The tags on the way to it."""
        return tuple(int(tag_for_keyword(keyword) or 0) for keyword in self.name.split("."))

    @property
    def path(self) -> str:
        """The tags on the way to it as a query gives them."""
        return ".".join(f"{tag:08X}" for tag in self.tags)

    @property
    def tag(self) -> int:
        """The tag as a number."""
        return int(tag_for_keyword(self.keyword) or 0)

    @property
    def vr(self) -> str:
        """The value representation."""
        return str(dictionary_VR(self.tag))


_S, _E, _I = Level.STUDY, Level.SERIES, Level.INSTANCE

ATTRIBUTES: tuple[Attribute, ...] = (
    Attribute("StudyDate", _S, "study_date", "date"),
    Attribute("StudyTime", _S, "study_time", "time"),
    Attribute("AccessionNumber", _S, "accession_number", "text"),
    Attribute("InstanceAvailability", _S, "availability", "none"),
    Attribute("ModalitiesInStudy", _S, "modalities_in_study", "modalities"),
    Attribute("TimezoneOffsetFromUTC", _S, "timezone_offset_from_utc", "none"),
    Attribute("ReferringPhysicianName", _S, "referring_physician_name", "name", folded="referring_physician_folded"),
    Attribute("PatientName", _S, "patient_name", "name", folded="patient_name_folded"),
    Attribute("PatientID", _S, "patient_id", "text"),
    Attribute("PatientBirthDate", _S, "patient_birth_date", "date"),
    Attribute("PatientSex", _S, "patient_sex", "code"),
    Attribute("StudyInstanceUID", _S, "study_instance_uid", "uid"),
    Attribute("StudyID", _S, "study_id_text", "text"),
    Attribute("StudyDescription", _S, "study_description", "text", is_default=False),
    Attribute("NumberOfStudyRelatedSeries", _S, "number_of_series", "none"),
    Attribute("NumberOfStudyRelatedInstances", _S, "number_of_instances", "none"),
    Attribute("Modality", _E, "modality", "code"),
    Attribute("SeriesDescription", _E, "series_description", "text"),
    Attribute("BodyPartExamined", _E, "body_part_examined", "code", is_default=False),
    Attribute("SeriesInstanceUID", _E, "series_instance_uid", "uid"),
    Attribute("SeriesNumber", _E, "series_number", "number"),
    Attribute("PerformedProcedureStepStartDate", _E, "performed_date", "date"),
    Attribute("PerformedProcedureStepStartTime", _E, "performed_time", "time"),
    Attribute(
        "ScheduledProcedureStepID", _E, "scheduled_procedure_step_id", "text", sequence="RequestAttributesSequence"
    ),
    Attribute("RequestedProcedureID", _E, "requested_procedure_id", "text", sequence="RequestAttributesSequence"),
    Attribute("NumberOfSeriesRelatedInstances", _E, "series_instance_count", "none"),
    Attribute("SOPClassUID", _I, "sop_class_uid", "uid"),
    Attribute("SOPInstanceUID", _I, "sop_instance_uid", "uid"),
    Attribute("InstanceNumber", _I, "instance_number", "number"),
    Attribute("AvailableTransferSyntaxUID", _I, "transfer_syntax_uid", "none"),
    Attribute("Rows", _I, "rows", "none"),
    Attribute("Columns", _I, "columns", "none"),
    Attribute("BitsAllocated", _I, "bits_allocated", "none"),
    Attribute("NumberOfFrames", _I, "number_of_frames", "none"),
    Attribute("SamplesPerPixel", _I, "samples_per_pixel", "none", is_default=False),
    Attribute("PhotometricInterpretation", _I, "photometric_interpretation", "none", is_default=False),
    Attribute("BitsStored", _I, "bits_stored", "none", is_default=False),
    Attribute("ViewPosition", _I, "view_position", "none", is_default=False),
    Attribute("ImageType", _I, "image_type", "none", is_default=False),
)

BY_TAGS: Mapping[tuple[int, ...], Attribute] = {attribute.tags: attribute for attribute in ATTRIBUTES}


def tag_of(name: str) -> int | None:
    """Return the tag of a keyword or of eight hexadecimal digits; None when the DICOM dictionary knows neither."""
    if len(name) == 8 and all(digit in "0123456789abcdefABCDEF" for digit in name):
        tag = int(name, 16)
        return tag if keyword_for_tag(tag) else None
    if not name.isascii() or not name.isalnum():
        return None
    found = tag_for_keyword(name)
    return None if found is None else int(found)


_SEVERAL = (tuple, list)


@cache
def named(keyword: str) -> tuple[str, str]:
    """Return an attribute's tag, as the DICOM JSON model writes it, and its value representation."""
    tag = tag_for_keyword(keyword) or 0
    return f"{tag:08X}", dictionary_VR(tag)


def element(keyword: str, value: object) -> tuple[str, Json]:
    """Return one attribute as (tag, element) of the DICOM JSON model; an absent value is an element without one."""
    tag, vr = named(keyword)
    return tag, json_element(vr, value)


def json_element(vr: str, value: object) -> Json:
    """Return a value as an element of the DICOM JSON model (PS3.18 F.2.2); a tuple or list is several values."""
    if isinstance(value, _SEVERAL):
        values = [part for part in value if part is not None and part != ""]
    else:
        values = [] if value is None or value == "" else [value]
    if not values:
        return {"vr": vr}
    if vr == "PN":
        return {"vr": vr, "Value": [person_name(str(part)) for part in values]}
    return {"vr": vr, "Value": values}


def person_name(text: str) -> dict[str, str]:
    """Return a person name's component groups by their JSON names."""
    if text and "=" not in text:
        return {"Alphabetic": text}
    groups = zip(("Alphabetic", "Ideographic", "Phonetic"), text.split("="), strict=False)
    return {group: part for group, part in groups if part}
