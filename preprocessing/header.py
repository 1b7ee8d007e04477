"""The only reader of DICOM attributes: bytes of a data set → frozen InstanceHeader."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import date
from typing import Any, BinaryIO, Final

from preprocessing.elements import MAX_ELEMENTS, Elements, Wanted, read_elements
from preprocessing.planes import (
    GROUPS,
    SINGLE_TAGS,
    VOLUME_CLASSES,
    Plane,
    numbers,
    planes_from_json,
    planes_to_json,
    read_planes,
)
from preprocessing.text import Charset
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


_ANATOMIC_REGION_SEQUENCE: Final = 0x00082218
_VIEW_CODE_SEQUENCE: Final = 0x00540220
_CODE_VALUE, _CODING_SCHEME, _CODE_MEANING = 0x00080100, 0x00080102, 0x00080104
_LONG_CODE_VALUE, _URN_CODE_VALUE = 0x00080119, 0x00080120
_REQUEST_ATTRIBUTES_SEQUENCE: Final = 0x00400275
_REQUESTED_PROCEDURE_ID, _SCHEDULED_STEP_ID = 0x00401001, 0x00400009
_CODE_TAGS: Final = frozenset({_CODE_VALUE, _CODING_SCHEME, _CODE_MEANING, _LONG_CODE_VALUE, _URN_CODE_VALUE})
_SPECIFIC_CHARACTER_SET: Final = 0x00080005

_PLAIN: Final[Mapping[str, int]] = {
    "sop_class_uid": 0x00080016,
    "sop_instance_uid": 0x00080018,
    "study_instance_uid": 0x0020000D,
    "series_instance_uid": 0x0020000E,
    "modality": 0x00080060,
    "patient_birth_date": 0x00100030,
    "patient_sex": 0x00100040,
    "patient_age": 0x00101010,
    "patient_identity_removed": 0x00120062,
    "study_date": 0x00080020,
    "study_time": 0x00080030,
    "performed_procedure_step_start_date": 0x00400244,
    "performed_procedure_step_start_time": 0x00400245,
    "timezone_offset_from_utc": 0x00080201,
    "view_position": 0x00185101,
    "image_laterality": 0x00200062,
    "laterality": 0x00200060,
    "patient_position": 0x00185100,
    "presentation_intent_type": 0x00080068,
    "conversion_type": 0x00080064,
    "burned_in_annotation": 0x00280301,
    "lossy_image_compression": 0x00282110,
    "photometric_interpretation": 0x00280004,
    "presentation_lut_shape": 0x20500020,
    "frame_of_reference_uid": 0x00200052,
    "convolution_kernel": 0x00181210,
}
_TEXT: Final[Mapping[str, int]] = {
    "patient_id": 0x00100020,
    "issuer_of_patient_id": 0x00100021,
    "patient_name": 0x00100010,
    "study_id": 0x00200010,
    "accession_number": 0x00080050,
    "referring_physician_name": 0x00080090,
    "study_description": 0x00081030,
    "series_description": 0x0008103E,
    "protocol_name": 0x00181030,
    "manufacturer": 0x00080070,
    "manufacturer_model_name": 0x00081090,
    "station_name": 0x00081010,
    # A code string by the standard; "Ngực", "ОГК" and "흉부" are what stations write (STANDARDS PIX-8).
    "body_part_examined": 0x00180015,
}
_INTEGER_TEXT: Final[Mapping[str, int]] = {
    "series_number": 0x00200011,
    "instance_number": 0x00200013,
    "number_of_frames": 0x00280008,
}
_SHORT: Final[Mapping[str, int]] = {
    "samples_per_pixel": 0x00280002,
    "rows": 0x00280010,
    "columns": 0x00280011,
    "bits_allocated": 0x00280100,
    "bits_stored": 0x00280101,
    "high_bit": 0x00280102,
    "pixel_representation": 0x00280103,
    "pixel_padding_value": 0x00280120,
    "pixel_padding_range_limit": 0x00280121,
}
_GANTRY_TILT: Final = 0x00181120
_LIST: Final[Mapping[str, int]] = {"image_type": 0x00080008, "patient_orientation": 0x00200020}
_SPACING: Final[Mapping[str, int]] = {"pixel_spacing_mm": 0x00280030, "imager_pixel_spacing_mm": 0x00181164}

WANTED: Final[Wanted] = {
    _SPECIFIC_CHARACTER_SET: None,
    **{tag: None for table in (_PLAIN, _TEXT, _INTEGER_TEXT, _SHORT, _LIST, _SPACING) for tag in table.values()},
    _ANATOMIC_REGION_SEQUENCE: _CODE_TAGS,
    _VIEW_CODE_SEQUENCE: _CODE_TAGS,
    _REQUEST_ATTRIBUTES_SEQUENCE: frozenset({_REQUESTED_PROCEDURE_ID, _SCHEDULED_STEP_ID}),
    **dict.fromkeys((_GANTRY_TILT, *SINGLE_TAGS)),
    **GROUPS,
}


def read_header(
    file: BinaryIO, *, transfer_syntax_uid: str, offset: int, length: int, max_elements: int = MAX_ELEMENTS
) -> InstanceHeader:
    """Read the header of the data set in a seekable file; of the pixels only their place and length.

    What lies behind the pixels is walked too: not to read it, but to refuse what is more than we accept.

    Args:
        file: Open for reading, seekable.
        transfer_syntax_uid: As the sender declared it.
        offset: Where the data set starts (after the file meta information).
        length: How many bytes it spans.
        max_elements: More are refused as beyond the limit; 200,000 take up to a second.

    Raises:
        HeaderRefused: kind `damaged`, `truncated` or `limit`.
    """
    window = open_window(file, offset=offset, length=length, is_deflated=transfer_syntax_uid == DEFLATED_LITTLE_ENDIAN)
    elements = read_elements(
        window, transfer_syntax_uid=transfer_syntax_uid, wanted=WANTED, to_end=True, max_elements=max_elements
    )
    return _to_header(elements, transfer_syntax_uid)


def _to_header(elements: Elements, transfer_syntax_uid: str) -> InstanceHeader:
    get = elements.values.get
    terms = plain_list(get(_SPECIFIC_CHARACTER_SET))
    charset = Charset(terms)
    values: dict[str, Any] = {"transfer_syntax_uid": transfer_syntax_uid, "specific_character_set": terms}
    for name, tag in _PLAIN.items():
        values[name] = plain(get(tag))
    for name, tag in _TEXT.items():
        raw = get(tag)
        values[name] = (charset.decode(raw) or None) if raw else None
    for name, tag in _INTEGER_TEXT.items():
        values[name] = integer(get(tag))
    for name, tag in _SHORT.items():
        values[name] = short(get(tag), elements.byte_order)
    for name, tag in _LIST.items():
        values[name] = plain_list(get(tag))
    for name, tag in _SPACING.items():
        values[name] = _pair(get(tag))
    values["anatomic_region"] = _code(elements.items.get(_ANATOMIC_REGION_SEQUENCE), charset)
    values["view_code"] = _code(elements.items.get(_VIEW_CODE_SEQUENCE), charset)
    request = elements.items.get(_REQUEST_ATTRIBUTES_SEQUENCE, {})
    values["requested_procedure_id"] = charset.decode(request.get(_REQUESTED_PROCEDURE_ID, b"")) or None
    values["scheduled_procedure_step_id"] = charset.decode(request.get(_SCHEDULED_STEP_ID, b"")) or None
    pixels = elements.pixel_data
    values["has_pixel_data"] = pixels is not None and (
        pixels.length_bytes > 0 if pixels.length_bytes is not None else len(pixels.fragments) > 1
    )
    values["pixel_data_length_bytes"] = pixels.length_bytes if pixels is not None else None
    values["charset_flag"] = charset.flag
    tilt = numbers(get(_GANTRY_TILT), 1)
    values["gantry_tilt_degrees"] = tilt[0] if tilt else None
    values["planes"] = read_planes(elements) if values["sop_class_uid"] in VOLUME_CLASSES else ()
    return InstanceHeader(**values)


def plain(raw: bytes | None) -> str | None:
    """Return a value of the default repertoire without padding; None when absent or empty."""
    if not raw:
        return None
    return raw.strip(b"\0 ").decode("latin_1") or None


def plain_list(raw: bytes | None) -> tuple[str, ...]:
    """Return the values of a multi-valued code string; () when absent or empty."""
    text = raw.strip(b"\0 ") if raw else b""
    return tuple(part.strip() for part in text.decode("latin_1").split("\\")) if text else ()


def decimals(raw: bytes | None) -> tuple[float, ...]:
    """Return the finite values of a decimal string; nonsense is left out."""
    found = []
    for part in plain_list(raw):
        try:
            value = float(part.replace(",", "."))
        except ValueError:
            continue
        if math.isfinite(value):
            found.append(value)
    return tuple(found)


def integer(raw: bytes | None) -> int | None:
    """Return an integer string's first value, None when it is nonsense."""
    values = plain_list(raw)
    try:
        return int(values[0]) if values and len(values[0]) <= 20 else None
    except ValueError:
        return None


def short(raw: bytes | None, byte_order: str) -> int | None:
    """Return a US value (a UL where a writer chose that), None when it has another length."""
    if raw and len(raw) in (2, 4):
        value: int = struct.unpack(f"{byte_order}{'H' if len(raw) == 2 else 'I'}", raw)[0]
        return value
    return None


def _pair(raw: bytes | None) -> tuple[float, float] | None:
    values = decimals(raw)
    return (values[0], values[1]) if len(values) == 2 and min(values) > 0 else None


def _code(item: Mapping[int, bytes] | None, charset: Charset) -> Code | None:
    if not item:
        return None
    value = next((v for tag in (_CODE_VALUE, _LONG_CODE_VALUE, _URN_CODE_VALUE) if (v := plain(item.get(tag)))), None)
    if value is None:
        return None
    return Code(value, plain(item.get(_CODING_SCHEME)) or "", charset.decode(item.get(_CODE_MEANING, b"")))


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
        read[name] = tuple(read[name]) if read[name] is not None else None if name in _SPACING else ()
    for name in ("anatomic_region", "view_code"):
        read[name] = Code(**read[name]) if read[name] else None
    read["planes"] = planes_from_json(read["planes"])
    read["has_pixel_data"] = bool(read["has_pixel_data"])
    return InstanceHeader(**read)


_FIELDS: Final = tuple(field.name for field in fields(InstanceHeader))
_TUPLES: Final = (*_LIST, *_SPACING, "specific_character_set")
