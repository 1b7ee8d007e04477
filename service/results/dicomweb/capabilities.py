"""What the DICOMweb service can do, for programs: `OPTIONS` on its base address (PS3.18 8.9 and Annex H)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from xml.etree import ElementTree as Xml

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from service.access import Caller, may
from service.results.dicomweb.answers import Accepts, base_of, not_acceptable
from service.roles import Permission

router = APIRouter(tags=["dicomweb"])

WADL = "application/vnd.sun.wadl+xml"
_XMLNS = "http://wadl.dev.java.net/2009/02"
_STYLES = {"path": "template", "query": "query", "header": "header"}

MayAsk = Annotated[Caller, Depends(may(Permission.RETRIEVE, Permission.SEND_STUDIES))]


@router.options("/dicomweb/", response_class=Response, responses={200: {"content": {WADL: {}}}})
def retrieve_capabilities(request: Request, _who: MayAsk, accepts: Accepts) -> Response:
    """Tell resources, methods, parameters and media types, as a Web Application Description."""
    if not any(one.takes(WADL) for one in accepts):
        raise not_acceptable(f"Capabilities are told as {WADL}.")
    return Response(described(request.app.openapi(), base_of(request)), media_type=WADL)


def described(document: Mapping[str, Any], base: str) -> bytes:
    """Return the description of every DICOMweb address of an OpenAPI document.

    Args:
        document: Made from the routes themselves.
        base: The address of the DICOMweb service.
    """
    root = Xml.Element("application", {"xmlns": _XMLNS})
    resources = Xml.SubElement(root, "resources", {"base": base})
    for path, operations in sorted(document["paths"].items()):
        if path.startswith("/dicomweb/"):
            resource = Xml.SubElement(resources, "resource", {"path": path.removeprefix("/dicomweb/")})
            for method, operation in sorted(operations.items()):
                _add(resource, method.upper(), operation)
    content: bytes = Xml.tostring(root, encoding="utf-8", xml_declaration=True)
    return content


def _add(resource: Xml.Element, name: str, operation: Mapping[str, Any]) -> None:
    method = Xml.SubElement(resource, "method", {"name": name, "id": operation["operationId"]})
    request = Xml.SubElement(method, "request")
    for parameter in operation.get("parameters", []):
        said = {"name": parameter["name"], "style": _STYLES[parameter["in"]]}
        Xml.SubElement(request, "param", {**said, "required": "true" if parameter.get("required") else "false"})
    _representations(request, operation.get("requestBody", {}))
    for status, answer in operation["responses"].items():
        if status != "default":
            _representations(Xml.SubElement(method, "response", {"status": str(status)}), answer)


def _representations(parent: Xml.Element, said: Mapping[str, Any]) -> None:
    for media_type in said.get("content", {}):
        Xml.SubElement(parent, "representation", {"mediaType": media_type})
