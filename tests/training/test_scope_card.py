"""The gate's card says what was counted, what was never learned, and what cannot be told."""

from __future__ import annotations

from training.scope_card import gate_card
from training.scope_check import KindCount

COUNTS = (
    KindCount("adults' films", "in_scope", learned=True, pictures=200, kept=199, right=199),
    KindCount("another hospital's films", "in_scope", learned=False, pictures=200, kept=200, right=200),
    KindCount("upside down", "upside_down", learned=True, pictures=300, kept=1, right=290),
    KindCount("a cat", "not_a_chest", learned=False, pictures=7, kept=0, right=7),
)


def card() -> str:
    return gate_card(version="0.2.0", threshold=0.5, train_pictures=12_345, counts=COUNTS)


def row(kind: str) -> str:
    return next(line for line in card().splitlines() if line.startswith(f"| {kind} |"))


def test_films_in_scope_are_counted_as_let_through() -> None:
    assert row("adults' films") == "| adults' films | learned | 200 | 199 | 99.5 % [97.2, 99.9] |"


def test_a_whole_share_alone_reads_as_hundred() -> None:
    assert "100.0 % [98.1, 100.0]" in row("another hospital's films")


def test_other_pictures_are_counted_as_refused_with_the_right_reason() -> None:
    assert "| 300 | 299 | 99.6 % [98.1, 99.9] | 290 |" in row("upside down")


def test_kinds_never_learned_are_marked() -> None:
    assert "**never learned**" in row("a cat")
    assert "never" not in row("upside down")


def test_the_card_names_what_was_missing_and_what_it_cannot_tell() -> None:
    text = " ".join(card().split())

    for words in ("lateral chest films of humans", "left and right exchanged is let through", "12,345 pictures"):
        assert words in text
    for reason in ("not_a_chest", "upside_down", "rotated", "inverted"):
        assert f"`{reason}`" in text
