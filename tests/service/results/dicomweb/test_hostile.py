"""What DICOMweb makes of stored files whose values lie: an answer each time, and never more memory than we allow."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from service.intake.outcomes import Door, Sender
from service.results.dicomweb.explicit import turned
from tests.factories import dataset_bytes, keep, make_radiograph
from tests.service.results.dicomweb.conftest import Web


def store(web: Web, content: bytes) -> None:
    """Store a data set as it came."""
    intake = web.app.state.intake
    spooled = intake.open(
        Sender(web.sites["north"], Door.STOW, "test"), transfer_syntax_uid=str(ExplicitVRLittleEndian)
    )
    spooled.write(content)
    assert keep(intake, spooled).is_kept


def ask(web: Web, dataset: Dataset, what: str, accept: str = "*/*") -> Any:
    path = f"/studies/{dataset.StudyInstanceUID}/series/{dataset.SeriesInstanceUID}"
    with web.client() as client:
        return client.get(f"{path}/instances/{dataset.SOPInstanceUID}/{what}", headers={"Accept": accept})


def test_a_number_of_the_wrong_length_is_left_out_of_the_metadata(web: Web) -> None:
    dataset = make_radiograph(SmallestImagePixelValue=7)
    number = struct.pack("<HH2sHH", 0x28, 0x106, b"US", 2, 7)
    store(web, dataset_bytes(dataset).replace(number, struct.pack("<HH2sH3s", 0x28, 0x106, b"US", 3, b"abc")))

    [metadata] = ask(web, dataset, "metadata").json()

    assert "00280106" not in metadata
    assert metadata["00280010"]["Value"] == [96]


def test_more_text_than_anybody_reads_leaves_the_header_s_metadata(web: Web) -> None:
    dataset = make_radiograph()
    dataset.private_block(0x0009, "TEST", create=True).add_new(1, "UT", "A" * ((1 << 20) + 2))
    web.send(dataset)

    [metadata] = ask(web, dataset, "metadata").json()

    assert metadata["00100020"]["Value"] == ["PHANTOM-1"]
    assert "00091001" not in metadata


@pytest.mark.parametrize("frames", [50_001, 1_000_000_000])
def test_more_frames_than_were_ever_made_are_not_served(web: Web, frames: int) -> None:
    dataset = make_radiograph(NumberOfFrames=frames, Rows=1, Columns=1)
    web.send(dataset)

    for what in ("frames/1", "bulkdata/7FE00010"):
        answer = ask(web, dataset, what, 'multipart/related; type="application/octet-stream"')

        assert answer.status_code == 404


@pytest.mark.parametrize(("words", "width"), [(b"abc", 2), (b"abcdefg", 4), (b"", 8), (b"abcdefgh", 8)])
def test_big_endian_words_are_turned_and_what_is_less_than_one_stays(words: bytes, width: int) -> None:
    whole = len(words) // width * width
    expected = b"".join(words[at : at + width][::-1] for at in range(0, whole, width))

    assert turned(words, width) == expected + words[whole:]
