"""What the rules' page lists as conditions and effects is what the service knows, and is written as it reads it."""

from __future__ import annotations

import json
import re

import pytest

from service.routing.facts import AGE, WORD_FACTS
from service.routing.text import EFFECTS, read_rules
from service.web.build import WEB_FOLDER

PAGE = (WEB_FOLDER / "src" / "admin" / "RuleKeys.tsx").read_text("utf-8")


def listed(name: str) -> dict[str, str]:
    block = re.search(rf"export const {name}.*?= {{\n(.*?)\n}};", PAGE, re.DOTALL)
    assert block is not None
    return {
        key: one or other for key, one, other in re.findall(r"^  (\w+): (?:'(.*)'|\"(.*)\"),$", block[1], re.MULTILINE)
    }


def test_every_fact_and_effect_is_listed() -> None:
    assert set(listed("FACTS")) == {*WORD_FACTS, AGE}
    assert set(listed("EFFECTS")) == set(EFFECTS)


@pytest.mark.parametrize("language", ["en", "ko", "vi", "ru"])
def test_every_fact_and_effect_is_explained(language: str) -> None:
    words = json.loads((WEB_FOLDER / "src" / "languages" / language / "admin.json").read_text("utf-8"))

    assert [key for key in listed("FACTS") if not words.get(f"rules.key.{key}")] == []
    assert [key for key in listed("EFFECTS") if not words.get(f"rules.effect.{key}")] == []


def test_what_the_page_shows_is_taken_as_it_is_written() -> None:
    when = "\n".join(f"when.{written}" for written in listed("FACTS").values())
    then = "\n".join(f"then.{written}" for written in listed("EFFECTS").values())

    [read] = read_rules(f'[[rule]]\nname = "all"\n{when}\n{then}\n', 1).rules

    assert len(read.conditions) == len(WORD_FACTS) + 1
    assert set(read.effects) >= set(EFFECTS) - {"due_minutes"}
