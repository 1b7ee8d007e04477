"""A composed report → PDF/A-2b and PDF/UA-1, with its fonts inside."""

from __future__ import annotations

import datetime
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typst

from service.catalogue import Language, table
from service.reports.compose import Composed, Status, day
from service.reports.content import Facts
from service.reports.fonts import FOLDER, printable

TEMPLATE = Path(__file__).parent / "page.typ"
WITH_BANNER = frozenset({"preliminary", "appended", "amended"})
"""Their first notice says that the report is not, or not all, what an earlier one was."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What the foot of a signed page says."""

    signer: str
    licence: str | None
    signed_at: float
    number: int
    status: Status
    sha256: str


def print_pages(composed: Composed, facts: Facts, signature: Signature, language: Language) -> bytes:
    """Return a report's pages as PDF. The same report gives the same bytes."""
    compiler = typst.Compiler(TEMPLATE, font_paths=[FOLDER], ignore_system_fonts=True)
    pages = compiler.compile(
        format="pdf",
        sys_inputs={"data": json.dumps(_page(composed, facts, signature, language))},
        pdf_standards=["a-2b", "ua-1"],  # kept for decades (ISO 19005-2), read aloud by a screen reader (ISO 14289-1)
        timestamp=int(signature.signed_at),
    )
    if not isinstance(pages, bytes):
        raise TypeError("typst gave no PDF")
    return pages


def _page(composed: Composed, facts: Facts, signature: Signature, language: Language) -> dict[str, Any]:
    words = {name: texts[language] for name, texts in table("report")["page"].items()}
    banners = composed.notices[:1] if signature.status in WITH_BANNER else []
    status = table("report")["status"][signature.status][language]
    number = f"{words['version']} {signature.number}"
    study_day = study_date(facts, language) or words["not_known"]
    page = {
        "language": language,
        "title": composed.title,
        "site": facts.site_name,
        "patient": facts.patient,
        "signer": signature.signer,
        "status": f"{status} · {number}",
        "is_void": signature.status in ("cancelled", "preliminary"),
        "head": _head(facts, words, study_day, language),
        "banners": banners,
        "sections": [section.model_dump() for section in composed.sections],
        "signature": [
            [words["signed_by"], _signer(signature, words), False],
            [words["signed_at"], moment(signature.signed_at, facts.time_zone, language), False],
            [words["fingerprint"], signature.sha256, True],
        ],
        "notices": composed.notices[len(banners) :],
        "footer": " · ".join([facts.patient or words["not_known"], study_day, number, signature.sha256[:12]]),
        "page_of": words["page_of"],
    }
    return {name: _printable(value) for name, value in page.items()}


def _head(facts: Facts, words: dict[str, str], study_day: str, language: Language) -> list[list[str]]:
    return [
        [words["patient"], facts.patient or words["not_known"]],
        [words["study_date"], study_day],
        [words["sex_age"], _sex_age(facts, words, language)],
        [words["accession"], facts.accession_number or "–"],
        [words["site"], facts.site_name],
        [words["images"], str(facts.images)],
    ]


def study_date(facts: Facts, language: Language) -> str | None:
    """Return the study's date as the language writes it; None when the sender's is no date."""
    try:
        return day(datetime.datetime.strptime(facts.study_date or "", "%Y%m%d").date(), language)
    except ValueError:
        return None


def moment(seconds: float, zone: str, language: Language) -> str:
    """Return a moment in the center's time, with the zone that it is told in."""
    try:
        place: datetime.tzinfo = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        place, zone = datetime.UTC, "UTC"
    told = datetime.datetime.fromtimestamp(int(seconds), place)
    return f"{day(told.date(), language)} {told:%H:%M} ({zone}, UTC{told:%z})"


def _sex_age(facts: Facts, words: dict[str, str], language: Language) -> str:
    sexes = table("report")["sex"]
    sex = sexes[facts.sex][language] if facts.sex in sexes else words["not_known"]
    return f"{sex} / {_age(facts.age_years, words)}"


def _age(years: float | None, words: dict[str, str]) -> str:
    """Return an age in months below two years, as the pages of the browser do."""
    if years is None:
        return words["not_known"]
    return words["months"].format(n=int(years * 12)) if years < 2 else words["years"].format(n=int(years))


def _signer(signature: Signature, words: dict[str, str]) -> str:
    return f"{signature.signer}, {words['licence']} {signature.licence}" if signature.licence else signature.signer


def _printable(value: Any) -> Any:
    """Names come from senders and operators; a sign that the fonts lack must not keep a report from being printed."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {key: _printable(inner) for key, inner in value.items()}
    return [_printable(inner) for inner in value] if isinstance(value, list) else value
