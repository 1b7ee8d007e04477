"""What DICOMweb makes of stored files whose values lie: an answer each time, and never more memory than we allow."""

from __future__ import annotations

import struct
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless

from service.intake.outcomes import Door, Sender
from service.results.dicomweb import routes
from service.results.dicomweb.explicit import turned
from service.results.dicomweb.metadata import read_metadata
from tests.factories import dataset_bytes, keep, make_radiograph
from tests.preprocessing.phantoms import element, header_of, item
from tests.service.results.dicomweb.conftest import Web
from tests.trials.mutants.bombs import HEAD, part10


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


@pytest.mark.parametrize("starts", [(18, 0), (0, 0), (18, 36), (0, 900)], ids=str)
def test_frames_that_an_offset_table_mixes_up_are_not_served(web: Web, starts: tuple[int, int]) -> None:
    dataset = make_radiograph(NumberOfFrames=2)
    dataset.file_meta.TransferSyntaxUID = JPEGLSLossless
    value = encapsulate([b"a" * 10, b"b" * 10, b"c" * 10], has_bot=False)
    dataset.PixelData = struct.pack("<HHI2I", 0xFFFE, 0xE000, 8, *starts) + value[8:]
    dataset["PixelData"].is_undefined_length = True
    web.send(dataset)

    for what in ("frames/1", "frames/2", "bulkdata/7FE00010"):
        assert ask(web, dataset, what).status_code == 404


@pytest.mark.parametrize(
    ("vr", "value"), [("DS", b"1.5"), ("IS", b"12345"), ("PN", b"A"), ("UI", b"1"), ("LO", b"A1"), ("AT", b"1234")]
)
@pytest.mark.parametrize("elements", [3, 40])
def test_metadata_of_long_lists_take_no_more_memory_than_is_allowed(
    tmp_path: Path, vr: str, value: bytes, elements: int
) -> None:
    separator = b"" if vr == "AT" else b"\\"
    many = separator.join([value] * (60_000 // len(value + separator)))
    lists = b"".join(element(0x00211010 + number, vr, many) for number in range(elements))
    path = tmp_path / "lists.dcm"
    path.write_bytes(part10(HEAD + lists))

    assert metadata_peak_bytes(path) < 176 << 20


@pytest.mark.parametrize("items", [20_000, 40_000])
def test_metadata_of_many_items_take_no_more_memory_than_is_allowed(tmp_path: Path, items: int) -> None:
    path = tmp_path / "items.dcm"
    path.write_bytes(part10(HEAD + element(0x00211010, "SQ", item(element(0x00080104, "LO", b"A")) * items)))

    assert metadata_peak_bytes(path) < 80 << 20


def metadata_peak_bytes(path: Path) -> int:
    tracemalloc.start()
    read_metadata(path, header_of(path), "bulkdata")
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak_bytes


def test_few_metadata_are_read_at_once(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = web.send(make_radiograph())
    at_once: list[int] = []
    reading = threading.Semaphore(0)

    def slow(*_: object) -> dict[str, object]:
        reading.release()
        time.sleep(0.1)
        at_once.append(reading._value)
        reading.acquire()
        return {}

    monkeypatch.setattr(routes, "read_metadata", slow)
    with ThreadPoolExecutor(8) as askers:
        answers = list(askers.map(lambda _: ask(web, dataset, "metadata"), range(8)))

    assert [answer.status_code for answer in answers] == [200] * 8
    assert max(at_once) == web.settings.picture_processes


@pytest.mark.parametrize(("words", "width"), [(b"abc", 2), (b"abcdefg", 4), (b"", 8), (b"abcdefgh", 8)])
def test_big_endian_words_are_turned_and_what_is_less_than_one_stays(words: bytes, width: int) -> None:
    whole = len(words) // width * width
    expected = b"".join(words[at : at + width][::-1] for at in range(0, whole, width))

    assert turned(words, width) == expected + words[whole:]
