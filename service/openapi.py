"""The OpenAPI document as the service really answers: one shape for every refusal, no status that we never give."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

REFUSAL = {
    "title": "Refusal",
    "type": "object",
    "required": ["error", "message"],
    "properties": {
        "error": {"type": "string", "description": "One word for programs."},
        "message": {"type": "string", "description": "What to do, in one or two sentences."},
    },
}
_DEFAULT = {
    "description": "Refused: the status tells how, the body why.",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}},
}


def tell_the_truth(app: FastAPI) -> None:
    """Describe refusals as `service.errors` gives them, not as FastAPI supposes."""
    described = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _mended(described())
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to change its document


def _mended(document: dict[str, Any]) -> dict[str, Any]:
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas["Refusal"] = REFUSAL
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for path in document["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)
            operation["responses"].setdefault("default", _DEFAULT)
    return document
