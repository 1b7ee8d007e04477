"""An instance's header in the DICOM JSON model: bulk values by address, pixels never read (PS3.18 F, DWB-24)."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydicom import DataElement, Dataset
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.multival import MultiValue
from pydicom.valuerep import VR

from preprocessing.datasets import Keeping, read_dataset
from preprocessing.header import InstanceHeader
from service.results.dicomweb.attributes import Json, element, json_element, person_name
from service.results.dicomweb.explicit import PYDICOM_ERRORS, UNDEFINED, WORD_BYTES, turned

INLINE_BYTES = 1_024
"""Longer binary values are left to their own address."""
KEEPING = Keeping(bulk_bytes=16 << 20, longest_bulk_bytes=INLINE_BYTES, with_pixels=False)
_BULK = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_TEXT = frozenset({"AE", "AS", "CS", "DA", "DT", "LO", "LT", "SH", "ST", "TM", "UC", "UI", "UR", "UT"})
_WHOLE = frozenset({"IS", "SL", "SS", "SV", "UL", "US", "UV"})
_READ_AGAIN: Mapping[str, str] = {
    "PatientName": "patient_name",
    "PatientID": "patient_id",
    "ReferringPhysicianName": "referring_physician_name",
    "StudyDescription": "study_description",
    "SeriesDescription": "series_description",
    "AccessionNumber": "accession_number",
    "StudyID": "study_id",
}
"""Texts that our own reader decoded when the instance came: right also where the character set is mislabelled."""


def read_metadata(path: Path, header: InstanceHeader, bulk_address: str) -> Json:
    """Return a stored instance's attributes as DICOM JSON.

    Args:
        path: A file of the archive.
        header: As stored with the instance.
        bulk_address: Where bulk values are; the path of tags follows it.

    Returns:
        Every attribute that can be read; of a file that cannot be read within our limits, what the header holds.
    """
    try:
        with path.open("rb") as file:
            dataset = read_dataset(file, transfer_syntax_uid=header.transfer_syntax_uid, keeping=KEEPING)
        found = _dataset(dataset, bulk_address)
    except PYDICOM_ERRORS:
        found = {}
    found |= dict([element("SpecificCharacterSet", "ISO_IR 192")])
    for keyword, name in _READ_AGAIN.items():
        if value := getattr(header, name):
            found |= dict([element(keyword, value)])
    for keyword, uid in (
        ("SOPClassUID", header.sop_class_uid),
        ("SOPInstanceUID", header.sop_instance_uid),
        ("StudyInstanceUID", header.study_instance_uid),
        ("SeriesInstanceUID", header.series_instance_uid),
    ):
        found |= dict([element(keyword, uid)])
    if header.has_pixel_data:
        tag, vr = pixel_element(header)
        found[tag] = {"vr": vr, "BulkDataURI": f"{bulk_address}/{tag}"}
    return dict(sorted(found.items()))


def _dataset(dataset: Dataset, bulk_address: str) -> Json:
    """Turn a data set; an element that cannot be read is left out, as if it were not known."""
    found = {}
    for tag in sorted(dataset.keys()):
        if tag.group in (0x0002, 0x7FE0) or tag.element == 0:
            continue
        name = f"{tag.group:04X}{tag.element:04X}"
        try:
            found[name] = _element(dataset, tag, f"{bulk_address}/{name}")
        except PYDICOM_ERRORS:
            continue
    return found


def _element(dataset: Dataset, tag: Any, bulk_address: str) -> Json:
    raw = dataset.get_item(tag, keep_deferred=True)
    if isinstance(raw, RawDataElement) and raw.length == UNDEFINED:
        raise ValueError("binary value in fragments")
    # A long binary value is told by its length, not read; an implicit data set's elements get their VR here.
    if isinstance(raw, RawDataElement) and raw.length > INLINE_BYTES and (vr := written_vr(raw)) in _BULK:
        return {"vr": vr, "BulkDataURI": bulk_address}
    read = dataset[tag]
    if read.VR == VR.SQ:
        items = [_dataset(item, f"{bulk_address}/{index}") for index, item in enumerate(read.value)]
        return {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}
    return _value(read, bulk_address, is_turned=isinstance(raw, RawDataElement) and not raw.is_little_endian)


def written_vr(raw: RawDataElement) -> str:
    """Return the VR as written, or as the dictionary has it; of two that it allows the first."""
    if raw.VR is not None:
        return str(raw.VR)
    return str(dictionary_VR(raw.tag)).split(" or ")[0] if dictionary_has_tag(raw.tag) else "UN"


def _value(read: DataElement, bulk_address: str, *, is_turned: bool) -> Json:
    vr = str(read.VR)
    if vr in _BULK:
        content = read.value or b""
        if not isinstance(content, bytes):
            raise TypeError("binary value that is not bytes")
        if len(content) > INLINE_BYTES:
            return {"vr": vr, "BulkDataURI": bulk_address}
        content = turned(content, WORD_BYTES.get(vr, 1)) if is_turned else content
        return {"vr": vr, "InlineBinary": base64.b64encode(content).decode()} if content else {"vr": vr}
    values: Iterable[Any] = read.value if isinstance(read.value, MultiValue | list) else [read.value]
    if vr == "PN":
        names = [person_name(str(v)) for v in values if v]
        return {"vr": vr, "Value": names} if names else {"vr": vr}
    if vr == "AT":
        return json_element(vr, [f"{int(v):08X}" for v in values if v is not None])
    if vr in _TEXT:
        return json_element(vr, [str(v) for v in values if v is not None])
    if vr in _WHOLE:
        return json_element(vr, [int(v) for v in values if v not in (None, "")])
    return json_element(vr, [_decimal(float(v)) for v in values if v not in (None, "")])


def _decimal(value: float) -> float | str:
    """JSON has no NaN: the standard writes it as text."""
    return value if math.isfinite(value) else str(value)


def pixel_element(header: InstanceHeader) -> tuple[str, str]:
    """Return tag and VR of an instance's pixels: those of real numbers have no Bits Stored (PS3.3 C.7.6.24)."""
    if header.bits_stored is None and header.bits_allocated in (32, 64):
        return ("7FE00008", "OF") if header.bits_allocated == 32 else ("7FE00009", "OD")
    return "7FE00010", "OW"
