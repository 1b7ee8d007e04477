"""What the OpenAPI document says of the doors: bodies that are streams, and an outcome for each instance."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

Said = dict[str, Any]

_BINARY: Said = {"schema": {"type": "string", "format": "binary"}}
_MODULE: Said = {
    "type": "object",
    "description": "Store Instances Response Module (PS3.18 Annex I.2), or a refusal of the whole request.",
}
_OUTCOMES: Said = {"type": "object", "description": "An outcome for each file, or a refusal of the whole request."}


def _door(takes: str, gives: Said, tag: str) -> Said:
    content = {name: {"schema": schema} for name, schema in gives.items()}
    words = {
        200: "Everything is kept.",
        202: "Some is kept; what is not is told with its reason.",
        "default": "Nothing is kept: 400, 409, 413, 415, 503 and 507 tell why.",
    }
    return {
        "tags": [tag],
        "response_class": Response,
        "responses": {status: {"description": said, "content": content} for status, said in words.items()},
        "openapi_extra": {"requestBody": {"required": True, "content": {takes: _BINARY}}},
    }


STORE = _door(
    "multipart/related",
    {"application/dicom+json": _MODULE, "application/dicom+xml": {"type": "string"}, "application/json": _MODULE},
    "dicomweb",
)
UPLOAD = _door("application/octet-stream", {"application/json": _OUTCOMES}, "intake")
