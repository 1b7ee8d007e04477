"""Texts of megabytes: stored whole in the file, short in the tables, and read where they keep nobody waiting."""

from __future__ import annotations

import json
import threading

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import ImplicitVRLittleEndian
from sqlalchemy import select

from preprocessing.found import Bounds
from preprocessing.header import InstanceHeader
from preprocessing.values import LONGEST_BYTES
from service import tables
from service.intake import receive
from service.intake.outcomes import IntakeReason
from service.intake.spool import Spooled
from tests.factories import Parts, make_radiograph

LONG = "Иванов Пётр " * 5_000
TEXTS = (
    "PatientID", "IssuerOfPatientID", "PatientName", "StudyID", "AccessionNumber", "ReferringPhysicianName",
    "StudyDescription", "SeriesDescription", "ProtocolName", "Manufacturer", "ManufacturerModelName", "StationName",
)  # fmt: skip

pytestmark = [
    pytest.mark.filterwarnings("ignore:The value length"),
    pytest.mark.filterwarnings("ignore:The PN component length"),
    pytest.mark.filterwarnings("ignore:Invalid value for VR"),
]


def film_with(text: str) -> Dataset:
    film = make_radiograph(SpecificCharacterSet="ISO_IR 144")
    for keyword in TEXTS:
        setattr(film, keyword, text)
    film.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    return film


def test_long_texts_reach_the_archive_whole_and_the_tables_cut_with_a_flag(parts: Parts) -> None:
    request = Dataset()
    request.RequestedProcedureID = request.ScheduledProcedureStepID = LONG
    film = film_with(LONG)
    film.RequestAttributesSequence = [request]

    outcome = parts.send(film)

    rows = {}
    with parts.database.reading() as rx:
        for name in ("study", "series", "instance"):
            [row] = rx.execute(select(tables.metadata.tables[name])).mappings()
            rows[name] = dict(row)
    stored = dcmread(parts.archive.path(parts.site_id, str(rows["instance"]["content_sha256"])))
    assert outcome.is_kept
    assert str(stored.PatientName) == LONG.rstrip()
    assert rows["study"]["flags"] == ["text_cut"]
    texts = [value for row in (rows["study"], rows["series"]) for value in row.values() if isinstance(value, str)]
    assert max(map(len, texts)) <= LONGEST_BYTES
    assert sum(LONG.startswith(text) and len(text) > 1_000 for text in texts) == 10 - 1
    assert len(json.dumps(rows["instance"]["header"], ensure_ascii=False)) < 20_000


def test_only_a_header_with_little_text_is_read_beside_the_other_senders(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = receive.read_spooled
    seen: list[bool | str] = []

    def watched(spooled: Spooled, bounds: Bounds) -> InstanceHeader:
        seen.append(threading.current_thread() is threading.main_thread())
        header = read(spooled, bounds)
        seen.append("read")
        return header

    monkeypatch.setattr(receive, "read_spooled", watched)

    assert parts.send(film_with("Иванов Пётр")).is_kept
    assert seen == [True, "read"]
    seen.clear()
    assert parts.send(film_with("Иванов Пётр " * 20)).is_kept
    assert seen == [True, False, "read"]


def test_a_uid_of_kilobytes_is_refused_as_invalid(parts: Parts) -> None:
    film = make_radiograph(StudyInstanceUID="1." * 1_000 + "1")

    assert parts.send(film).reason is IntakeReason.INVALID_UID
