"""A signed report's pages → DICOM Encapsulated PDF in the study that they are about (PS3.3 A.45.1)."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

from preprocessing.header import InstanceHeader, read_header
from service.archive import Archive
from service.results.dicom_object import (
    Predecessor,
    code,
    derived_uid,
    hierarchical_references,
    part10,
    study_modules,
)
from service.results.records import NewResult

SERIES_NUMBER = 9950
MANUFACTURER = "Pandok"
LONGEST_TITLE = 1024


@dataclass(frozen=True, slots=True)
class Printed:
    """The pages of one version, and what they are of."""

    report_public_id: str
    number: int
    sha256: str
    """The version's fingerprint."""
    title: str
    language: str
    pdf: bytes
    signed_at: datetime
    """In the center's time: the object's dates and times are told in its offset."""
    predecessor: Predecessor | None = None
    """The pages in the study that these take the place of."""


def build_document(header: InstanceHeader, printed: Printed, sources: Sequence[tuple[str, str]]) -> Dataset:
    """Return the Encapsulated PDF of one version.

    Args:
        header: Of an object of the study: patient and study stand in it.
        printed: The pages.
        sources: SOP Class and SOP Instance UIDs of the images that were read.
    """
    dataset = study_modules(header)
    dataset.SOPClassUID = EncapsulatedPDFStorage
    dataset.SOPInstanceUID = derived_uid(f"report/{printed.report_public_id}/{printed.number}/{printed.sha256}")
    date, time = printed.signed_at.strftime("%Y%m%d"), printed.signed_at.strftime("%H%M%S")
    dataset.TimezoneOffsetFromUTC = printed.signed_at.strftime("%z")
    dataset.Modality = "DOC"
    dataset.SeriesInstanceUID = derived_uid(f"report/{printed.report_public_id}/series")
    dataset.SeriesNumber = SERIES_NUMBER
    dataset.SeriesDescription = "Radiology report"
    dataset.SeriesDate = dataset.ContentDate = dataset.InstanceCreationDate = date
    dataset.SeriesTime = dataset.ContentTime = dataset.InstanceCreationTime = time
    dataset.Manufacturer = MANUFACTURER
    dataset.ConversionType = "WSD"
    dataset.InstanceNumber = printed.number
    dataset.AcquisitionDateTime = None
    dataset.BurnedInAnnotation = "YES"
    dataset.DocumentTitle = f"{printed.title} {printed.number}"[:LONGEST_TITLE]
    dataset.ConceptNameCodeSequence = [code("18748-4", "LN", "Diagnostic imaging report")]
    dataset.VerificationFlag = "VERIFIED"
    dataset.SourceInstanceSequence = [_reference(*source) for source in sources]
    if printed.predecessor is not None:  # WL-50: a PACS that has both shows which one stands
        before = hierarchical_references(dataset.StudyInstanceUID, [printed.predecessor.reference])
        dataset.PredecessorDocumentsSequence = [before]
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.EncapsulatedDocument = printed.pdf + b"\0" * (len(printed.pdf) % 2)
    dataset.EncapsulatedDocumentLength = len(printed.pdf)
    return dataset


def store_document(archive: Archive, site_id: int, dataset: Dataset) -> NewResult:
    """Put the object into the archive and return what its row is made from."""
    content = part10(dataset)
    file = io.BytesIO(content)
    offset = archive.dataset_offset(file)
    length = len(content) - offset
    header = read_header(file, transfer_syntax_uid=ExplicitVRLittleEndian, offset=offset, length=length)
    return NewResult(header, archive.put(site_id, content), length, None)


def _reference(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class_uid
    item.ReferencedSOPInstanceUID = sop_instance_uid
    return item
