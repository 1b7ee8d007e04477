"""The pointing game."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from preprocessing.placement import Placement
from tests.training.evaluations import SIDE, case
from training.cases import ANY_FINDING, FINDINGS, Case, FindingBox
from training.evaluate_baselines import Films
from training.pointing import ALL_BOXES, boxed, heat_maps, pointing_game, strongest_place

FILM = Placement(0.0, 0.0, 2.0, 2 * SIDE, 2 * SIDE)
CELLS = 7


def films(*cases: Case, placement: Placement = FILM) -> Films:
    return Films(cases, torch.zeros(len(cases), 1, SIDE, SIDE), (placement,) * len(cases))


def pointing_at(cells: list[tuple[int, int]], finding: str) -> np.ndarray:
    """Heat maps (n, k, 7, 7) with one strong cell (row, column) in the finding's channel of each film."""
    maps = np.zeros((len(cells), len(FINDINGS), CELLS, CELLS), dtype=np.float32)
    for film, (row, column) in enumerate(cells):
        maps[film, FINDINGS.index(finding), row, column] = 1
    return maps


def box(finding: str, left: float, top: float, width: float, height: float) -> FindingBox:
    return FindingBox(finding, left, top, width, height)


def test_the_strongest_cell_is_found_in_the_films_own_pixels() -> None:
    maps = pointing_at([(6, 1)], "mass")[0, FINDINGS.index("mass")]

    assert strongest_place(maps, FILM, SIDE) == (1.5 * 64, 6.5 * 64)
    assert strongest_place(maps, Placement(100.0, 20.0, 1.0, 300, 400), SIDE) == (100 + 1.5 * 32, 20 + 6.5 * 32)


def test_a_cell_of_mere_letter_box_is_no_place() -> None:
    maps = pointing_at([(3, 0)], "mass")[0, FINDINGS.index("mass")]
    maps[2, 3] = 0.5
    narrow = Placement(-64.0, 0.0, 1.0, 224, 96)  # film in columns 64 to 160 of the tensor

    x, y = strongest_place(maps, narrow, SIDE)

    assert (x, y) == (3.5 * 32 - 64, 2.5 * 32)


def test_hits_misses_chance_and_the_middle_are_counted() -> None:
    around_centre, corner = box("mass", 196, 196, 56, 56), box("mass", 0, 0, 112, 112)
    cases = [case("a", boxes=(around_centre,)), case("b", boxes=(corner,)), case("c", boxes=(corner,))]

    rows = pointing_game(films(*cases), pointing_at([(3, 3), (0, 0), (6, 6)], "mass"))

    own = next(row for row in rows if row.heat_map == "mass")
    assert (own.films, own.patients) == (3, 3)
    assert own.accuracy.value == pytest.approx(2 / 3)
    assert own.centre.value == pytest.approx(1 / 3)
    assert own.chance == pytest.approx((2 * (112 / 448) ** 2 + (56 / 448) ** 2) / 3)
    assert own.usual_place.value == pytest.approx(2 / 3)  # b is found by c's box and c by b's; a is not


def test_boxes_of_a_finding_on_one_film_are_one_question() -> None:
    left, right = box("effusion", 0, 400, 100, 48), box("effusion", 348, 400, 100, 48)

    rows = pointing_game(films(case("a", boxes=(left, right))), pointing_at([(6, 6)], "effusion"))

    own = next(row for row in rows if row.heat_map == "effusion")
    assert (own.films, own.accuracy.value) == (1, 1.0)
    assert own.chance == pytest.approx(2 * 100 * 48 / 448**2, rel=0.1)


def test_every_finding_is_asked_of_its_own_map_and_of_any_findings() -> None:
    both = case("a", boxes=(box("mass", 0, 0, 64, 64), box("nodule", 384, 384, 64, 64)))
    maps = pointing_at([(0, 0)], "mass") + pointing_at([(6, 6)], "nodule") + pointing_at([(0, 0)], ANY_FINDING)

    rows = {(row.finding, row.heat_map): row.accuracy.value for row in pointing_game(films(both), maps)}

    assert rows == {
        ("mass", "mass"): 1.0, ("mass", ANY_FINDING): 1.0, ("nodule", "nodule"): 1.0, ("nodule", ANY_FINDING): 0.0,
        (ALL_BOXES, "own"): 1.0, (ALL_BOXES, ANY_FINDING): 0.5,
    }  # fmt: skip


def test_a_patient_is_no_usual_place_for_himself() -> None:
    same = box("mass", 0, 0, 64, 64)

    rows = pointing_game(films(case("a", boxes=(same,)), case("a", boxes=(same,))), pointing_at([(0, 0)] * 2, "mass"))

    assert rows[0].usual_place.value == 0.0
    assert rows[0].patients == 1


def test_patients_from_whom_the_network_learned_are_left_out() -> None:
    marked = (box("mass", 0, 0, 9, 9),)
    learned, other = case("a", split="train"), case("a", split="test", boxes=marked)
    kept = case("b", boxes=marked)

    assert boxed([other, kept, case("c")], train=[learned]) == [kept]


def test_maps_are_the_networks_second_answer() -> None:
    class Network(nn.Module):
        def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
            return image.mean((2, 3)), image[:, :, ::32, ::32] * 2

    images = torch.rand(5, 1, SIDE, SIDE)

    np.testing.assert_allclose(heat_maps(Network(), images, batch=2), images[:, :, ::32, ::32].numpy() * 2)
