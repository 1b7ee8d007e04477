"""What every DICOM object of ours shares: derived UIDs, the study it belongs to, its equipment, its bytes."""

from __future__ import annotations

import io
import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from pydicom import config
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import ExplicitVRLittleEndian

from models.package import ModelPackage
from preprocessing.header import InstanceHeader

UID_NAMESPACE = uuid.UUID("5f0f9a43-62a1-5d7e-9a53-0f4f6c0c7f10")
"""Root of every UID that we derive. Never change it: the same result would get another name."""
IMPLEMENTATION_CLASS_UID = f"2.25.{uuid.uuid5(UID_NAMESPACE, 'implementation').int}"
IMPLEMENTATION_VERSION_NAME = "PANDOK"

_DATE = re.compile(r"(19|20)\d{2}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")
_TIME = re.compile(r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?")
_AGE = re.compile(r"\d{3}[DWMY]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class ResultKey:
    """What a result is derived from; its UIDs follow from this and from nothing else."""

    study_public_id: str
    revision: int
    attempt: int
    """An operator's restart of a revision makes new objects: the earlier ones may have left the house."""
    package_sha256: str

    def uid(self, what: str) -> str:
        """Return the UID of one part of the result: `sr`, `overlay/<instance>`, `sr series`, ..."""
        name = f"{self.study_public_id}/{self.revision}/{self.attempt}/{self.package_sha256}/{what}"
        return derived_uid(name)


Reference = tuple[str, str, str]
"""Series Instance UID, SOP Instance UID, SOP Class UID."""


@dataclass(frozen=True, slots=True)
class Predecessor:
    """An earlier result of the same study that a new one takes the place of."""

    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str

    @property
    def reference(self) -> Reference:
        """How a new object names it."""
        return (self.series_instance_uid, self.sop_instance_uid, self.sop_class_uid)


def hierarchical_references(study_uid: str, references: Iterable[Reference]) -> Dataset:
    """Return references to instances of one study as Hierarchical SOP Instance Reference (PS3.3 C.17.2.1)."""
    by_series: dict[str, list[Dataset]] = {}
    for series_uid, instance_uid, class_uid in references:
        item = Dataset()
        item.ReferencedSOPClassUID = class_uid
        item.ReferencedSOPInstanceUID = instance_uid
        by_series.setdefault(series_uid, []).append(item)
    study = Dataset()
    study.ReferencedSeriesSequence = []
    for series_uid, items in by_series.items():
        series = Dataset()
        series.ReferencedSOPSequence = items
        series.SeriesInstanceUID = series_uid
        study.ReferencedSeriesSequence.append(series)
    study.StudyInstanceUID = study_uid
    return study


def derived_uid(name: str) -> str:
    """Return the UID that belongs to a name: 2.25.<UUIDv5> (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid5(UID_NAMESPACE, name).int}"


def study_modules(header: InstanceHeader) -> Dataset:
    """Return the Patient, General Study and Patient Study modules of the study that a stored header belongs to.

    Text is copied as the sender wrote it, in UTF-8. A date, time, sex or age that the standard does not allow
    is left empty: those attributes are type 2, and a wrong one would make our object invalid.
    """
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    _copy(dataset, "PatientName", header.patient_name)
    _copy(dataset, "PatientID", header.patient_id)
    if header.issuer_of_patient_id:
        _copy(dataset, "IssuerOfPatientID", header.issuer_of_patient_id)
    _copy(dataset, "PatientBirthDate", _matching(_DATE, header.patient_birth_date))
    _copy(dataset, "PatientSex", header.patient_sex if header.patient_sex in ("M", "F", "O") else None)
    if age := _matching(_AGE, header.patient_age):
        _copy(dataset, "PatientAge", age)
    _copy(dataset, "StudyInstanceUID", header.study_instance_uid)
    _copy(dataset, "StudyDate", _matching(_DATE, header.study_date))
    _copy(dataset, "StudyTime", _matching(_TIME, header.study_time))
    _copy(dataset, "StudyID", header.study_id)
    _copy(dataset, "AccessionNumber", header.accession_number)
    _copy(dataset, "ReferringPhysicianName", header.referring_physician_name)
    if header.study_description:
        _copy(dataset, "StudyDescription", header.study_description)
    return dataset


def add_series_and_equipment(
    dataset: Dataset, package: ModelPackage, *, series_uid: str, series_number: int, description: str, made_at: datetime
) -> None:
    """Add the General Series and General Equipment modules, and when the result was made.

    Args:
        dataset: The object under construction.
        package: The maker; its content hash is the serial number.
        series_uid: Series Instance UID.
        series_number: Series Number.
        description: Series Description, at most 64 characters are kept.
        made_at: When the run ended, with an offset: the object says it in Timezone Offset From UTC, which also
            holds for the copied Study Time, so it must be the offset of the place where the study was made.
    """
    date, time = made_at.strftime("%Y%m%d"), made_at.strftime("%H%M%S")
    dataset.TimezoneOffsetFromUTC = made_at.strftime("%z")
    dataset.SeriesInstanceUID = series_uid
    dataset.SeriesNumber = series_number
    dataset.SeriesDescription = description[:64]
    dataset.SeriesDate = dataset.ContentDate = dataset.InstanceCreationDate = date
    dataset.SeriesTime = dataset.ContentTime = dataset.InstanceCreationTime = time
    dataset.Manufacturer = package.manufacturer[:64]
    dataset.ManufacturerModelName = package.name[:64]
    dataset.DeviceSerialNumber = package.sha256
    dataset.SoftwareVersions = package.version[:64]


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """Return the item of a code sequence."""
    item = Dataset()
    item.CodeValue = value
    item.CodingSchemeDesignator = scheme
    item.CodeMeaning = meaning[:64]
    return item


def part10(dataset: Dataset) -> bytes:
    """Return the object as a file in Explicit VR Little Endian; the same object gives the same bytes."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    dataset.file_meta = meta
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


_SHORT_STRING = 16
"""Most characters of VR SH (PS3.5 section 6.2)."""


def _copy(dataset: Dataset, keyword: str, text: str | None) -> None:
    """Set a text as it came: the identity must be the sender's. Control characters go.

    A number of the order or the study that is longer than its VR allows is left empty: cut, it would name another.
    """
    clean = _CONTROL.sub("", text or "").encode("utf-8", "replace").decode("utf-8")
    tag = tag_for_keyword(keyword)
    if dictionary_VR(tag) == "SH" and len(clean) > _SHORT_STRING:
        clean = ""
    dataset.add(DataElement(tag, dictionary_VR(tag), clean, validation_mode=config.IGNORE))


def _matching(pattern: re.Pattern[str], text: str | None) -> str | None:
    return text if text is not None and pattern.fullmatch(text) else None
