"""Shortcuts: a thing that tells the label is found and named, one that does not is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from preprocessing.recipes import RECIPES
from training.cases import ANY_FINDING, CHILD_OPACITY, Case
from training.datasets import Dataset, Entry
from training.public_sets import read_public
from training.room_films import FilmFacts, measure
from training.room_shortcuts import ALL_SETS, ERA_MATCHED, THUMBNAIL, Tell, find_tells, patient_number

RNG = np.random.default_rng(0)


def entries(count: int, *, data_set: str = "a", label: float | None = None, era: bool = True) -> list[Entry]:
    """Return films of which every second has the finding, unless all have one label."""
    return [
        Entry(
            Case(
                Path(f"{data_set}{n}"),
                None,
                data_set,
                f"{data_set}-{n}",
                "train" if n < count * 3 // 4 else "val",
                (float(n % 2) if label is None else label,),
                "adult",
                "F" if n % 3 else "M",
                "PA" if n % 2 else "AP",
                era_matched=era or n % 4 > 1,
                age_years=40 + n % 2 if data_set == "a" else None,
            ),
            original_size=(2000, 1000 + n % 7),
        )
        for n in range(count)
    ]


def facts(films: list[Entry], *, bright: bool) -> FilmFacts:
    n = len(films)
    positives = np.asarray([film.case.labels[0] for film in films])
    noise = RNG.normal(size=n)
    return FilmFacts(
        brightness=noise - 5 * positives if bright else noise,
        contrast=RNG.normal(size=n),
        sizes=np.full((n, 2), 400.0),
        thumbnails=RNG.normal(size=(n, 1024)) + 3 * positives[:, None] * bright,
        fingerprints=np.zeros((n, 1024), np.float32),
    )


def told(tells: list[Tell], feature: str, scope: str = "a") -> Tell | None:
    return next((tell for tell in tells if tell.feature == feature and tell.scope == scope), None)


def test_what_tells_the_label_is_notable_and_says_which_way() -> None:
    films = entries(160)

    tells = find_tells(films, facts(films, bright=True), ("any_finding",))

    brightness, age, view = (told(tells, feature) for feature in ("brightness", "age", "view"))
    assert brightness is not None
    assert brightness.auroc > 0.99
    assert (brightness.more_is_present, brightness.is_notable) == (False, True)
    assert brightness.interval is not None
    assert brightness.interval.low > 0.98
    assert age is not None
    assert (age.auroc, age.more_is_present) == (1.0, True)
    assert view is not None
    assert (view.auroc, view.more_is_present) == (1.0, None)
    thumbnail = told(tells, THUMBNAIL)
    assert thumbnail is not None
    assert (thumbnail.films, thumbnail.auroc) == (40, 1.0)


def test_what_tells_nothing_is_counted_and_not_named() -> None:
    films = entries(400)

    tells = find_tells(films, facts(films, bright=False), ("any_finding",))

    for feature in ("brightness", "contrast", "original_shape", "sex"):
        tell = told(tells, feature)
        assert tell is not None
        assert tell.auroc < 0.6
        assert not tell.is_notable
    assert told(tells, "shape") is None  # all the same: nothing to tell by


def test_too_few_films_of_one_kind_tell_nothing() -> None:
    assert find_tells(entries(38), None, ("any_finding",)) == []
    assert find_tells(entries(200, label=1.0), None, ("any_finding",)) == []


def test_the_set_itself_can_be_the_shortcut() -> None:
    films = [*entries(100, label=1.0), *entries(100, data_set="b", label=0.0)]

    tells = find_tells(films, None, ("any_finding",))

    tell = told(tells, "data_set", ALL_SETS)
    assert tell is not None
    assert tell.auroc == 1.0


def test_era_matched_films_are_counted_by_themselves() -> None:
    tells = find_tells(entries(160, era=False), None, ("any_finding",))

    tell = told(tells, "age", "a, era matched")
    assert tell is not None
    assert tell.films == 80


@pytest.mark.parametrize(
    ("patient_id", "number"),
    [("nih-00508", 508.0), ("CHNCXR_0326", 326.0), ("kermany-NORMAL2-IM-0095", 95.0), ("mhh-042f06a9", np.nan)],
)
def test_a_patients_number_is_what_stands_at_the_end(patient_id: str, number: float) -> None:
    assert patient_number(patient_id) == pytest.approx(number, nan_ok=True)


def only(found: Dataset, finding: str) -> list[Entry]:
    """Return the entries of a dataset with one label."""
    column = found.findings.index(finding)
    return [replace(entry, case=replace(entry.case, labels=(entry.case.labels[column],))) for entry in found.entries]


@pytest.mark.films
def test_the_shortcuts_that_the_sets_are_known_for_are_found(shared_data: Path) -> None:
    kermany, subset, more = "kermany_pneumonia", "nih_cxr14_subset", "nih_cxr14_more"
    children = only(read_public(shared_data, [kermany]), CHILD_OPACITY)
    adults = only(read_public(shared_data, [subset, more]), ANY_FINDING)
    some = adults[::3]
    pictures = measure([entry.case for entry in some], RECIPES["chest_radiograph/1"], lambda line: None)

    of_children = find_tells([entry for entry in children if entry.original_size], None, (CHILD_OPACITY,))
    of_adults = find_tells(adults, None, (ANY_FINDING,))
    by_look = find_tells(some, pictures, (ANY_FINDING,))

    def auroc(tells: list[Tell], scope: str, feature: str) -> float:
        tell = told(tells, feature, scope)
        assert tell is not None
        return tell.auroc

    assert auroc(of_children, kermany, "original_shape") == pytest.approx(0.87, abs=0.005)
    assert auroc(of_children, kermany, "original_area") == pytest.approx(0.91, abs=0.01)
    assert auroc(of_adults, subset, "patient_number") == pytest.approx(0.77, abs=0.005)
    assert auroc(of_adults, more, "patient_number") == pytest.approx(0.81, abs=0.005)
    assert auroc(of_adults, more + ERA_MATCHED, "patient_number") == pytest.approx(0.51, abs=0.005)
    assert auroc(of_adults, more, "view") == pytest.approx(0.51, abs=0.01)
    assert auroc(of_adults, more, "age") == pytest.approx(0.55, abs=0.01)
    assert auroc(by_look, subset, "brightness") == pytest.approx(0.71, abs=0.05)  # a third of the films
    assert auroc(by_look, more, "brightness") == pytest.approx(0.56, abs=0.05)
