"""The only reader of DICOM attributes: bytes of a data set → frozen InstanceHeader."""

from __future__ import annotations

from dataclasses import dataclass


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
    timezone_offset_from_utc: str | None

    manufacturer: str | None
    manufacturer_model_name: str | None
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


def age_years(header: InstanceHeader) -> float | None:
    """Return the patient's age at the study in years, or None when the header does not tell.

    Patient's Age (0010,1010) first, then birth date and study date. A bare number such as `81`
    reads as years (DESIGN section 5).
    """
    raise NotImplementedError


def to_json(header: InstanceHeader) -> dict[str, object]:
    """Return the header as plain JSON values, for the instance row."""
    raise NotImplementedError


def from_json(values: dict[str, object]) -> InstanceHeader:
    """Return the header that `to_json` wrote; unknown keys are ignored, missing ones are None."""
    raise NotImplementedError
