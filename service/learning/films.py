"""A film without its patient: a new DICOM file that holds what the picture needs, and nothing else (PS3.15 Annex E)."""

from __future__ import annotations

import struct
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.errors import BytesLengthException
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID

from preprocessing.datasets import Keeping, read_dataset
from preprocessing.header import InstanceHeader
from preprocessing.scope import is_chest_text
from preprocessing.view import View, read_view
from preprocessing.windows import HeaderRefused
from service.results.dicom_object import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, derived_uid

KEPT = (
    "SOPClassUID", "ImageType", "Modality", "PresentationIntentType", "PatientOrientation", "Laterality",
    "ImageLaterality", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames",
    "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SmallestImagePixelValue",
    "LargestImagePixelValue", "PixelPaddingValue", "PixelPaddingRangeLimit", "PixelSpacing", "ImagerPixelSpacing",
    "RescaleIntercept", "RescaleSlope", "RescaleType", "WindowCenter", "WindowWidth", "VOILUTFunction",
    "PresentationLUTShape", "LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod",
    "PixelData",
)  # fmt: skip
"""Everything else stays at the site: what is not named here cannot slip out."""
LUTS = ("ModalityLUTSequence", "VOILUTSequence")
LUT_KEPT = ("LUTDescriptor", "LUTData", "ModalityLUTType")
_KEEPING = Keeping(bulk_bytes=2 << 30, longest_bulk_bytes=2 << 30, with_pixels=True)
_UNREADABLE = (
    ArithmeticError, AttributeError, BytesLengthException, HeaderRefused, LookupError, NotImplementedError, OSError,
    RecursionError, TypeError, ValueError, struct.error,
)  # fmt: skip
"""What is raised for a damaged file: by our reader, and by pydicom for a value that it cannot convert or write."""
METHOD = "Pandok: only attributes that the picture needs are kept"

_POSITIONS = {View.PA: "PA", View.AP: "AP", View.FRONTAL: "FRONTAL", View.LATERAL: "LATERAL"}
_OVERLAY_GROUPS = range(0x6000, 0x6100, 2)
_BIT_POSITION = 0x0102


class FilmRefused(Exception):
    """A film that cannot be given out; its text is a word for the summary."""


def write_film(source: Path, header: InstanceHeader, target: Path, *, name: str, patient: str) -> None:
    """Write a film under its pseudonyms.

    Args:
        source: The stored file.
        header: As it was read when the film arrived.
        target: The file to write.
        name: What the film's new UIDs derive from.
        patient: The patient's pseudonym.

    Raises:
        FilmRefused: The file cannot be read, or an overlay with text may lie in its pixels' unused bits.
    """
    try:
        with source.open("rb") as file:
            stored = read_dataset(file, transfer_syntax_uid=header.transfer_syntax_uid, keeping=_KEEPING)
        film = _film(stored, header, name=name, patient=patient)
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = film.SOPClassUID
        meta.MediaStorageSOPInstanceUID = film.SOPInstanceUID
        meta.TransferSyntaxUID = UID(header.transfer_syntax_uid)
        meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
        meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
        film.file_meta = meta
        dcmwrite(target, film, enforce_file_format=True)
    except _UNREADABLE as error:
        raise FilmRefused("unreadable_file") from error


def _film(stored: Dataset, header: InstanceHeader, *, name: str, patient: str) -> Dataset:
    if any((group << 16) + _BIT_POSITION in stored and stored[group, _BIT_POSITION].value for group in _OVERLAY_GROUPS):
        raise FilmRefused("overlay_in_pixels")
    film = Dataset()
    film.SpecificCharacterSet = "ISO_IR 192"
    for keyword in KEPT:
        if keyword in stored:
            film[keyword] = stored[keyword]
    for keyword in LUTS:
        if keyword in stored:
            setattr(film, keyword, [_lut(item) for item in stored[keyword].value])
    film.SOPInstanceUID = derived_uid(f"export/{name}")
    film.SeriesInstanceUID = derived_uid(f"export/{name}/series")
    film.StudyInstanceUID = derived_uid(f"export/{name}/study")
    film.PatientID = patient
    film.PatientName = ""
    film.PatientIdentityRemoved = "YES"
    film.DeidentificationMethod = METHOD
    if is_chest_text(header.body_part_examined or ""):
        film.BodyPartExamined = "CHEST"
    film.ViewPosition = _POSITIONS.get(read_view(header).view, "")
    return film


def _lut(item: Dataset) -> Dataset:
    kept = Dataset()
    for keyword in LUT_KEPT:
        if keyword in item:
            kept[keyword] = item[keyword]
    return kept
