"""Synthetic instances, and a service's parts on a temporary folder."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    CTImageStorage,
    ExplicitVRLittleEndian,
    generate_uid,
)
from sqlalchemy import insert

from service import tables
from service.archive import Archive
from service.database import Database
from service.intake.outcomes import Door, Outcome, Sender
from service.intake.receive import Intake
from service.intake.spool import DATASET_OFFSET, Spooled
from service.settings import Settings


def phantom(rows: int = 96, columns: int = 80, *, bits: int = 12, seed: int = 0) -> NDArray[np.uint16]:
    """Return stored values of a ramp with boxes: bright = high, no two phantoms of different seeds alike."""
    ramp = np.linspace(0.1, 0.7, columns)[None, :] * np.ones((rows, 1))
    ramp[rows // 4 : rows // 2, columns // 4 : columns // 2] = 0.9
    ramp[-rows // 4 :, -columns // 4 :] = 0.05
    noise = np.random.default_rng(seed).uniform(-0.01, 0.01, ramp.shape)
    return np.round(np.clip(ramp + noise, 0, 1) * (2**bits - 1)).astype(np.uint16)


def make_radiograph(
    pixels: NDArray[np.uint16] | None = None,
    *,
    photometric_interpretation: str = "MONOCHROME2",
    bits_stored: int = 12,
    seed: int = 0,
    **attributes: Any,
) -> Dataset:
    """Return a whole CR chest radiograph of an invented patient, native explicit little endian."""
    if pixels is None:
        pixels = phantom(bits=bits_stored, seed=seed)
    dataset = _instance(ComputedRadiographyImageStorage, "CR")
    dataset.BodyPartExamined = "CHEST"
    dataset.ViewPosition = "PA"
    _set_pixels(dataset, pixels, bits_stored=bits_stored, photometric_interpretation=photometric_interpretation)
    dataset.update(_by_keyword(attributes))
    return _as_file(dataset)


def make_ct_slice(*, rows: int = 64, seed: int = 0, **attributes: Any) -> Dataset:
    """Return one CT slice of an invented patient."""
    dataset = _instance(CTImageStorage, "CT")
    dataset.BodyPartExamined = "CHEST"
    dataset.RescaleIntercept = -1024
    dataset.RescaleSlope = 1
    dataset.ImagePositionPatient = [0.0, 0.0, 0.0]
    dataset.ImageOrientationPatient = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    dataset.PixelSpacing = [0.7, 0.7]
    dataset.SliceThickness = 1.0
    _set_pixels(dataset, phantom(rows, rows, seed=seed), bits_stored=12, photometric_interpretation="MONOCHROME2")
    dataset.update(_by_keyword(attributes))
    return _as_file(dataset)


def with_fresh_uids(dataset: Dataset) -> Dataset:
    """Give a data set study, series and instance UIDs that nobody else has."""
    dataset.StudyInstanceUID = generate_uid()
    dataset.SeriesInstanceUID = generate_uid()
    dataset.SOPInstanceUID = generate_uid()
    if hasattr(dataset, "file_meta"):
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def part10(dataset: Dataset) -> bytes:
    """Return a data set as the bytes of a Part-10 file."""
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def dataset_bytes(dataset: Dataset) -> bytes:
    """Return the bytes behind the file meta group."""
    whole = part10(dataset)
    offset = 132 + 12 + dcmread(io.BytesIO(whole), stop_before_pixels=True).file_meta.FileMetaInformationGroupLength
    return whole[offset:]


def _instance(sop_class_uid: str, modality: str) -> Dataset:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.SOPClassUID = sop_class_uid
    dataset.StudyDate = "20260101"
    dataset.StudyTime = "101500"
    dataset.AccessionNumber = "A-0001"
    dataset.Modality = modality
    dataset.Manufacturer = "Phantom"
    dataset.ReferringPhysicianName = "Referring^Doctor"
    dataset.PatientName = "Phantom^Film"
    dataset.PatientID = "PHANTOM-1"
    dataset.PatientBirthDate = "19700101"
    dataset.PatientSex = "F"
    dataset.PatientAge = "056Y"
    dataset.StudyID = "1"
    dataset.SeriesNumber = 1
    dataset.InstanceNumber = 1
    dataset.PatientOrientation = ["L", "F"]
    return with_fresh_uids(dataset)


def _set_pixels(
    dataset: Dataset, pixels: NDArray[np.uint16], *, bits_stored: int, photometric_interpretation: str
) -> None:
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = photometric_interpretation
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated = 16
    dataset.BitsStored = bits_stored
    dataset.HighBit = bits_stored - 1
    dataset.PixelRepresentation = 0
    dataset.PixelData = pixels.tobytes()


def _by_keyword(attributes: dict[str, Any]) -> Dataset:
    changed = Dataset()
    for keyword, value in attributes.items():
        setattr(changed, keyword, value)
    return changed


def _as_file(dataset: Dataset) -> Dataset:
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


class Clock:
    """A clock that only tests move."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def keep(intake: Intake, spooled: Spooled, **declared: str | None) -> Outcome:
    """Hand a spooled data set to the intake and wait for the answer."""
    asked = {"sop_class_uid": None, "sop_instance_uid": None, **declared}
    return asyncio.run(intake.keep(spooled, **asked))


@dataclass
class Parts:
    """A service's parts: real tables, real archive, real intake."""

    settings: Settings
    database: Database
    archive: Archive
    intake: Intake
    site_id: int
    clock: Callable[[], float]

    def sender(self, name: str = "TESTER", door: Door = Door.DIMSE) -> Sender:
        return Sender(self.site_id, door, name)

    def send(self, dataset: Dataset, **declared: str | None) -> Outcome:
        """Hand one data set to the intake, as a door does."""
        spooled = self.intake.open(self.sender(), transfer_syntax_uid=str(dataset.file_meta.TransferSyntaxUID))
        spooled.write(dataset_bytes(dataset))
        asked = {"sop_class_uid": dataset.SOPClassUID, "sop_instance_uid": dataset.SOPInstanceUID, **declared}
        return keep(self.intake, spooled, **asked)


def add_site(database: Database, code: str = "test", **policy: Any) -> int:
    """Add a site row and return its id."""
    with database.transaction() as tx:
        result = tx.execute(
            insert(tables.site).values(
                code=code, name=code.title(), country="VN", language="vi", time_zone="Asia/Ho_Chi_Minh",
                policy=policy, created_at=0.0,
            )
        )  # fmt: skip
        return int(result.inserted_primary_key[0])


@contextmanager
def open_parts(
    folder: Path, clock: Callable[[], float] | None = None, policy: dict[str, Any] | None = None, **settings: Any
) -> Iterator[Parts]:
    """Open a service's parts on a folder, with one site called `test`."""
    made = Settings(data_folder=folder / "data", **{"min_free_bytes": 0, "low_free_bytes": 0, **settings})
    clock = clock or Clock()
    database = Database(made.sqlalchemy_url)
    database.migrate()
    archive = Archive(made.archive_folder)
    intake = Intake(database=database, archive=archive, settings=made, clock=clock)
    intake.start()
    try:
        yield Parts(made, database, archive, intake, add_site(database, **(policy or {})), clock)
    finally:
        intake.stop()
        database.close()


__all__ = ["DATASET_OFFSET", "Clock", "Parts", "add_site", "dataset_bytes", "keep", "make_ct_slice", "make_radiograph",
           "open_parts", "part10", "phantom", "with_fresh_uids"]  # fmt: skip
