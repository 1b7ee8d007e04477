"""Writes docs/conformance.md, the DICOM conformance statement, from the tables that the code itself works with.

`python -m service.conformance` writes it again (PS3.2 says what it holds); a test holds the page to be current.
"""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from pydicom.uid import EncapsulatedPDFStorage

from preprocessing.decoders import SUPPORTED_TRANSFER_SYNTAXES
from preprocessing.pictures import PICTURE_TYPES
from preprocessing.text import CHARACTER_SETS
from service.conformance_networking import commitment, listener, name_of, networking, statuses, table
from service.intake.commitments import PUSH_MODEL
from service.intake.dimse import capabilities
from service.intake.metadata_parts import MAX_METADATA_BYTES
from service.intake.spool import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from service.intake.stow import ACCEPTED
from service.intake.verify import storage_classes
from service.media_types import MEDIA_TYPES
from service.results import dicom_object
from service.results.dicomweb import qido, rendered
from service.results.dicomweb.attributes import ATTRIBUTES, Level
from service.results.dicomweb.capabilities import WADL
from service.results.dicomweb.explicit import CONVERTIBLE
from service.results.dicomweb.routes import MAX_FRAMES
from service.results.dicomweb.wado import EXPLICIT, UNPACKABLE
from service.settings import Settings

PAGE = Path(__file__).resolve().parents[1] / "docs" / "conformance.md"


def page(app: FastAPI) -> str:
    """Return the statement.

    Args:
        app: The web process' application, for its addresses.
    """
    network = (networking(), listener(), statuses(), commitment())
    parts = (_introduction(), *network, _web(app), _search(), _media(), _objects(), _text(), _security())
    return "\n\n".join(parts) + "\n"


def _introduction() -> str:
    return f"""# DICOM conformance statement

Pandok receives studies, has them scored and read, and gives images, results and reports back. This page follows
PS3.2 (2024e) and is written by `python -m service.conformance` from the tables of the code; it names defaults where a
setting decides.

| role | service |
| --- | --- |
| SCP | {", ".join(_services())} |
| origin server | STOW-RS, QIDO-RS, WADO-RS, over HTTP/1.1 |
| SCU | none; as SCP we start associations to tell the outcome of a storage commitment |
| FSC, UPS-RS | none |

Implementation Class UID `{IMPLEMENTATION_CLASS_UID}`, Implementation Version Name `{IMPLEMENTATION_VERSION_NAME}`."""


def _services() -> list[str]:
    stored = storage_classes()
    others = sorted(name_of(uid) for uid in capabilities.ABSTRACT_SYNTAXES - stored | {PUSH_MODEL})
    return [*others, f"Storage ({len(capabilities.ABSTRACT_SYNTAXES & stored)} SOP Classes)"]


def _web(app: FastAPI) -> str:
    addresses = sorted(
        (path, method.upper(), operation["summary"], _media_of(operation))
        for path, operations in app.openapi()["paths"].items()
        if path.startswith("/dicomweb")
        for method, operation in operations.items()
    )
    rows = [(f"`{method} {path.removeprefix('/dicomweb')}`", media) for path, method, _words, media in addresses]
    return "\n\n".join(
        (
            """## DICOMweb

Below `/dicomweb`, for callers with a site's key (`Authorization: Bearer`) or a session. A person of no single site
names one with `?site=CODE` where a study is at several. `Accept` and its parameters `q`, `type` and `transfer-syntax`
are read; the query parameter `accept` stands for the header.""",
            table(("resource", "gives"), rows),
            f"""STOW-RS takes `multipart/related` of {", ".join(f"`{name}`" for name in ACCEPTED)}. Metadata (PS3.18 F,
at most {MAX_METADATA_BYTES:,} bytes in a request) name bulk values by the Content-Location of their parts;
pixels are `application/octet-stream`, or one part for each compressed frame with its media type and `transfer-syntax`.
What they make is kept in Explicit VR Little Endian, or in the pixels' transfer syntax, and UTF-8. Addresses outside the
request are never fetched.

`OPTIONS /dicomweb/` tells the capabilities (`{WADL}`). Instances, frames and bulk values have an ETag
(`If-None-Match`: 304), values that are not in parts take `Range` (206, 416), JSON is packed with gzip where that is
taken. There is no CORS: pages of other origins get nothing.

200 all kept, 202 some, 409 none, 400 nothing readable, 408 too slow, 413 too
large, 503 busy, 507 full. An instance that is not given in a form that the client takes is left out with 206, or 406
when it is all there is. There is no 410: what is not there, and what the caller may not see, is 404.""",
        )
    )


def _media_of(operation: dict[str, object]) -> str:
    responses = operation["responses"]
    content = responses.get("200", {}).get("content", {}) if isinstance(responses, dict) else {}
    return ", ".join(f"`{name}`" for name in content)


def _search() -> str:
    keys = [
        (
            a.name,
            a.path,
            a.level.name.lower(),
            "" if a.matching == "none" else a.matching,
            "" if a.is_default else "asked",
        )
        for a in ATTRIBUTES
    ]
    caps = ", ".join(f"{qido.MAX_RESULTS[level]:,} {level.name.lower()}" for level in Level)
    return "\n\n".join(
        (
            f"""### Search

Keys by keyword or by eight hexadecimal digits, into sequences with a dot. Dates and times match ranges, text matches
`*` and `?`, UIDs, codes and modalities match lists, names match without case and accents in each of their scripts.
`limit`, `offset`, `includefield` (names, lists, `all`) and {", ".join(f"`{name}`" for name in qido.SWITCHES)} are
read; `fuzzymatching` is answered with a Warning and matched literally. At most {caps} results in an answer; a Warning
299 tells how many are left. A key that is known to DICOM and not below is not searched by, and a Warning says so; any
other is 400. Of Request Attributes Sequence the first item counts.""",
            table(("attribute", "tag", "level", "matching", "given"), keys),
        )
    )


def _media() -> str:
    frames = [
        (name_of(uid), uid, MEDIA_TYPES.get(uid, "application/octet-stream")) for uid in SUPPORTED_TRANSFER_SYNTAXES
    ]
    return "\n\n".join(
        (
            f"""### Retrieve

Without a word about the transfer syntax an instance comes in Explicit VR Little Endian (`{EXPLICIT}`):
{len(CONVERTIBLE)} native syntaxes are written anew, {len(UNPACKABLE)} compressed ones unpacked by a disposable
process, lossy ones and those that cannot be unpacked given as they are stored. `transfer-syntax=*` gives every
instance as it is stored. Frames come as they are stored, or unpacked as `application/octet-stream`; at most
{MAX_FRAMES:,} in a request.""",
            table(("stored as", "UID", "frames"), frames),
            f"""Pictures are {", ".join(f"`{name}`" for name in PICTURE_TYPES)}: modality LUT or rescale, VOI LUT or
window, palette, YBR and RGB, inversion last; `window` (linear, linear-exact, sigmoid), `viewport` up to
{rendered.MAX_SIDE:,} pixels on a side, `quality`, and `annotation` ({", ".join(rendered.ANNOTATIONS)}). Pixels of 32
bits and of real numbers are not drawn. `iccprofile` is not read. A thumbnail is {rendered.THUMBNAIL_SIDE} pixels;
where pixels may show the patient's name (Burned In Annotation, or {", ".join(sorted(rendered.MAY_SHOW_NAMES))}
without its denial) it is a grey card.""",
        )
    )


def _objects() -> str:
    from service.results.overlay import OVERLAY_CLASS
    from service.results.structured_report import REPORT_CLASS

    rows = [
        ("AI result", name_of(REPORT_CLASS), REPORT_CLASS, "TID 1500, preliminary, beside the study's images"),
        ("heat map", name_of(OVERLAY_CLASS), OVERLAY_CLASS, "RGB picture of the image with the activation over it"),
        (
            "signed report",
            name_of(EncapsulatedPDFStorage),
            str(EncapsulatedPDFStorage),
            "a version of a report, as signed",
        ),
    ]
    return "\n\n".join(
        (
            f"""## Our own objects

In Explicit VR Little Endian and ISO_IR 192. Their UIDs are `2.25.` and a UUID of version 5 in the name space
`{dicom_object.UID_NAMESPACE}`: the same result has the same UID. Implementation Class UID
`{dicom_object.IMPLEMENTATION_CLASS_UID}`. Who may see a result depends on the role, and a reader sees it after their
own first impression only.""",
            table(("object", "SOP Class", "UID", "content"), rows),
        )
    )


def _text() -> str:
    return "\n\n".join(
        (
            """## Character sets

Text is decoded when an instance comes; text that is not what it says is decoded as what it looks like, and the study
is marked. Answers are UTF-8.""",
            ", ".join(f"`{term or 'ISO_IR 6'}`" for term in CHARACTER_SETS) + ".",
        )
    )


def _security() -> str:
    settings = Settings.model_construct()
    tls = [name for name in Settings.model_fields if name.startswith("dicom_tls")]
    return f"""## Security

TLS 1.2 and 1.3 for DICOM (settings {", ".join(f"`{name}`" for name in tls)}) and for HTTP (`web_certificate`,
`web_key`); without TLS the defaults listen at `{settings.web_host}` alone. Every access to a study is noted in an
audit trail. Nothing is anonymised on the way in or out."""


def main() -> None:
    """Write the page."""
    import tempfile

    from service.app import create_app

    with tempfile.TemporaryDirectory() as folder:
        app = create_app(Settings(data_folder=Path(folder)))
        PAGE.write_text(page(app), encoding="utf-8")
        app.state.database.close()


if __name__ == "__main__":
    main()
