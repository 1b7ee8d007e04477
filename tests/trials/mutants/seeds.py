"""What is mutated: pydicom's files, those of pydicom-data, files made here, and the shared ones when they are there."""

from __future__ import annotations

import functools
import io
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom.data
from pydicom import Dataset, dcmwrite
from pydicom.encaps import encapsulate
from pydicom.uid import RLELossless

from tests.conftest import ROOT
from tests.factories import make_ct_slice, make_radiograph, part10, phantom

MAX_SEED_BYTES = 400_000
"""Larger files add time and no new branch."""

_CODECS: Mapping[str, Callable[..., bytes]] = {
    "1.2.840.10008.1.2.4.50": lambda a: imagecodecs.jpeg8_encode((a >> 4).astype(np.uint8), level=90),
    "1.2.840.10008.1.2.4.51": lambda a: imagecodecs.jpeg8_encode(a, level=90, bitspersample=12),
    "1.2.840.10008.1.2.4.57": lambda a: imagecodecs.jpeg8_encode(a, lossless=True, predictor=6),
    "1.2.840.10008.1.2.4.70": lambda a: imagecodecs.jpeg8_encode(a, lossless=True),
    "1.2.840.10008.1.2.4.80": imagecodecs.jpegls_encode,
    "1.2.840.10008.1.2.4.81": lambda a: imagecodecs.jpegls_encode(a, level=2),
    "1.2.840.10008.1.2.4.90": lambda a: imagecodecs.jpeg2k_encode(a, level=0, codecformat="j2k"),
    "1.2.840.10008.1.2.4.91": lambda a: imagecodecs.jpeg2k_encode(a, level=40, codecformat="jp2"),
    "1.2.840.10008.1.2.4.201": imagecodecs.htj2k_encode,
}


@functools.cache
def seed_files() -> Mapping[str, bytes]:
    """Return every seed by its name, in a fixed order; the same machine gives the same ones."""
    found = dict(_made())
    for label, folder in folders().items():
        for path in sorted(folder.rglob("*")):
            if path.is_file() and 200 < path.stat().st_size <= MAX_SEED_BYTES:
                found[f"{label}/{path.relative_to(folder)}"] = path.read_bytes()
    return found


def shared_folder() -> Path:
    """Return where the shared films are, if they are."""
    return Path(os.environ.get("PANDOK_SHARED_DATA", ROOT.parent / "shared" / "data")) / "dicom"


def folders() -> dict[str, Path]:
    """Return the folders of odd files that this machine has."""
    found = {"pydicom": Path(pydicom.data.__file__).parent / "test_files"}
    try:
        import data_store  # what the package pydicom-data brings

        found["pydicom-data"] = Path(data_store.__file__).parent / "data"
    except ImportError:
        pass
    if shared_folder().is_dir():
        found["shared"] = shared_folder()
    return found


def _made() -> Mapping[str, bytes]:
    """Make films of every transfer syntax that is read, with fixed UIDs."""
    made = {"made/radiograph": _radiograph(), "made/ct": make_ct_slice(rows=48)}
    for number, (syntax, encode) in enumerate(_CODECS.items()):
        dataset = _radiograph()
        dataset.PixelData = encapsulate([encode(phantom(144, 136))])
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = syntax
        if syntax.endswith(".50"):
            dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
        made[f"made/{number}-{syntax}"] = dataset
    made["made/rle"] = _radiograph()
    made["made/rle"].compress(RLELossless, encoding_plugin="pydicom")
    files = {name: part10(_fixed(dataset, number)) for number, (name, dataset) in enumerate(made.items())}
    files["made/implicit"] = _written(_fixed(_radiograph(), 90), "1.2.840.10008.1.2")
    files["made/deflated"] = _written(_fixed(_radiograph(), 91), "1.2.840.10008.1.2.1.99")
    return files


def _radiograph() -> Dataset:
    dataset = make_radiograph(phantom(144, 136))
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "399162004", "SCT", "postero-anterior"
    dataset.ViewCodeSequence = [code]
    dataset.private_block(0x0009, "PANDOK TRIAL", create=True).add_new(1, "SQ", [code])
    return dataset


def _fixed(dataset: Dataset, number: int) -> Dataset:
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"1.2.3.{number}", f"1.2.3.{number}.1"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}.1.1"
    return dataset


def _written(dataset: Dataset, syntax: str) -> bytes:
    dataset.file_meta.TransferSyntaxUID = syntax
    buffer = io.BytesIO()
    implicit = syntax == "1.2.840.10008.1.2"
    dcmwrite(buffer, dataset, implicit_vr=implicit, little_endian=True, enforce_file_format=True)
    return buffer.getvalue()
