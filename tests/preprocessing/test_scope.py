"""Scope rules: what a header alone refuses, with which reason, in every language of our sites."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from preprocessing.errors import Reason, UnsupportedImage
from preprocessing.header import Code, InstanceHeader, from_json
from preprocessing.scope import check_header, is_chest_text
from tests.preprocessing.phantoms import header_of

CR, DX = "1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1"
SC, CT = "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.2"

CHEST: InstanceHeader = replace(
    from_json({"transfer_syntax_uid": "1.2.840.10008.1.2.1"}),
    sop_class_uid=CR,
    modality="CR",
    body_part_examined="CHEST",
    has_pixel_data=True,
)


def reason(header: InstanceHeader) -> Reason | None:
    try:
        check_header(header)
    except UnsupportedImage as refusal:
        return refusal.reason
    return None


@pytest.mark.parametrize(
    "text",
    [
        "CHEST",
        "Thorax",
        "CHEST PA",
        "CHEST_PA",
        "TORAX",
        "Tórax AP",
        "RIBS",
        "RIBCAGE",
        "LUNG",
        "CXR",
        "chest/abdomen",
        "Ngực",
        "NGỰC THẲNG",
        "Lồng ngực",
        "Phổi",
        "ОГК",
        "Органы грудной клетки",
        "лёгкие",
        "흉부",
        "흉부 PA",
        "가슴",
    ],
)
def test_the_chest_is_recognised_in_every_language(text: str) -> None:
    assert is_chest_text(text) is True


@pytest.mark.parametrize(
    "text",
    [
        "HIP",
        "EXTREMITY",
        "BREAST",
        "SKULL",
        "ABDOMEN",
        "TSPINE",
        "THORACIC SPINE",
        "LSPINE",
        "Đầu",
        "Кисть",
        "복부",
        "CHEST SPINE",
        "흉추",
        "Cột sống ngực",
        "Грудной отдел позвоночника",
        "CARIBOU",
    ],
)
def test_another_body_part_is_not_the_chest(text: str) -> None:
    assert is_chest_text(text) is False
    assert reason(replace(CHEST, body_part_examined=text)) is Reason.NOT_A_CHEST


@pytest.mark.parametrize("text", [None, "", "UNKNOWN", "OTHER", "--", "XX"])
def test_a_body_part_that_says_nothing_passes(text: str | None) -> None:
    assert reason(replace(CHEST, body_part_examined=text)) is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, None),
        ({"modality": "DX", "sop_class_uid": DX}, None),
        ({"modality": "DX", "sop_class_uid": SC}, None),
        ({"modality": None}, None),
        ({"modality": "CT", "sop_class_uid": CT}, Reason.WRONG_MODALITY),
        ({"modality": "OT", "sop_class_uid": SC}, Reason.WRONG_MODALITY),
        ({"modality": "RG", "sop_class_uid": SC}, Reason.WRONG_MODALITY),
        ({"modality": None, "sop_class_uid": CT}, Reason.WRONG_MODALITY),
        (
            {"modality": "MG", "sop_class_uid": "1.2.840.10008.5.1.4.1.1.1.2", "view_position": "MLO"},
            Reason.WRONG_MODALITY,
        ),
        ({"modality": "CT"}, Reason.CONTRADICTORY_HEADER),
        ({"modality": "DX", "sop_class_uid": CT}, Reason.CONTRADICTORY_HEADER),
        ({"modality": "CT", "sop_class_uid": SC, "patient_position": "PA"}, Reason.CONTRADICTORY_HEADER),
        ({"modality": "CT", "sop_class_uid": SC, "patient_position": "HFS"}, Reason.WRONG_MODALITY),
        ({"patient_position": "XX"}, None),
        ({"view_position": "LL"}, Reason.LATERAL_VIEW),
        ({"view_position": "RLD"}, Reason.OUT_OF_SCOPE),
        ({"series_description": "Ngực nghiêng"}, Reason.LATERAL_VIEW),
        ({"presentation_intent_type": "FOR PROCESSING"}, Reason.FOR_PROCESSING),
        ({"modality": "DX", "sop_class_uid": DX + ".1"}, Reason.FOR_PROCESSING),
        ({"has_pixel_data": False}, Reason.NO_PIXEL_DATA),
        ({"number_of_frames": 2}, Reason.MULTI_FRAME),
        ({"number_of_frames": 1}, None),
    ],
)
def test_each_rule_refuses_with_its_reason(changes: dict[str, Any], expected: Reason | None) -> None:
    assert reason(replace(CHEST, **changes)) is expected


def test_the_anatomic_region_is_believed_before_the_body_part() -> None:
    hip = Code("29836001", "SCT", "Hip region")
    chest = Code("816094009", "SCT", "")

    assert reason(replace(CHEST, anatomic_region=hip)) is Reason.NOT_A_CHEST
    assert reason(replace(CHEST, anatomic_region=chest, body_part_examined="HIP")) is None
    assert reason(replace(CHEST, anatomic_region=Code("X-1", "99LOCAL", "Chest"))) is None


def test_no_refusal_repeats_a_patient_attribute() -> None:
    header = replace(CHEST, body_part_examined="Secret^Name", patient_name="Secret^Name", modality="Secret^Name")

    with pytest.raises(UnsupportedImage) as refusal:
        check_header(header)

    assert "Secret" not in str(refusal.value)


EXPECTED_OF_REAL_FILES = {
    "chest/966_fixed.dcm": None,
    "chest/RG1_J2KI.dcm": None,
    "chest/RG1_JLSN.dcm": None,
    "chest/RG1_UNCR.dcm": None,
    "chest/dx_image.dcm": None,  # an animal with a perfect header: the image check must find it
    "chest/gdcm-CR-MONO1-10-chest.dcm": None,
    "chest/nih_udacity_test1.dcm": None,
    "chest/nih_udacity_test2.dcm": None,
    "chest/nih_udacity_test4.dcm": None,
    "chest/nih_udacity_test5.dcm": Reason.CONTRADICTORY_HEADER,
    "chest/nih_udacity_test6.dcm": None,
    "charset/chrKoreanMulti.dcm": Reason.NO_PIXEL_DATA,
    "ct/jpeg_lossless_sel1.dcm": Reason.WRONG_MODALITY,
    "other/test16signed.dcm": Reason.WRONG_MODALITY,
    "radiography_other/HasFragmentSequence.dcm": Reason.WRONG_MODALITY,
    "radiography_other/MG1_J2KI.dcm": Reason.WRONG_MODALITY,
    "radiography_other/OutOfBoundsOverlay.dcm": Reason.WRONG_MODALITY,
    "radiography_other/RG2_JLSL.dcm": Reason.NOT_A_CHEST,
    "radiography_other/RG3_J2KI.dcm": Reason.NOT_A_CHEST,
    "radiography_other/XA1_J2KR.dcm": Reason.WRONG_MODALITY,
}


@pytest.mark.films
@pytest.mark.parametrize("name", EXPECTED_OF_REAL_FILES)
def test_real_files_pass_or_are_refused_with_the_right_reason(shared_data: Path, name: str) -> None:
    assert reason(header_of(shared_data / "dicom" / name)) is EXPECTED_OF_REAL_FILES[name]


@pytest.mark.films
def test_every_derived_chest_film_passes(shared_data: Path) -> None:
    films = sorted((shared_data / "dicom" / "chest_derived").glob("*.dcm"))

    assert len(films) >= 9
    assert [reason(header_of(path)) for path in films] == [None] * len(films)
