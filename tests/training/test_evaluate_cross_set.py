"""Learning on one set and judging on another; films of ill patients only."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from preprocessing.placement import Placement
from tests.training.evaluations import CHILD, NIH, SIDE, around, case, some_cases, some_readings
from training.calibrate import probabilities_of
from training.cases import ADULT_OPACITY, ANY_FINDING, CHILD_OPACITY, FINDINGS
from training.evaluate_baselines import Films, thumbnails
from training.evaluate_cross_set import ALL_SETS, OPACITY, CrossSet, cross_set, flagged_elsewhere, matrices

PLACE = Placement(0.0, 0.0, 2.0, 2 * SIDE, 2 * SIDE)


def films_of_two_styles(seed: int) -> Films:
    """In one set the ill films are brighter, in the other darker: what is learned on one is wrong on the other."""
    rng = np.random.default_rng(seed)
    images = torch.from_numpy(rng.random((80, 1, SIDE, SIDE)).astype(np.float32)) * 0.2 + 0.4
    cases = []
    for number in range(80):
        ill, adult = float(number // 2 % 2), number % 2
        labels = [math.nan] * len(FINDINGS)
        labels[FINDINGS.index(ADULT_OPACITY if adult else CHILD_OPACITY)] = ill
        cases.append(case(f"{seed} {number}", labels=labels, data_set=NIH if adult else CHILD))
        images[number] += 0.1 * ill * (1 if adult else -1)
    return Films(tuple(cases), images, (PLACE,) * 80)


def test_a_shortcut_holds_at_home_and_fails_abroad() -> None:
    train, judged = films_of_two_styles(1), films_of_two_styles(2)
    logits = np.zeros((80, len(FINDINGS)))

    rows = cross_set(train, judged, logits, features=thumbnails)

    areas = {
        (row.learned_from, row.judged_on): row.auroc.value for row in rows if row.reading == "linear, 32x32 thumbnail"
    }
    assert areas == {(NIH, NIH): 1.0, (CHILD, CHILD): 1.0, (NIH, CHILD): 0.0, (CHILD, NIH): 0.0}
    assert {row.task for row in rows} == {OPACITY}  # nothing is known of any finding here


def test_the_networks_outputs_are_judged_on_the_other_age_too() -> None:
    judged = films_of_two_styles(2)
    logits = np.zeros((80, len(FINDINGS)))
    ill = np.asarray([float(number // 2 % 2) for number in range(80)])
    logits[:, FINDINGS.index(CHILD_OPACITY)] = ill

    rows = cross_set(films_of_two_styles(1), judged, logits, features=thumbnails)

    child = {row.judged_on: row for row in rows if row.reading == CHILD_OPACITY}
    assert {name: row.auroc.value for name, row in child.items()} == {NIH: 1.0, CHILD: 1.0}
    assert (child[NIH].learned_from, child[NIH].films, child[NIH].positives) == (ALL_SETS, 40, 20)


def test_pairs_become_a_table_with_gaps_where_films_were_too_few() -> None:
    def pair(reading: str, learned_from: str, judged_on: str) -> CrossSet:
        return CrossSet(OPACITY, reading, learned_from, judged_on, 40, 20, around(0.6))

    rows = [pair("r", "a", "a"), pair("r", "a", "b"), pair("r", "b", "a")]

    (matrix,) = matrices(rows)

    assert (matrix.task, matrix.judged_on) == (OPACITY, ("a", "b"))
    assert matrix.lines == (("r", "a", (rows[0], rows[1])), ("r", "b", (rows[2], None)))


def test_films_elsewhere_are_counted_at_both_points() -> None:
    readings = some_readings(some_cases())
    reading = readings[FINDINGS.index(ANY_FINDING)]
    cases = [case(f"p{number // 4}", data_set="hannover_covid", labels=(1.0,)) for number in range(40)]
    logits = np.random.default_rng(0).normal(size=(40, len(FINDINGS))) * 3
    probabilities = probabilities_of(logits[:, FINDINGS.index(ANY_FINDING)], reading.calibration)

    (row,) = flagged_elsewhere(cases, logits, readings, [ANY_FINDING])

    assert (row.data_set, row.films, row.patients) == ("hannover_covid", 40, 10)
    assert row.flagged.value == pytest.approx((probabilities >= reading.operating_point.threshold).mean())
    assert row.raised.value == pytest.approx((probabilities >= reading.raise_point.threshold).mean())
    assert row.flagged.low <= row.flagged.value <= row.flagged.high
