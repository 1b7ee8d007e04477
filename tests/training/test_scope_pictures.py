"""What the gate learns from and is checked on: which films, which kinds, which classes."""

from __future__ import annotations

import io
import tarfile
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from preprocessing.recipes import RECIPES
from tests.training.public_sets import kermany_row, nih_row, write_sets
from training import negatives, variations
from training.cases import Case, of_split
from training.public_sets import read_cases
from training.scope_network import IN_SCOPE, INVERTED, NOT_A_CHEST, ROTATED, UPSIDE_DOWN
from training.scope_pictures import OWN_SHAPE_TAR, check_examples, in_own_shape, learning_examples, limit_examples

RECIPE = RECIPES["chest_radiograph/1"]
pytestmark = pytest.mark.filterwarnings("ignore")  # pydicom warns of what its sample files break


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    folder = write_sets(
        tmp_path_factory.mktemp("sets"),
        children=[kermany_row(f"{split}{n}.jpeg", f"k{split}{n}", split, n % 2) for split in SPLITS for n in range(3)],
        adults=[nih_row(f"{split}{n}.png", f"n{split}{n}", split, "no_finding") for split in SPLITS for n in range(2)],
        more_adults=[nih_row("more.png", "m", "train", "mass")],
    )
    with tarfile.open(folder / "kermany_pneumonia" / OWN_SHAPE_TAR, "w") as tar:
        for name in ("train0.jpeg", "val1.jpeg"):
            content = io.BytesIO()
            Image.fromarray(np.tile(np.arange(200, dtype=np.uint8), (300, 2))).save(content, "PNG")
            entry = tarfile.TarInfo(name)
            entry.size = len(content.getvalue())
            tar.addfile(entry, io.BytesIO(content.getvalue()))
    return read_cases(folder)


SPLITS = ("train", "val", "test")


def test_films_in_their_own_shape_are_those_of_the_other_tar(cases: list[Case]) -> None:
    found = in_own_shape(cases)

    assert [(case.member, case.image.name, case.split) for case in found] == [
        ("train0.jpeg", OWN_SHAPE_TAR, "train"),
        ("val1.jpeg", OWN_SHAPE_TAR, "val"),
    ]


def test_every_class_is_learned_from_films_as_they_are_and_varied(cases: list[Case]) -> None:
    examples = list(
        learning_examples(of_split(cases, "train"), RECIPE, children=2, drawings=3, package_variants=1, seed=1)
    )
    films = 3 + 2 + 1  # adults, children as squares, the one in its own shape

    kinds = Counter(example.kind for example in examples)
    classes = Counter(example.scope_class for example in examples)
    assert kinds["chest film"] == films
    assert kinds["chest film, varied"] == 2 * films
    assert set(classes) == {IN_SCOPE, NOT_A_CHEST, UPSIDE_DOWN, ROTATED, INVERTED}
    assert not set(kinds) & {*variations.NEVER_LEARNED, *negatives.TORN_NEVER_LEARNED}
    assert all(example.image.shape == (1, 224, 224) for example in examples)


def test_the_same_seed_gives_the_same_pictures(cases: list[Case]) -> None:
    runs = [
        [
            example.image
            for example in learning_examples(
                of_split(cases, "train"), RECIPE, children=1, drawings=2, package_variants=1, seed=5
            )
        ]
        for _ in range(2)
    ]

    for first, second in zip(*runs, strict=True):
        np.testing.assert_array_equal(first, second)


def test_limits_are_set_with_unaltered_films_of_each_set(cases: list[Case]) -> None:
    kinds = Counter(example.kind for example in limit_examples(of_split(cases, "val"), RECIPE))

    assert kinds == {
        "adults' films (NIH)": 2,
        "children's films, stretched to squares (Kermany)": 3,
        "children's films in their own shape (Kermany)": 1,
    }


def test_what_was_not_learned_is_marked_where_it_is_checked(cases: list[Case]) -> None:
    examples = list(check_examples(of_split(cases, "val"), RECIPE, drawings=2, package_variants=4, seed=2))
    films = 2 + 1  # adults, the child in its own shape

    never = {example.kind for example in examples if not example.learned}
    learned = {example.kind for example in examples if example.learned}
    assert {*variations.NEVER_LEARNED, *negatives.TORN_NEVER_LEARNED} < never
    assert {*variations.LEARNED, *negatives.TORN_LEARNED} < learned
    assert not never & learned
    kinds = Counter(example.kind for example in examples)
    assert all(kinds[kind] == films for kind in (*variations.LEARNED, *variations.NEVER_LEARNED, "upside down"))
