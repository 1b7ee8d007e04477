"""The reviewed tables: complete in every language, consistent with one another, safe for grammar."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.catalogue import FINDING_CODES, LANGUAGES, REGIONS, SEVERITIES, SIDES, ZONES, findings, table
from service.reports.content import CodedFinding
from service.reports.fonts import unprintable

MODELS = Path(__file__).parents[2] / "models"


def texts(value: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Walk a table and give every place that is told in some language."""
    if isinstance(value, dict):
        if set(value) & set(LANGUAGES) and path != "report.language":  # whose rows are languages themselves
            yield path, value
        for key, inner in value.items():
            yield from texts(inner, f"{path}.{key}")


def test_the_codes_in_the_program_are_those_of_the_table() -> None:
    assert set(findings()) == FINDING_CODES


@pytest.mark.parametrize("name", ["findings", "words", "report"])
def test_every_text_is_there_in_every_language(name: str) -> None:
    told = list(texts(table(name), name))

    assert len(told) > 50
    for path, value in told:
        assert set(LANGUAGES) <= set(value), path
        for language in LANGUAGES:
            said = value[language]
            assert all(str(text).strip() for text in (said.values() if isinstance(said, dict) else [said])), path


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize("name", ["findings", "words", "report"])
def test_every_text_can_be_printed(name: str) -> None:
    assert {text: unprintable(text) for text in strings(table(name)) if unprintable(text)} == {}


@pytest.mark.parametrize("name", ["findings", "words", "report"])
def test_no_language_holds_the_letters_of_another(name: str) -> None:
    for path, value in texts(table(name), name):
        for language in LANGUAGES:
            said = " ".join(strings({"said": value[language]}))
            if language != "ko":
                assert not re.search(r"[가-힣]", said), (path, language)
            if language != "ru":
                assert not re.search(r"[а-яё]", said, re.IGNORECASE), (path, language)


def test_every_package_finding_that_a_reader_may_confirm_is_in_the_catalogue() -> None:
    for outputs in MODELS.glob("*/configs/outputs.json"):
        rows = json.loads(outputs.read_text())
        named = {row["finding"] for row in (rows if isinstance(rows, list) else rows.get("outputs", []))}
        assert named <= FINDING_CODES, outputs.parent.parent.name


@pytest.mark.parametrize("code", sorted(FINDING_CODES))
def test_a_finding_refers_to_what_exists_and_has_the_forms_that_grammar_asks_for(code: str) -> None:
    entry, words = findings()[code], table("words")

    assert entry.region in REGIONS
    assert set(entry.departments) <= set(words["department"])
    assert set(entry.recommendations) <= set(words["recommendation"])
    assert {entry.critical, entry.critical_severe} <= {None, 1, 2, 3}
    assert entry.critical_severe is None or entry.severity is not None
    assert re.search(r"[가-힣]\)?$", entry.nouns["ko"]["one"]), "a Korean particle follows a Hangul syllable"
    assert {"nom", "gen"} <= set(entry.nouns["ru"])
    assert ("noms" in entry.nouns["ru"]) == ("gens" in entry.nouns["ru"])
    if entry.is_countable:
        assert "many" in entry.nouns["en"]
        assert "noms" in entry.nouns["ru"]
    if entry.has_zones:
        assert entry.sides == "on"


def test_the_tables_name_every_side_zone_and_degree() -> None:
    words = table("words")

    assert set(words["side"]) == set(SIDES)
    assert set(words["zone"]) == set(ZONES)
    assert {kind: set(rows) for kind, rows in words["severity"].items()} == {
        "amount": set(SEVERITIES), "degree": set(SEVERITIES),
    }  # fmt: skip


def test_macros_fill_in_what_a_report_can_hold() -> None:
    for code, macro in table("report")["macro"].items():
        for finding in macro["findings"]:
            assert CodedFinding(**finding).code in FINDING_CODES, code
        assert set(macro["recommendations"]) <= set(table("words")["recommendation"]), code


@pytest.mark.parametrize("number", [entry.sct for entry in findings().values() if entry.sct])
def test_a_snomed_code_has_a_right_check_digit(number: str) -> None:
    times = [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 3, 4, 0, 6, 7, 8, 9, 5], [2, 3, 4, 0, 1, 7, 8, 9, 5, 6],
             [3, 4, 0, 1, 2, 8, 9, 5, 6, 7], [4, 0, 1, 2, 3, 9, 5, 6, 7, 8], [5, 9, 8, 7, 6, 0, 4, 3, 2, 1],
             [6, 5, 9, 8, 7, 1, 0, 4, 3, 2], [7, 6, 5, 9, 8, 2, 1, 0, 4, 3], [8, 7, 6, 5, 9, 3, 2, 1, 0, 4],
             [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]]  # fmt: skip
    turn = [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]]
    while len(turn) < 8:
        turn.append([turn[-1][turn[1][i]] for i in range(10)])
    check = 0
    for place, digit in enumerate(reversed(number)):
        check = times[check][turn[place % 8][int(digit)]]

    assert check == 0
