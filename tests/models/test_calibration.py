"""Probabilities and the scope gate's word."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.calibration import judge_scope, probability
from models.package import Calibration, load_package
from preprocessing.errors import Reason
from tests.models.tiny import TINY_RECIPES, write_gate, write_tiny_package


@given(st.floats(-1e30, 1e30), st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_a_probability_lies_between_0_and_1(raw: float, slope: float, intercept: float) -> None:
    value = probability(raw, Calibration("platt", slope, intercept, "1"))

    assert 0.0 <= value <= 1.0


@given(st.floats(-20, 20), st.floats(-20, 20))
def test_a_higher_score_never_has_a_lower_probability(first: float, second: float) -> None:
    calibration = Calibration("platt", 0.7, 0.2, "1")

    low, high = sorted((first, second))

    assert probability(low, calibration) <= probability(high, calibration)


def test_an_uncalibrated_score_is_a_sigmoid() -> None:
    assert probability(0.0, Calibration("none", 1.0, 0.0, "1")) == 0.5


def test_the_gate_lets_through_at_its_threshold_and_names_the_best_reason_below(tmp_path: Path) -> None:
    gate = load_package(write_gate(tmp_path / "gate"), recipes=TINY_RECIPES)

    through = judge_scope(gate, np.array([1.0, 1.0], np.float32))
    refused = judge_scope(gate, np.array([0.0, 3.0], np.float32))

    assert (through.reason, through.in_scope) == (None, 0.5)
    assert refused.reason is Reason.NOT_A_CHEST


def test_only_a_gate_judges_scope(tmp_path: Path) -> None:
    package = load_package(write_tiny_package(tmp_path / "tiny"), recipes=TINY_RECIPES)

    with pytest.raises(ValueError, match="not a scope gate"):
        judge_scope(package, np.zeros(1, np.float32))
