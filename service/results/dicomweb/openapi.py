"""What the OpenAPI document says of search and retrieve: keys, media types, statuses; made from the code's tables."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path
from starlette.responses import Response

from preprocessing.pictures import PICTURE_TYPES
from service.media_types import MEDIA_TYPES, OCTETS
from service.results.dicomweb import qido
from service.results.dicomweb.attributes import ATTRIBUTES, Attribute, Level, Matching

Said = dict[str, Any]

FrameList = Annotated[str, Path(description="Numbers of frames, the first of which is 1, with commas between.")]
BulkPath = Annotated[str, Path(description="As BulkDataURI of the metadata names it.")]

_BINARY: Said = {"schema": {"type": "string", "format": "binary"}}
_ITEMS: Said = {"schema": {"type": "array", "items": {"type": "object"}}}
_MULTIPART: Said = {"multipart/related": _BINARY}
_DATE, _TIME = "[0-9]{8}", "([01][0-9]|2[0-3])([0-5][0-9]){0,2}"
_VALUES: dict[Matching, Said] = {
    "text": {"type": "string", "maxLength": qido.MAX_VALUE, "pattern": "^[^\\x00]*$"},
    "name": {"type": "string", "maxLength": qido.MAX_VALUE, "pattern": "^[^\\x00]*$"},
    "code": {"type": "string", "pattern": "^[A-Z0-9_]{0,16}$"},
    "modalities": {"type": "string", "pattern": "^[A-Z0-9_]{0,16}$"},
    "uid": {"type": "string", "pattern": "^[0-9]{1,20}(\\.[0-9]{1,20})?$"},
    "date": {"type": "string", "pattern": f"^({_DATE}|{_DATE}-|-{_DATE}|{_DATE}-{_DATE})$"},
    "time": {"type": "string", "pattern": f"^({_TIME}|{_TIME}-|-{_TIME}|{_TIME}-{_TIME})$"},
    "number": {"type": "integer", "minimum": -999_999_999, "maximum": 999_999_999},
}


def search(level: Level) -> Said:
    """Return what a search of a level takes and gives."""
    keys = [a for a in ATTRIBUTES if a.matching != "none" and a.level <= level]
    responses: dict[int, Said] = {
        200: _gives({"application/dicom+json": _ITEMS, **_MULTIPART}, "Matches, as DICOM JSON or the Native Model."),
        204: {"description": "Nothing matches."},
        413: {"description": "The search would read too much; narrow it."},
    }
    extra = {"parameters": [*map(_key, keys), *_options(level)]}
    return {"response_class": Response, "responses": responses, "openapi_extra": extra}


def _key(attribute: Attribute) -> Said:
    return {
        "name": attribute.name,
        "in": "query",
        "required": False,
        "description": f"{attribute.path}, {attribute.matching} matching; eight hexadecimal digits name it too.",
        "schema": _VALUES[attribute.matching],
    }


def _options(level: Level) -> list[Said]:
    switch: Said = {"type": "boolean"}
    names: Said = {"type": "string", "enum": ["all", *(a.name for a in ATTRIBUTES if a.level <= level)]}
    schemas: list[tuple[str, Said]] = [
        ("limit", {"type": "integer", "minimum": 0, "maximum": 99_999}),
        ("offset", {"type": "integer", "minimum": 0, "maximum": 99_999}),
        ("includefield", names),
        *((name, switch) for name in qido.SWITCHES),
    ]
    return [{"name": name, "in": "query", "required": False, "schema": schema} for name, schema in schemas]


def _gives(content: Said, words: str) -> Said:
    return {"description": words, "content": content}


def _retrieve(content: Said, words: str, *, partly: str = "", has_tag: bool = False, has_ranges: bool = False) -> Said:
    responses: dict[int, Said] = {200: _gives(content, words)}
    if partly:
        responses[206] = _gives(content, partly)
    if has_tag:
        responses[304] = {"description": "The client has it already: If-None-Match names its ETag."}
    if has_ranges:
        responses[416] = {"description": "The value has no such range."}
    return {"response_class": Response, "responses": responses}


_SOME = "Those instances that there are in a form that the client takes."
_RANGE = "The range that was asked for, of a value that is not in parts."
_PICTURES: Said = dict.fromkeys(PICTURE_TYPES, _BINARY)
INSTANCES = _retrieve({"application/dicom": _BINARY, **_MULTIPART}, "Instances.", partly=_SOME, has_tag=True)
METADATA = _retrieve({"application/dicom+json": _ITEMS, **_MULTIPART}, "Attributes without pixels.")
FRAMES = _retrieve(
    {**dict.fromkeys((OCTETS, *sorted(set(MEDIA_TYPES.values()))), _BINARY), **_MULTIPART},
    "Frames, in their order.",
    partly=_RANGE,
    has_tag=True,
    has_ranges=True,
)
BULK = FRAMES
RENDERED = _retrieve({**_PICTURES, **_MULTIPART}, "Pictures, consistent with the image's own window.", partly=_SOME)
THUMBNAIL = _retrieve(_PICTURES, "One small picture without anything that names the patient.")
