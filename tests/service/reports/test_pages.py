"""The printed pages: PDF/A with their fonts inside, one page for a normal film, every text as it is."""

from __future__ import annotations

import io
import json
import re

import pytest
import typst
from fontTools.ttLib import TTFont
from PIL import Image

from service.catalogue import LANGUAGES, Language
from service.reports.compose import Standing, compose
from service.reports.content import Content, Facts
from service.reports.fonts import FOLDER, INSTEAD, printable, unprintable
from service.reports.pages import TEMPLATE, Signature, _page, moment, print_pages
from tests.service.reports.test_compose import FACTS, NORMAL

SIGNATURE = Signature(
    signer="김판독", licence="12345", signed_at=1_763_790_000, number=1, status="final", sha256="ab" * 32
)


def pages(language: Language, content: Content = NORMAL) -> bytes:
    return print_pages(compose(content, FACTS, Standing(status="final"), language), FACTS, SIGNATURE, language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_normal_film_is_one_page_of_tagged_pdf_a_with_embedded_fonts(language: Language) -> None:
    pdf = pages(language)

    assert len(re.findall(rb"/Type ?/Page\b(?!s)", pdf)) == 1
    assert re.search(rb"<pdfaid:part>2</pdfaid:part>\s*<pdfaid:conformance>B<", pdf)
    assert b"/MarkInfo" in pdf
    assert b"<pdfuaid:part>1</pdfuaid:part>" in pdf
    assert len(re.findall(rb"/FontFile3", pdf)) >= 2
    assert f"({language})".encode() in pdf or f"<{language.encode().hex()}>".encode() in pdf.lower()


def test_the_same_report_gives_the_same_bytes() -> None:
    assert pages("ko") == pages("ko")


def test_a_text_cannot_command_the_page() -> None:
    hostile = '#read("/etc/passwd") *bold* $x$ `raw` \\ // <label> @ref "quote" #{1+1}'
    odd = FACTS.model_copy(update={"patient": hostile, "site_name": "左 hospital \u0007"})
    content = NORMAL.model_copy(update={"findings_text": hostile, "language": "en"})

    pdf = print_pages(compose(content, odd, Standing(status="final"), "en"), odd, SIGNATURE, "en")

    assert pdf.startswith(b"%PDF")
    assert b"root:" not in pdf


def picture(facts: Facts, content: Content) -> Image.Image:
    """Return the report's first page as it is printed, 96 dots an inch."""
    composed = compose(content, facts, Standing(status="final"), "ru")
    compiler = typst.Compiler(TEMPLATE, font_paths=[FOLDER], ignore_system_fonts=True)
    data = json.dumps(_page(composed, facts, SIGNATURE, "ru"))
    first = compiler.compile(format="png", ppi=96, sys_inputs={"data": data})
    png = first[0] if isinstance(first, list) else first
    assert isinstance(png, bytes)
    return Image.open(io.BytesIO(png)).convert("L")


def test_a_word_longer_than_its_line_stays_on_the_paper() -> None:
    margin_left, edge = 730, 794  # of 794 dots: the text ends at 726
    long = NORMAL.model_copy(update={"impression_text": "x" * 160})
    page = picture(FACTS.model_copy(update={"site_name": "y" * 160}), long)

    assert page.size[0] == edge
    assert page.crop((margin_left, 0, edge, page.size[1])).getextrema() == (255, 255)


def test_a_patients_long_number_does_not_lie_over_the_studys_date() -> None:
    dated, undated = (
        picture(FACTS.model_copy(update={"patient": "7" * 64, "study_date": day}), NORMAL).crop((420, 80, 730, 150))
        for day in ("20260315", "20251224")
    )
    short = picture(FACTS.model_copy(update={"study_date": "20260315"}), NORMAL).crop((420, 80, 730, 150))

    assert dated.tobytes() != undated.tobytes()
    assert dated.crop((0, 0, 310, 35)).tobytes() == short.crop((0, 0, 310, 35)).tobytes()


@pytest.mark.parametrize(("years", "told"), [(0.4, "4 мес."), (1.99, "23 мес."), (2.0, "2 л."), (None, "не указано")])
def test_an_infants_age_is_told_in_months(years: float | None, told: str) -> None:
    facts = FACTS.model_copy(update={"age_years": years})
    head = _page(compose(NORMAL, facts, Standing(status="final"), "ru"), facts, SIGNATURE, "ru")["head"]

    assert ["Пол / возраст", f"жен. / {told}"] in head


def test_what_the_fonts_lack_is_named_and_replaced() -> None:
    assert unprintable("Đống Đa, 우측, ещё, 12 mm") == ""
    assert unprintable("左右 left 左") == "左右"
    assert printable("左 lung") == f"{INSTEAD} lung"
    assert unprintable(INSTEAD) == ""


def test_the_shipped_fonts_cover_every_hangul_syllable_cyrillic_and_vietnamese() -> None:
    signs = {*range(0xAC00, 0xD7A4), *range(0x410, 0x450), 0x401, 0x451, *range(0x1EA0, 0x1EFA), *map(ord, "ĂăĐđƠơƯư")}
    for path in FOLDER.glob("*.otf"):
        with TTFont(io.BytesIO(path.read_bytes()), lazy=True) as font:
            assert signs <= set(font.getBestCmap()), path.name


def test_a_moment_is_told_in_the_centers_time_with_its_zone() -> None:
    assert moment(1_763_790_000, "Asia/Vladivostok", "ru") == "22.11.2025 15:40 (Asia/Vladivostok, UTC+1000)"
    assert moment(1_763_790_000, "nowhere", "en") == "22 November 2025 05:40 (UTC, UTC+0000)"
