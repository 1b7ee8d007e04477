"""Which DICOM attributes a header holds: the field of InstanceHeader, its tag, and how its value is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from preprocessing.found import Wanted
from preprocessing.planes import GROUPS, SINGLE_TAGS

ANATOMIC_REGION_SEQUENCE: Final = 0x00082218
VIEW_CODE_SEQUENCE: Final = 0x00540220
CODE_VALUE, CODING_SCHEME, CODE_MEANING = 0x00080100, 0x00080102, 0x00080104
LONG_CODE_VALUE, URN_CODE_VALUE = 0x00080119, 0x00080120
REQUEST_ATTRIBUTES_SEQUENCE: Final = 0x00400275
REQUESTED_PROCEDURE_ID, SCHEDULED_STEP_ID = 0x00401001, 0x00400009
_CODE_TAGS: Final = frozenset({CODE_VALUE, CODING_SCHEME, CODE_MEANING, LONG_CODE_VALUE, URN_CODE_VALUE})
SPECIFIC_CHARACTER_SET: Final = 0x00080005

UIDS: Final[Mapping[str, int]] = {
    "sop_class_uid": 0x00080016,
    "sop_instance_uid": 0x00080018,
    "study_instance_uid": 0x0020000D,
    "series_instance_uid": 0x0020000E,
}
PLAIN: Final[Mapping[str, int]] = {
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
TEXT: Final[Mapping[str, int]] = {
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
INTEGER_TEXT: Final[Mapping[str, int]] = {
    "series_number": 0x00200011,
    "instance_number": 0x00200013,
    "number_of_frames": 0x00280008,
}
SHORT: Final[Mapping[str, int]] = {
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
GANTRY_TILT: Final = 0x00181120
LIST: Final[Mapping[str, int]] = {"image_type": 0x00080008, "patient_orientation": 0x00200020}
SPACING: Final[Mapping[str, int]] = {"pixel_spacing_mm": 0x00280030, "imager_pixel_spacing_mm": 0x00181164}

WANTED: Final[Wanted] = {
    SPECIFIC_CHARACTER_SET: None,
    **{tag: None for table in (UIDS, PLAIN, TEXT, INTEGER_TEXT, SHORT, LIST, SPACING) for tag in table.values()},
    ANATOMIC_REGION_SEQUENCE: _CODE_TAGS,
    VIEW_CODE_SEQUENCE: _CODE_TAGS,
    REQUEST_ATTRIBUTES_SEQUENCE: frozenset({REQUESTED_PROCEDURE_ID, SCHEDULED_STEP_ID}),
    **dict.fromkeys((GANTRY_TILT, *SINGLE_TAGS)),
    **GROUPS,
}
