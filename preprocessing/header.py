"""The only reader of DICOM attributes: bytes of a data set → frozen InstanceHeader."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import date
from typing import Any, BinaryIO, Final

from preprocessing.elements import Bounds, Elements, read_elements
from preprocessing.found import EVERYTHING
from preprocessing.header_tags import (
    ANATOMIC_REGION_SEQUENCE,
    CODE_MEANING,
    CODE_VALUE,
    CODING_SCHEME,
    GANTRY_TILT,
    INTEGER_TEXT,
    LIST,
    LONG_CODE_VALUE,
    PLAIN,
    REQUEST_ATTRIBUTES_SEQUENCE,
    REQUESTED_PROCEDURE_ID,
    SCHEDULED_STEP_ID,
    SHORT,
    SPACING,
    SPECIFIC_CHARACTER_SET,
    TEXT,
    UIDS,
    URN_CODE_VALUE,
    VIEW_CODE_SEQUENCE,
    WANTED,
)
from preprocessing.planes import VOLUME_CLASSES, Plane, numbers, planes_from_json, planes_to_json, read_planes
from preprocessing.text import Charset
from preprocessing.values import LONGEST_BYTES, decimals, few, integer, is_shortened, plain, short, uid, whole
from preprocessing.windows import open_window

DEFLATED_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1.99"


@dataclass(frozen=True, slots=True)
class Code:
    """A coded concept (PS3.3 section 8): value, scheme, meaning."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True, slots=True)
class InstanceHeader:
    """What we read of one instance, once, when it arrives. Text is decoded Unicode; absent values are None.

    UIDs are as sent, stripped of padding; whether they are valid is for `service.intake.verify`.
    Dates are DA text (YYYYMMDD) and times TM text, as sent.
    """

    sop_class_uid: str | None
    sop_instance_uid: str | None
    study_instance_uid: str | None
    series_instance_uid: str | None
    transfer_syntax_uid: str

    modality: str | None
    patient_id: str | None
    issuer_of_patient_id: str | None
    patient_name: str | None
    patient_birth_date: str | None
    patient_sex: str | None
    patient_age: str | None
    patient_identity_removed: str | None
    study_date: str | None
    study_time: str | None
    study_id: str | None
    accession_number: str | None
    referring_physician_name: str | None
    study_description: str | None
    series_description: str | None
    protocol_name: str | None
    series_number: int | None
    instance_number: int | None
    performed_procedure_step_start_date: str | None
    performed_procedure_step_start_time: str | None
    requested_procedure_id: str | None
    scheduled_procedure_step_id: str | None
    """Of the first item of Request Attributes Sequence."""
    timezone_offset_from_utc: str | None

    manufacturer: str | None
    manufacturer_model_name: str | None
    station_name: str | None
    image_type: tuple[str, ...]
    body_part_examined: str | None
    anatomic_region: Code | None
    view_position: str | None
    view_code: Code | None
    patient_orientation: tuple[str, ...]
    image_laterality: str | None
    laterality: str | None
    patient_position: str | None
    presentation_intent_type: str | None
    conversion_type: str | None
    burned_in_annotation: str | None
    lossy_image_compression: str | None

    samples_per_pixel: int | None
    photometric_interpretation: str | None
    presentation_lut_shape: str | None
    number_of_frames: int | None
    rows: int | None
    columns: int | None
    bits_allocated: int | None
    bits_stored: int | None
    high_bit: int | None
    pixel_representation: int | None
    pixel_spacing_mm: tuple[float, float] | None
    imager_pixel_spacing_mm: tuple[float, float] | None
    has_pixel_data: bool
    pixel_data_length_bytes: int | None
    """Length of a native Pixel Data value; None when absent or encapsulated."""

    specific_character_set: tuple[str, ...]
    charset_flag: str | None
    """Why the text may not be what the sender meant: "undeclared", "mislabelled:<what it looks like>",
    "unknown:<term>"; None when every text decoded as declared."""

    frame_of_reference_uid: str | None = None
    convolution_kernel: str | None = None
    gantry_tilt_degrees: float | None = None
    pixel_padding_value: int | None = None
    """As a bit pattern, whatever its sign."""
    pixel_padding_range_limit: int | None = None
    """The other end of a range of padding values, as a bit pattern too."""
    planes: tuple[Plane, ...] = ()
    """Where the frames of a CT or MR image lie, one for each; of any other image none."""
    is_shortened: bool = False
    """A value was longer than a header keeps: of a text the beginning is here, of anything else nothing."""


def read_header(
    file: BinaryIO, *, transfer_syntax_uid: str, offset: int, length: int, bounds: Bounds = EVERYTHING
) -> InstanceHeader:
    """Read the header of the data set in a seekable file; of the pixels only their place and length.

    What lies behind the pixels is walked too: not to read it, but to refuse what is more than we accept.

    Args:
        file: Open for reading, seekable.
        transfer_syntax_uid: As the sender declared it.
        offset: Where the data set starts (after the file meta information).
        length: How many bytes it spans.
        bounds: More is refused as beyond the limit; 200,000 elements take up to a second.

    Raises:
        HeaderRefused: kind `damaged`, `truncated` or `limit`.
    """
    window = open_window(file, offset=offset, length=length, is_deflated=transfer_syntax_uid == DEFLATED_LITTLE_ENDIAN)
    bounds = replace(bounds, kept_bytes=LONGEST_BYTES + 1)  # the one more tells that a value is longer
    elements = read_elements(window, transfer_syntax_uid=transfer_syntax_uid, wanted=WANTED, to_end=True, bounds=bounds)
    return _to_header(elements, transfer_syntax_uid)


def _to_header(elements: Elements, transfer_syntax_uid: str) -> InstanceHeader:
    sent = elements.values.get
    terms = few(sent(SPECIFIC_CHARACTER_SET))
    charset = Charset(terms)
    values: dict[str, Any] = {"transfer_syntax_uid": transfer_syntax_uid, "specific_character_set": terms}
    for name, tag in UIDS.items():
        values[name] = uid(sent(tag))
    for name, tag in PLAIN.items():
        values[name] = plain(whole(sent(tag)))
    for name, tag in TEXT.items():
        values[name] = _text(sent(tag), charset)
    for name, tag in INTEGER_TEXT.items():
        values[name] = integer(whole(sent(tag)))
    for name, tag in SHORT.items():
        values[name] = short(sent(tag), elements.byte_order)
    for name, tag in LIST.items():
        values[name] = few(sent(tag))
    for name, tag in SPACING.items():
        values[name] = _pair(whole(sent(tag)))
    values["anatomic_region"] = _code(elements.items.get(ANATOMIC_REGION_SEQUENCE), charset)
    values["view_code"] = _code(elements.items.get(VIEW_CODE_SEQUENCE), charset)
    request = elements.items.get(REQUEST_ATTRIBUTES_SEQUENCE, {})
    values["requested_procedure_id"] = _text(request.get(REQUESTED_PROCEDURE_ID), charset)
    values["scheduled_procedure_step_id"] = _text(request.get(SCHEDULED_STEP_ID), charset)
    pixels = elements.pixel_data
    values["has_pixel_data"] = pixels is not None and (
        pixels.length_bytes > 0 if pixels.length_bytes is not None else len(pixels.fragments) > 1
    )
    values["pixel_data_length_bytes"] = pixels.length_bytes if pixels is not None else None
    values["charset_flag"] = charset.flag
    tilt = numbers(sent(GANTRY_TILT), 1)
    values["gantry_tilt_degrees"] = tilt[0] if tilt else None
    values["planes"] = read_planes(elements) if values["sop_class_uid"] in VOLUME_CLASSES else ()
    values["is_shortened"] = is_shortened(elements, (SPECIFIC_CHARACTER_SET, *LIST.values()))
    return InstanceHeader(**values)


def _text(raw: bytes | None, charset: Charset) -> str | None:
    return charset.decode(raw[:LONGEST_BYTES], is_cut=len(raw) > LONGEST_BYTES) or None if raw else None


def _pair(raw: bytes | None) -> tuple[float, float] | None:
    values = decimals(raw)
    return (values[0], values[1]) if len(values) == 2 and min(values) > 0 else None


def _code(item: Mapping[int, bytes] | None, charset: Charset) -> Code | None:
    if not item:
        return None
    value = next(
        (v for tag in (CODE_VALUE, LONG_CODE_VALUE, URN_CODE_VALUE) if (v := plain(whole(item.get(tag))))), None
    )
    if value is None:
        return None
    scheme = plain(whole(item.get(CODING_SCHEME))) or ""
    return Code(value, scheme, _text(item.get(CODE_MEANING), charset) or "")


_DAYS_PER_YEAR: Final = 365.25
_AGE_UNITS: Final[Mapping[str, float]] = {"Y": 1, "M": 1 / 12, "W": 7 / _DAYS_PER_YEAR, "D": 1 / _DAYS_PER_YEAR}
_AGE: Final = re.compile(r"(\d{1,3})\s*([YMWD]?)")
_OLDEST_YEARS: Final = 130


def age_years(header: InstanceHeader) -> float | None:
    """Return the patient's age at the study in years, or None when the header does not tell.

    Patient's Age (0010,1010) first, then birth date and study date. A bare number such as `81`
    reads as years (DESIGN section 5).
    """
    match = _AGE.fullmatch((header.patient_age or "").strip().upper())
    if match:
        years = int(match[1]) * _AGE_UNITS[match[2] or "Y"]
        # 000Y is what stations write when nobody entered an age; a newborn's is in days or weeks.
        if years <= _OLDEST_YEARS and (int(match[1]) > 0 or match[2] in ("D", "W", "M")):
            return years
    born, studied = _day(header.patient_birth_date), _day(header.study_date)
    if born is None or studied is None:
        return None
    years = (studied - born).days / _DAYS_PER_YEAR
    return years if 0 <= years <= _OLDEST_YEARS else None


def _day(text: str | None) -> date | None:
    digits = re.sub(r"[.\-/]", "", text or "")
    if not re.fullmatch(r"[0-9]{8}", digits):
        return None
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None


def to_json(header: InstanceHeader) -> dict[str, object]:
    """Return the header as plain JSON values, for the instance row."""
    values = {name: _json_value(getattr(header, name)) for name in _FIELDS}
    return values | {"planes": planes_to_json(header.planes)}


def _json_value(value: object) -> object:
    if isinstance(value, tuple):
        return list(value)
    return asdict(value) if isinstance(value, Code) else value


def from_json(values: dict[str, object]) -> InstanceHeader:
    """Return the header that `to_json` wrote; unknown keys are ignored, missing ones are None."""
    read: dict[str, Any] = {name: values.get(name) for name in _FIELDS}
    for name in _TUPLES:
        read[name] = tuple(read[name]) if read[name] is not None else None if name in SPACING else ()
    for name in ("anatomic_region", "view_code"):
        read[name] = Code(**read[name]) if read[name] else None
    read["planes"] = planes_from_json(read["planes"])
    for name in ("has_pixel_data", "is_shortened"):
        read[name] = bool(read[name])
    return InstanceHeader(**read)


_FIELDS: Final = tuple(field.name for field in fields(InstanceHeader))
_TUPLES: Final = (*LIST, *SPACING, "specific_character_set")

__all__ = [
    "DEFLATED_LITTLE_ENDIAN",
    "Code",
    "InstanceHeader",
    "age_years",
    "decimals",
    "from_json",
    "plain",
    "read_header",
    "short",
    "to_json",
]
