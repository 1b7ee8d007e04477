"""Files that are DICOM and something else: what is served begins with zeros, is no page, and is what was sent."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

import httpx
from pydicom import Dataset

from tests.factories import dataset_bytes, make_radiograph, part10
from tests.trials.mutants.doors import EXPLICIT, IMPLICIT, Doors, open_doors, wrong_files
from tests.trials.mutants.shell import PREAMBLES
from tests.trials.mutants.tree import read_tree, write_tree
from tests.trials.mutants.values import TEXTS
from tests.trials.trial import Counts, Trial

SHARE = 40
"""Polyglots of one seed."""
ENTRANCES = ("stow", "upload", "zip", "dimse", "resumable")
PREFIX = bytes(128) + b"DICM"
PAGES = (
    b"<!DOCTYPE HTML", b"<HTML", b"<HEAD", b"<SCRIPT", b"<IFRAME", b"<H1", b"<DIV", b"<FONT", b"<TABLE", b"<A",
    b"<STYLE", b"<TITLE", b"<B", b"<BODY", b"<BR", b"<P", b"<!--", b"<?XML", b"%PDF-", b"<SVG",
)  # fmt: skip
"""What a browser that sniffs takes for a page (WHATWG MIME Sniffing 7.1)."""


def run(seed: int, folder: Path) -> Counts:
    """Send one seed's polyglots by every entrance and look at all that is served of them."""
    chance = Random(seed)
    counts = {
        "polyglots": 0, "not_kept": 0, "served_preamble_not_zero": 0, "served_as_page": 0, "not_served": 0,
        "content_compared": 0, "content_changed": 0,
    }  # fmt: skip
    with open_doors(folder) as doors:
        for number in range(SHARE):
            row, column = divmod(number, len(PREAMBLES))
            name, entrance = sorted(PREAMBLES)[column], ENTRANCES[(seed + row + column) % len(ENTRANCES)]
            dataset, content = _polyglot(name, chance)
            counts["polyglots"] += 1
            said = _send(doors, entrance, dataset, content)
            if not all(word.startswith("kept") for word in said):
                print(name, entrance, said)
                counts["not_kept"] += 1
            address = f"/dicomweb/studies/{dataset.StudyInstanceUID}"
            for answer in _answers(doors, f"{address}/series/{dataset.SeriesInstanceUID}", dataset.SOPInstanceUID):
                counts["not_served"] += answer.status_code != 200
                counts["served_as_page"] += _is_page(answer)
                counts["served_preamble_not_zero"] += _is_unsafe_file(answer)
                if answer.status_code == 200 and (held := _held(answer, dataset)) is not None:
                    counts["content_compared"] += 1
                    counts["content_changed"] += not held
        counts["wrong_files"] = wrong_files(doors.archived())
        counts["written_outside"] = len(doors.written_outside())
    return counts


def _polyglot(name: str, chance: Random) -> tuple[Dataset, bytes]:
    """Return a file that is also a program, a page or an archive, in its preamble, a text and a binary value."""
    dataset = make_radiograph(seed=chance.randrange(1_000))
    dataset.PatientComments = chance.choice(TEXTS)[:200].decode("latin-1")
    block = dataset.private_block(0x0009, "PANDOK TRIAL", create=True)
    block.add_new(1, "OB", PREAMBLES[name] * 60)
    file = read_tree(part10(dataset))
    file.preamble = PREAMBLES[name].ljust(128, b"\0")
    file.tail = b"\xfe\xff\xfc\xff" + PREAMBLES[name]
    return dataset, write_tree(file)


def _send(doors: Doors, entrance: str, dataset: Dataset, content: bytes) -> list[str]:
    if entrance == "stow":
        return doors.stowed([content])
    if entrance == "upload":
        return doors.uploaded(content, "%3Cscript%3E.html")
    if entrance == "resumable":
        return doors.resumed(content, "%3Cscript%3E.html")
    if entrance == "zip":
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("<script>.html", content)
        return doors.uploaded(buffer.getvalue(), "x.zip")
    uid = dataset.SOPInstanceUID
    return [doors.c_store(dataset_bytes(dataset), syntax=EXPLICIT, sop_class=dataset.SOPClassUID, uid=uid)]


def _answers(doors: Doors, series: str, uid: str) -> Iterator[httpx.Response]:
    """Ask for everything that there is of an instance."""
    client, instance = doors.sender, f"{series}/instances/{uid}"
    for kind in ("*", EXPLICIT, IMPLICIT):
        accept = f'multipart/related; type="application/dicom"; transfer-syntax={kind}'
        answer = client.get(instance, headers={"Accept": accept})
        if answer.status_code != 406:  # a conversion that nobody offers
            yield answer
    yield client.get(f"{instance}/metadata", headers={"Accept": "application/dicom+json"})
    for path in ("frames/1", "bulkdata/00091001", "bulkdata/7FE00010"):
        accept = 'multipart/related; type="application/octet-stream"'
        yield client.get(f"{instance}/{path}", headers={"Accept": accept})
    yield client.get(
        f"{series.rpartition('/series/')[0]}", headers={"Accept": 'multipart/related; type="application/dicom"'}
    )


def _is_page(answer: httpx.Response) -> bool:
    """Tell whether a browser might take an answer, or a part of one that is saved by itself, for a page."""
    kind = answer.headers.get("content-type", "")
    is_named_safely = kind.startswith(("multipart/related", "application/dicom", "application/octet-stream"))
    begins = answer.content.lstrip(b"\t\n\x0c\r ")[:14].upper()
    is_sniffed = begins.startswith(PAGES)
    return is_sniffed or not is_named_safely or answer.headers.get("x-content-type-options") != "nosniff"


def _is_unsafe_file(answer: httpx.Response) -> bool:
    """Tell whether a Part-10 file in an answer begins with anything but zeros."""
    kind = answer.headers.get("content-type", "")
    if "application/dicom+json" in kind or "octet-stream" in kind or answer.status_code != 200:
        return False
    parts = _parts(answer)
    return not parts or not all(part.startswith(PREFIX) for part in parts)


def _held(answer: httpx.Response, dataset: Dataset) -> bool | None:
    """Tell whether an answer holds the very bytes that were sent: pixels, or the private value; None of metadata."""
    kind, path = answer.headers.get("content-type", ""), answer.request.url.path
    if "application/dicom+json" in kind:
        return None
    parts = _parts(answer)
    if path.endswith("/bulkdata/00091001"):
        return parts == [dataset[0x00091001].value]
    if "octet-stream" in kind:
        return parts == [dataset.PixelData]
    # The element's length and value: uncompressed, they are the same bytes in every little endian file.
    element = len(dataset.PixelData).to_bytes(4, "little") + dataset.PixelData
    return len(parts) == 1 and parts[0].count(element) == 1


def _parts(answer: httpx.Response) -> list[bytes]:
    """Return the bodies of a multipart answer."""
    boundary = answer.headers.get("content-type", "").partition("boundary=")[2].strip('"').encode()
    parts = answer.content.split(b"--" + boundary)[1:-1]
    return [part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for part in parts]


TRIAL = Trial(
    "20",
    "files that are DICOM and a program, a page or an archive",
    run,
    "polyglots",
    300,
    never=(
        "not_kept",
        "not_served",
        "served_preamble_not_zero",
        "served_as_page",
        "content_changed",
        "wrong_files",
        "written_outside",
    ),
    at_least={"content_compared": 1},
    quick=tuple(range(8)),
)
