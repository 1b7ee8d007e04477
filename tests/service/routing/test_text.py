"""A file of rules is read whole or refused whole, with the line and the reason."""

from __future__ import annotations

import pytest

from service.routing.rules import Age, Words
from service.routing.text import MAX_BYTES, RulesRefused, check_names, read_rules

GOOD = """# What the emergency room sends
[[rule]]
name = "Emergency room"
[rule.when]
site = "hanoi-1"
sender = ["HANOI_ER*"]
age_years = { from = 18, below = 65 }
[rule.then]
priority = "urgent"
quiet_s = 10
due_minutes = { urgent = 30 }

[[rule]]
name = "Dose reports"
when.modality = ["SR", "OT"]
then.packages = []
"""


def faults(text: str) -> list[tuple[int | None, str, str]]:
    with pytest.raises(RulesRefused) as refused:
        read_rules(text, 1)
    return [(fault.line, fault.code, fault.key) for fault in refused.value.faults]


def test_a_good_file_is_read() -> None:
    read = read_rules(GOOD, 3)

    assert read.revision == 3
    assert [rule.name for rule in read.rules] == ["Emergency room", "Dose reports"]
    assert read.rules[0].conditions == (Words("site", ("hanoi-1",)), Words("sender", ("HANOI_ER*",)), Age(18, 65))
    assert dict(read.rules[0].effects) == {"priority": "urgent", "quiet_s": 10, "due_minutes.urgent": 30}
    assert dict(read.rules[1].effects) == {"packages": ()}


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("sender", "sendr", (6, "unknown_key", "when.sendr")),
        ("from", "form", (7, "unknown_key", "when.age_years.form")),
        ("priority", "prio", (9, "unknown_key", "then.prio")),
        ("urgent = 30", "urgnt = 30", (11, "unknown_key", "then.due_minutes.urgnt")),
        ('"urgent"', '"soon"', (9, "wrong_choice", "then.priority")),
        ("= 10", "= true", (10, "wrong_number", "then.quiet_s")),
        ("= 10", "= 901", (10, "wrong_number", "then.quiet_s")),
        ("= 10", "= nan", (10, "wrong_number", "then.quiet_s")),
        ("= 30", "= 0.5", (11, "wrong_number", "then.due_minutes.urgent")),
        ("from = 18", "from = -1", (7, "wrong_number", "when.age_years.from")),
        ('["HANOI_ER*"]', "[]", (6, "wrong_words", "when.sender")),
        ('["HANOI_ER*"]', "7", (6, "wrong_words", "when.sender")),
        ('"Emergency room"', '""', (3, "wrong_name", "name")),
        ('"Dose reports"', '"Emergency room"', (14, "same_name", "Emergency room")),
        ("then.packages = []", "", (13, "missing", "then")),
        ("then.packages = []", "then = {}", (16, "no_effect", "")),
        ("[rule.then]", "[rule.then", (8, "not_toml", "")),
        ("# What", "what = 1 # What", (1, "unknown_key", "what")),
    ],
)
def test_a_bad_file_is_refused_with_line_and_reason(old: str, new: str, fault: tuple[int, str, str]) -> None:
    assert faults(GOOD.replace(old, new, 1)) == [fault]


def test_every_fault_is_told_and_every_one_has_words() -> None:
    text = GOOD.replace("sender", "sendr").replace("= 10", "= 0")

    with pytest.raises(RulesRefused) as refused:
        read_rules(text, 1)

    assert len(refused.value.faults) == 2
    assert str(refused.value).startswith("line 6: `when.sendr` is not known here")


def test_too_much_is_refused() -> None:
    assert faults("#" * (MAX_BYTES + 1)) == [(None, "too_large", "")]
    many = "".join(f'[[rule]]\nname = "{n}"\nthen.quiet_s = 5\n' for n in range(501))
    assert [code for _, code, _ in faults(many)] == ["wrong_choice"]


def test_names_that_nothing_has_are_refused() -> None:
    text = GOOD.replace("[]", '["chest", "chset"]')

    with pytest.raises(RulesRefused) as refused:
        check_names(read_rules(text, 1), text, sites=["seoul"], packages=["chest"])

    assert [(one.line, one.code, one.key) for one in refused.value.faults] == [
        (5, "unknown_site", "hanoi-1"),
        (16, "unknown_package", "chset"),
    ]
    check_names(read_rules(GOOD, 1), GOOD, sites=["HANOI-1"], packages=[])


def test_a_site_written_with_a_wildcard_need_not_exist_yet() -> None:
    text = GOOD.replace("hanoi-1", "hanoi-*")

    check_names(read_rules(text, 1), text, sites=[], packages=[])
