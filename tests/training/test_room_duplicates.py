"""Near-duplicates: found through what happens to copies on their way, and no two films taken for one."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from preprocessing.recipes import RECIPES
from tests.training.made_manifests import encoded, texture
from training.cases import Case
from training.public_sets import read_public
from training.room_duplicates import FINGERPRINT_VALUES, Alike, find_alike, fingerprint, trouble_of
from training.room_films import measure

Grey = NDArray[np.uint8]
FILM = texture(0, 300, 260)


def prints(*films: Grey) -> NDArray[np.float32]:
    recipe = RECIPES["chest_radiograph/1"]
    return np.stack([fingerprint(recipe.prepare_array(np.ascontiguousarray(film)).tensor[0]) for film in films])


def saved_again(film: Grey) -> Grey:
    return np.asarray(Image.open(io.BytesIO(encoded(film, "JPEG", quality=40))))


def resized(film: Grey) -> Grey:
    return np.asarray(Image.fromarray(film).resize((180, 330), Image.Resampling.BILINEAR))


CHANGES: dict[str, Callable[[Grey], Grey]] = {
    "nothing": lambda film: film,
    "saved again": saved_again,
    "resized and stretched": resized,
    "framed": lambda film: np.pad(film, 30),
    "brighter": lambda film: (255 * (film / 255) ** 0.7).astype(np.uint8),
    "inverted": lambda film: 255 - film,
    "mirrored": lambda film: film[:, ::-1],
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_copy_is_found_through(change: str) -> None:
    others = [texture(seed, 300, 260) for seed in range(1, 6)]

    found = find_alike(prints(*others, FILM, CHANGES[change](FILM)))

    assert [(alike.films, alike.mirrored, alike.correlation < 0) for alike in found] == [
        ((5, 6), change == "mirrored", change == "inverted")
    ]


def test_different_films_are_not_taken_for_one() -> None:
    assert find_alike(prints(*(texture(seed, 200, 200) for seed in range(40)))) == []


def test_blank_films_are_like_nothing() -> None:
    blank = np.zeros((200, 200), np.uint8)

    assert find_alike(prints(blank, blank)) == []
    assert prints(blank).shape == (1, FINGERPRINT_VALUES)


def test_three_copies_are_one_group() -> None:
    found = find_alike(prints(FILM, texture(1), saved_again(FILM), resized(FILM)))

    assert [alike.films for alike in found] == [(0, 2, 3)]


def film(patient: str, split: str, label: float = 1.0) -> Case:
    return Case(Path("f"), None, "set", patient, split, (label,), "adult", "", "", era_matched=True)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("second", "trouble"),
    [
        (film("p", "train"), None),
        (film("p", "train", np.nan), "with different labels"),
        (film("q", "train"), "under two patients"),
        (film("q", "test"), "stands in test and train"),
    ],
)
def test_a_group_says_what_is_wrong_with_it(second: Case, trouble: str | None) -> None:
    assert trouble_of(Alike((0, 1), 1.0, mirrored=False), [film("p", "train"), second]) == trouble


@pytest.mark.films
def test_the_copies_that_the_sets_are_known_for_are_found_and_no_others(shared_data: Path) -> None:
    dataset = read_public(shared_data)
    known = [entry.case for entry in dataset.entries if entry.left_out and "copy" in entry.left_out]
    of = {case.patient_id for case in known} | {"nih-02658", "kermany-NORMAL2-IM-0095", "kermany-NORMAL2-IM-0096"}
    films = [entry.case for n, entry in enumerate(dataset.entries) if entry.case.patient_id in of or n % 40 == 0]

    facts = measure(films, RECIPES["chest_radiograph/1"], lambda line: None)
    found = find_alike(facts.fingerprints)

    names = [tuple(films[number].file_name for number in alike.films) for alike in found]
    assert ("00002658_001.jpg", "00002658_002.jpg") in names
    assert ("NORMAL2-IM-0095-0001.jpeg", "NORMAL2-IM-0096-0001.jpeg") in names
    assert {case.file_name for case in known} <= {name for group in names for name in group}
    assert min(abs(alike.correlation) for alike in found) > 0.99
