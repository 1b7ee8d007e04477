"""DICOM JSON ⇄ the Native DICOM Model in XML, the other form of search answers and metadata (PS3.19 A.1)."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree as Xml

from pydicom.datadict import keyword_for_tag

Json = dict[str, Any]

DICOM_XML = "application/dicom+xml"
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MOST_ELEMENTS = 500_000
_NAME_PARTS = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")


def to_xml(item: Json) -> bytes:
    """Return a data set's JSON as an XML document."""
    root = Xml.Element("NativeDicomModel", {"xml:space": "preserve"})
    _fill(root, item)
    content: bytes = Xml.tostring(root, encoding="utf-8", xml_declaration=True)
    return content


def _fill(parent: Xml.Element, item: Json) -> None:
    for name, element in sorted(item.items()):
        attribute = Xml.SubElement(parent, "DicomAttribute", {"tag": name, "vr": element["vr"]})
        if keyword := keyword_for_tag(int(name, 16)):
            attribute.set("keyword", keyword)
        if "BulkDataURI" in element:
            Xml.SubElement(attribute, "BulkData", {"uri": element["BulkDataURI"]})
        if "InlineBinary" in element:
            Xml.SubElement(attribute, "InlineBinary").text = element["InlineBinary"]
        for number, value in enumerate(element.get("Value", []), start=1):
            _add(attribute, element["vr"], number, value)


def _add(attribute: Xml.Element, vr: str, number: int, value: object) -> None:
    if isinstance(value, dict) and vr == "SQ":
        _fill(Xml.SubElement(attribute, "Item", {"number": str(number)}), value)
    elif isinstance(value, dict):
        name = Xml.SubElement(attribute, "PersonName", {"number": str(number)})
        for group, text in value.items():
            parts = Xml.SubElement(name, group)
            for part, words in zip(_NAME_PARTS, text.split("^"), strict=False):
                if words:
                    Xml.SubElement(parts, part).text = _clean(words)
    else:
        Xml.SubElement(attribute, "Value", {"number": str(number)}).text = _clean(str(value))


def _clean(text: str) -> str:
    """XML has no way to write most control characters."""
    return _NOT_XML.sub("", text)


class NotNative(ValueError):
    """A document is no metadata of a data set."""


class _Builder(Xml.TreeBuilder):
    """Builds the tree of a document that declares nothing."""

    def doctype(self, _name: str, _pubid: str | None, _system: str | None) -> None:
        """Refuse a document type, which can make much out of little."""
        raise NotNative("a document type")


def from_xml(document: bytes) -> Json:
    """Return the data set of an XML document as JSON; its values are text, whatever their VR. Raises NotNative."""
    if document.count(b"<") > _MOST_ELEMENTS:
        raise NotNative("too many elements")
    try:
        parser = Xml.XMLParser(target=_Builder())  # noqa: S314 - no document type: no entities, nothing fetched
        parser.feed(document)
        return _read(parser.close())
    except (Xml.ParseError, RecursionError, LookupError, ValueError) as error:
        raise NotNative("no Native DICOM Model") from error


def _read(parent: Xml.Element) -> Json:
    return {a.attrib["tag"].upper(): _read_attribute(a) for a in parent if _name(a) == "DicomAttribute"}


def _read_attribute(attribute: Xml.Element) -> Json:
    found: Json = {"vr": attribute.attrib["vr"]}
    values: list[object] = []
    for child in attribute:
        match _name(child):
            case "BulkData":
                found["BulkDataURI"] = child.get("uri") or child.get("uuid") or ""
            case "InlineBinary":
                found["InlineBinary"] = "".join((child.text or "").split())
            case "Item":
                values.append(_read(child))
            case "PersonName":
                values.append({_name(group): _read_name(group) for group in child})
            case "Value":
                values.append(child.text or "")
    return {**found, "Value": values} if values else found


def _read_name(group: Xml.Element) -> str:
    texts = {_name(part): part.text or "" for part in group}
    return "^".join(texts.get(part, "") for part in _NAME_PARTS).rstrip("^")


def _name(element: Xml.Element) -> str:
    """Return an element's name without its name space."""
    return element.tag.rpartition("}")[2]
