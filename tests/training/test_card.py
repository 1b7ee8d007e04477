"""The model card: written from what was measured."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.training.evaluations import LEARNING, some_evaluation
from training.card import findings_card
from training.cases import FINDINGS
from training.evaluate_figures import MAIN_FINDINGS
from training.outputs import evidence_of, make_outputs
from training.wording import finding_title

EVALUATION, READINGS = some_evaluation()
OUTPUTS = make_outputs(READINGS, dict.fromkeys(FINDINGS, 0.9), evidence_of(EVALUATION.findings))


def card(evaluation=EVALUATION, learning=LEARNING) -> str:  # type: ignore[no-untyped-def]
    return findings_card(OUTPUTS, evaluation, learning, version="1.2.3", how_it_works="A network of layers.")


def test_the_card_begins_with_what_it_is_not() -> None:
    assert card().startswith("# Chest radiograph, version 1.2.3\n\n> **Not a medical device.**")


def test_every_output_is_in_it_with_its_figures() -> None:
    text = card()

    for finding, row in EVALUATION.over_all().items():
        assert finding_title(finding) in text
        digits = 3 if finding in MAIN_FINDINGS else 2
        low, value, high = (f"{end:.{digits}f}" for end in (row.auroc.low, row.auroc.value, row.auroc.high))
        assert f"{value} ({low}–{high})" in text


def test_every_table_is_a_table() -> None:
    lines = card().splitlines()

    for number, line in enumerate(lines):
        if line.startswith("| ---"):
            cells = line.count("|")
            table = [other for other in lines[number - 1 : number + 3] if other.startswith("|")]
            assert all(row.count("|") == cells for row in table)
            assert lines[number - 2] == ""


def test_proofs_that_failed_are_named() -> None:
    text = card()

    assert "**Not passed**: Any finding (adults)." in text
    assert "Passed: Pneumonia-like opacity (children 1–5 years)." in text


def test_missed_targets_come_with_their_reason() -> None:
    text = card()

    assert f"**{EVALUATION.outcomes[0].reached}**" in text
    assert LEARNING[0].reason in text
    assert "0.660 after 300 films" in text


def test_what_is_no_better_than_a_thumbnail_is_said_so() -> None:
    rows = tuple(
        replace(row, auroc_gain=replace(row.auroc_gain, low=-0.1)) if row.finding == "mass" else row
        for row in EVALUATION.findings
    )

    line = next(line for line in card(replace(EVALUATION, findings=rows)).splitlines() if "**Not shown to be" in line)

    assert "Lung mass" in line


@pytest.mark.parametrize("part", ["pointing", "elsewhere", "occlusion", "cross_set", "outcomes"])
def test_a_part_that_was_not_measured_leaves_a_whole_card(part: str) -> None:
    text = card(replace(EVALUATION, **{part: ()}), ())

    assert "## Licences" in text
    if part == "pointing":
        assert "Not checked" in text


def test_no_line_is_left_with_a_place_holder() -> None:
    assert not [word for word in ("None", "nan", "{", "}", "Interval(") if word in card()]
