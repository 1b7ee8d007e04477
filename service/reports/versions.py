"""What a signature holds: the words, the facts beside them, and the hash of the version before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from sqlalchemy import Connection

from service.catalogue import Language, phrases_version
from service.reports import records
from service.reports.compose import Composed, Standing, Status, compose_all
from service.reports.content import Content, Facts
from service.reports.records import Version

FIRST = "0" * 64
"""What the first version of a report follows."""
STANDING: frozenset[str] = frozenset({"final", "appended", "amended"})
"""A center may act on them."""
HASHED = (
    "report", "study", "number", "status", "study_revision", "content_sha256", "language", "account_id",
    "signer_name", "signer_licence", "reason", "signed_at", "previous_sha256",
)  # fmt: skip


class Author(BaseModel):
    """Who wrote the report that stands; an addendum or a retraction by a colleague does not change that."""

    name: str
    licence: str | None


class Body(BaseModel):
    """Everything that a signature is under; it never changes, also when the phrase tables do."""

    content: Content
    facts: Facts
    standing: Standing
    author: Author
    texts: dict[Language, Composed]
    phrases: str


def make_body(content: Content, facts: Facts, standing: Standing, author: Author) -> Body:
    """Return the body of a version, composed in every language with the words of today."""
    return Body(
        content=content,
        facts=facts,
        standing=standing,
        author=author,
        texts=compose_all(content, facts, standing),
        phrases=phrases_version(),
    )


def body_of(version: Version) -> Body:
    """Return the body of a stored version."""
    return Body.model_validate(version.content)


_TEXTS = TypeAdapter(dict[Language, Composed])


def texts_of(version: Version) -> dict[Language, Composed]:
    """Return what a stored version says, in the words that were signed."""
    return _TEXTS.validate_python(version.content["texts"])


def facts_of(version: Version) -> Facts:
    """Return what stood beside the author's words when a stored version was signed."""
    return Facts.model_validate(version.content["facts"])


def content_of(stored: Mapping[str, Any]) -> Content | None:
    """Return stored content as a form can show it; None when the catalogue no longer has one of its codes."""
    try:
        return Content.model_validate(stored)
    except ValidationError:
        return None


def canonical_sha256(value: Any) -> str:
    """Return the hash of a value's canonical JSON: keys sorted, no spaces, UTF-8."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def sealed(values: Mapping[str, Any]) -> str:
    """Return the fingerprint of a version from what it is made of, the hash of its content and predecessor included."""
    return canonical_sha256({name: values[name] for name in HASHED})


def verify_reports(rx: Connection) -> list[str]:
    """Return the public ids of reports whose versions are not what was signed, or do not follow one another.

    A version that somebody took off the end of a chain is found by the audit, which holds every fingerprint.
    """
    return [report.public_id for report in records.all_reports(rx) if not _is_whole(rx, report)]


def _is_whole(rx: Connection, report: records.Report) -> bool:
    previous = FIRST
    versions: Sequence[Version] = records.versions_of(rx, report.id)
    for number, version in enumerate(versions, start=1):
        values = {**asdict(version), "report": report.public_id, "study": report.study_public_id}
        if (version.number, version.previous_sha256) != (number, previous):
            return False
        if canonical_sha256(version.content) != version.content_sha256 or sealed(values) != version.sha256:
            return False
        previous = version.sha256
    return bool(versions)


def standing_of(versions: Sequence[Version]) -> Version | None:
    """Return the version that says how a report stands: the newest that is not preliminary."""
    return next((version for version in reversed(versions) if version.status != "preliminary"), None)


def next_status(asked: Status, before: Version | None) -> Status:
    """Return how a newly signed version stands: a final one over another that stands replaces it.

    Args:
        asked: Preliminary or final.
        before: How the report stands (`standing_of`).
    """
    return "amended" if asked == "final" and before is not None and before.status in STANDING else asked
