"""Views: from which attribute, in which language, and which attribute wins."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from preprocessing.header import Code, from_json
from preprocessing.view import StatedView, View, read_view

EMPTY = from_json({"transfer_syntax_uid": "1.2.840.10008.1.2.1"})


@pytest.mark.parametrize(
    ("changes", "view", "source"),
    [
        ({}, View.UNKNOWN, None),
        ({"view_code": Code("272479007", "SCT", "")}, View.PA, "view_code_sequence"),
        ({"view_code": Code("R-10236", "SRT", "")}, View.LATERAL, "view_code_sequence"),
        ({"view_code": Code("1", "99X", ""), "view_position": "AP"}, View.AP, "view_position"),
        ({"view_code": Code("399348003", "SCT", ""), "view_position": "PA"}, View.AP, "view_code_sequence"),
        ({"view_position": "POSTERO-ANTERIOR"}, View.PA, "view_position"),
        ({"view_position": "antero posterior"}, View.AP, "view_position"),
        ({"view_position": "LLD"}, View.OTHER, "view_position"),
        ({"view_position": "RLO"}, View.OTHER, "view_position"),
        ({"patient_orientation": ("L", "F")}, View.FRONTAL, "patient_orientation"),
        ({"patient_orientation": ("A", "F")}, View.LATERAL, "patient_orientation"),
        ({"patient_orientation": ("P", "F")}, View.LATERAL, "patient_orientation"),
        ({"patient_orientation": ("", "")}, View.UNKNOWN, None),
        ({"patient_orientation": ("L", "F"), "series_description": "pa"}, View.PA, "series_description"),
        ({"patient_orientation": ("L", "F"), "series_description": "LAT"}, View.FRONTAL, "patient_orientation"),
        ({"patient_position": "PA"}, View.PA, "patient_position"),
        ({"patient_position": "XX"}, View.UNKNOWN, None),
        ({"patient_position": "HFS"}, View.UNKNOWN, None),
        ({"protocol_name": "Chest AP portable"}, View.AP, "protocol_name"),
    ],
)
def test_the_most_reliable_attribute_tells_the_view(changes: dict[str, Any], view: View, source: str | None) -> None:
    assert read_view(replace(EMPTY, **changes)) == StatedView(view, source)


@pytest.mark.parametrize(
    ("text", "view"),
    [
        ("CHEST PA", View.PA),
        ("Chest P.A.", View.PA),
        ("Thorax pa", View.PA),
        ("Chest AP bedside", View.AP),
        ("W033 Chest lat.", View.LATERAL),
        ("Lateral", View.LATERAL),
        ("흉부 측면", View.LATERAL),
        ("흉부PA", View.PA),
        ("흉부 후전면", View.PA),
        ("흉부 전후면", View.AP),
        ("흉부 정면", View.FRONTAL),
        ("Ngực thẳng", View.FRONTAL),
        ("Ngực nghiêng trái", View.LATERAL),
        ("Phổi sau - trước", View.PA),
        ("ОГК прямая", View.FRONTAL),
        ("ОГК боковая", View.LATERAL),
        ("ОГК в задне-передней проекции", View.PA),
        ("Chest PA + LAT", View.UNKNOWN),
        ("прямая и боковая", View.UNKNOWN),
        ("Chest, spatial resolution plate", View.UNKNOWN),
        ("PAPA APEX flat", View.UNKNOWN),
    ],
)
def test_descriptions_tell_the_view_in_the_languages_of_our_sites(text: str, view: View) -> None:
    assert read_view(replace(EMPTY, series_description=text)).view is view
