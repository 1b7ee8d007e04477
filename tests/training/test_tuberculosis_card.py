"""What the tuberculosis package says of itself: research only, hidden until shown, and how little it proves."""

from __future__ import annotations

from dataclasses import replace

from models.outputs import check_output
from models.package import Calibration, OperatingPoint
from training.calibrate import Calibrated
from training.evaluate_intervals import Interval
from training.tuberculosis_card import TERMS, tuberculosis_card, tuberculosis_output
from training.tuberculosis_check import FlaggedElsewhere, TuberculosisEvaluation

POINT = OperatingPoint("sensitivity_0.90", 0.4, 0.91, 0.7, "val, 68 films, 33 positive")
READING = Calibrated("tuberculosis_like_change", Calibration("platt", 1.0, 0.0, "1"), POINT, POINT)
ON_VAL = TuberculosisEvaluation(
    split="val",
    films=68,
    positives=33,
    auroc=Interval(0.9, 0.82, 0.96),
    thumbnail_auroc=Interval(0.89, 0.8, 0.96),
    auroc_gain=Interval(0.01, -0.05, 0.07),
    sensitivity=Interval(0.91, 0.8, 1.0),
    specificity=Interval(0.7, 0.55, 0.85),
)
ELSEWHERE = FlaggedElsewhere(75, Interval(0.4, 0.3, 0.5))


def card(tested: TuberculosisEvaluation | None) -> str:
    return " ".join(tuberculosis_card(READING, ON_VAL, tested, ELSEWHERE, version="0.1.0", train_films=245).split())


def test_the_output_is_experimental_and_never_raises_a_case() -> None:
    output = tuberculosis_output(READING, None)

    check_output(output)
    assert output.experimental
    assert output.raise_point is None
    assert output.evidence is None
    assert output.min_age_years == 18


def test_evidence_comes_from_test_films_only() -> None:
    tested = replace(ON_VAL, split="test", films=99, positives=53, auroc=Interval(0.85, 0.78, 0.92))

    evidence = tuberculosis_output(READING, tested).evidence

    assert evidence is not None
    assert (evidence.auroc, evidence.low, evidence.high, evidence.films) == (0.85, 0.78, 0.92, 99)


def test_only_a_gain_whose_interval_lies_above_zero_counts() -> None:
    better = replace(ON_VAL, split="test", auroc_gain=Interval(0.1, 0.02, 0.2))

    assert "+0.010 (−0.050 to +0.070), not shown to be better" in card(None)
    assert "+0.100 (+0.020 to +0.200) |" in card(better)


def test_the_card_says_whether_test_films_were_looked_at() -> None:
    assert "not looked at" in card(None)
    assert "not looked at" not in card(replace(ON_VAL, split="test"))


def test_the_card_names_shortcuts_terms_and_the_other_hospital() -> None:
    for words in ("Not a medical device", "0.88", "0.55", "40 % (30–50)", "245 films of adults", "128 x 128"):
        assert words in card(None)
    assert "Do not pass them on" in TERMS
