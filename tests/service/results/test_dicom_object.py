"""What every object of ours says of its study, whatever the sender wrote."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.uid import SecondaryCaptureImageStorage

from preprocessing.header import InstanceHeader, from_json
from service.results.dicom_object import ResultKey, derived_uid, part10, study_modules

KEY = ResultKey("study", 1, 1, "ab" * 32)


def header(**values: Any) -> InstanceHeader:
    return dataclasses.replace(
        from_json({"study_instance_uid": "1.2.3", "transfer_syntax_uid": "1.2.840.10008.1.2.1"}), **values
    )


def given_back(found: InstanceHeader) -> Any:
    dataset = study_modules(found)
    dataset.SOPClassUID, dataset.SOPInstanceUID = SecondaryCaptureImageStorage, "1.2.3.4"
    return dcmread(io.BytesIO(part10(dataset)))


@pytest.mark.parametrize("name", ["김^민준=金^民俊", "Иванова^Анна Петровна", "Nguyễn^Thị Bích", "x" * 200])
@pytest.mark.filterwarnings("ignore:The (value|PN component) length")  # one of the names is too long on purpose
def test_a_name_is_copied_in_every_script_and_length(name: str) -> None:
    copy = given_back(header(patient_name=name, patient_id=name))

    assert copy.SpecificCharacterSet == "ISO_IR 192"
    assert (str(copy.PatientName), copy.PatientID) == (name, name)


@pytest.mark.parametrize(
    ("attribute", "keyword", "text", "kept"),
    [
        ("patient_birth_date", "PatientBirthDate", "19700229", True),
        ("patient_birth_date", "PatientBirthDate", "1970.02.01", False),
        ("patient_birth_date", "PatientBirthDate", "19701301", False),
        ("patient_sex", "PatientSex", "O", True),
        ("patient_sex", "PatientSex", "male", False),
        ("study_time", "StudyTime", "1015", True),
        ("study_time", "StudyTime", "10:15", False),
        ("study_date", "StudyDate", "2026", False),
        ("accession_number", "AccessionNumber", "A" * 16, True),
        ("accession_number", "AccessionNumber", "A" * 17, False),
    ],
)
def test_what_the_standard_does_not_allow_is_left_empty(attribute: str, keyword: str, text: str, kept: bool) -> None:
    copy = given_back(header(**{attribute: text}))

    assert str(copy[keyword].value) == (text if kept else "")


@pytest.mark.filterwarnings("ignore")  # pydicom warns of odd values when it reads them
@given(st.text(max_size=100), st.text(max_size=100))
def test_no_text_of_a_sender_breaks_a_result(first: str, second: str) -> None:
    odd = header(
        patient_name=first, patient_id=second, study_id=first, accession_number=second, study_description=first,
        patient_birth_date=second, patient_sex=first, study_date=first, study_time=second, patient_age=second,
        referring_physician_name=second,
    )  # fmt: skip

    assert given_back(odd).StudyInstanceUID == "1.2.3"


def test_uids_derive_from_what_they_name() -> None:
    assert KEY.uid("sr") == dataclasses.replace(KEY).uid("sr")
    others = [
        KEY.uid("overlay"),
        dataclasses.replace(KEY, revision=2).uid("sr"),
        dataclasses.replace(KEY, attempt=2).uid("sr"),
        dataclasses.replace(KEY, package_sha256="cd" * 32).uid("sr"),
        dataclasses.replace(KEY, study_public_id="other").uid("sr"),
    ]
    assert len({KEY.uid("sr"), *others}) == 6


def test_uids_are_those_of_last_year() -> None:
    # A changed root would publish every old result a second time.
    assert derived_uid("anchor") == f"2.25.{_ANCHOR}"
    assert len(derived_uid("anchor")) <= 64


_ANCHOR = 36654849104459164877804994765055217293
