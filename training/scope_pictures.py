"""Pictures for the scope gate, each with what it is: to learn from, and to be checked on, kind by kind."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from preprocessing.errors import UnsupportedImage
from preprocessing.recipes import Recipe
from training import negatives, variations
from training.cases import Case, load_grey
from training.drawings import drawn, drawn_rings
from training.package_pictures import Part, learned_pictures, never_learned_pictures
from training.scope_network import IN_SCOPE, INVERTED, NOT_A_CHEST, ROTATED, UPSIDE_DOWN

Grey = NDArray[np.uint8]
Random = np.random.Generator

OWN_SHAPE_TAR = "hires_320.tar"
"""Beside Kermany's films of 224 x 224, which were stretched to squares: the same films as they were taken, in part."""

TURNED = {
    "upside down": (negatives.upside_down, UPSIDE_DOWN),
    "on its side": (negatives.on_its_side, ROTATED),
    "turned by 40 to 65 degrees": (negatives.aslant, ROTATED),
    "inverted": (negatives.inverted, INVERTED),
}


@dataclass(frozen=True, slots=True)
class Example:
    """One tensor to learn from or to be judged on: float32 (1, rows, columns), 0..1."""

    image: NDArray[np.float32]
    scope_class: int
    kind: str
    learned: bool = False
    """The gate learned from pictures of this kind (never from this picture, when it is checked on it)."""


def in_own_shape(cases: Sequence[Case]) -> list[Case]:
    """Return the children's films that are also there with the aspect ratio they were taken with."""
    found: list[Case] = []
    for path in sorted({case.image.with_name(OWN_SHAPE_TAR) for case in cases if case.member is not None}):
        if path.is_file():
            with tarfile.open(path) as tar:
                names = set(tar.getnames())
            found += [replace(case, image=path) for case in cases if case.member in names]
    return found


def learning_examples(
    cases: Sequence[Case], recipe: Recipe, *, children: int, drawings: int, package_variants: int, seed: int
) -> Iterator[Example]:
    """Yield films as they are and varied, films turned, inverted and torn, and pictures that are no films.

    Args:
        cases: Of `train`.
        recipe: As in serving.
        children: Children's films used in each shape, stretched and own: there are many more than adults'.
        drawings: How many drawn pictures.
        package_variants: Variants of each picture that installed packages carry.
        seed: Of every choice.
    """
    rng = np.random.default_rng(seed)
    squares = [case for case in cases if case.age_band != "adult"]
    chosen = [case for case in cases if case.age_band == "adult"]
    for films in (squares, in_own_shape(squares)):
        chosen += [films[index] for index in rng.permutation(len(films))[:children]]
    turned, torn = list(TURNED.items()), list(negatives.TORN_LEARNED.items())
    for film in load_grey(chosen):
        yield from _prepared(recipe, film, IN_SCOPE, "chest film")
        small = variations.shrunk(film)
        for _ in range(2):
            yield from _prepared(recipe, variations.varied_film(small, rng), IN_SCOPE, "chest film, varied")
        for index in rng.permutation(len(turned))[:3]:
            kind, (turn, scope_class) = turned[int(index)]
            yield from _prepared(recipe, turn(_perhaps_varied(small, rng), rng), scope_class, kind)
        for index in rng.permutation(len(torn))[:2]:
            kind, tear = torn[int(index)]
            yield from _prepared(recipe, tear(_perhaps_varied(small, rng), rng), NOT_A_CHEST, kind)
    yield from _drawn_and_carried(recipe, rng, "train", drawings=drawings, package_variants=package_variants)


def limit_examples(cases: Sequence[Case], recipe: Recipe) -> Iterator[Example]:
    """Yield the unaltered films of `val`, from which the gate's limits are set."""
    adults = [case for case in cases if case.age_band == "adult"]
    squares = [case for case in cases if case.age_band != "adult"]
    for kind, films in (
        ("adults' films (NIH)", adults),
        ("children's films, stretched to squares (Kermany)", squares),
        ("children's films in their own shape (Kermany)", in_own_shape(squares)),
    ):
        for film in load_grey(films):
            yield from _prepared(recipe, film, IN_SCOPE, kind)


def check_examples(
    cases: Sequence[Case], recipe: Recipe, *, drawings: int, package_variants: int, seed: int
) -> Iterator[Example]:
    """Yield films of `val` in every variation and distortion, drawings and photographs; kinds not learned are marked.

    Args:
        cases: Of `val`; adults' films, and children's in their own shape, are varied.
        recipe: As in serving.
        drawings: How many drawn pictures, of learned kinds and of the kind that is not.
        package_variants: Variants of each picture that installed packages carry.
        seed: Of every choice.
    """
    rng = np.random.default_rng(seed)
    adults = [case for case in cases if case.age_band == "adult"]
    children = in_own_shape([case for case in cases if case.age_band != "adult"])
    for film in chain(load_grey(adults), load_grey(children)):
        for kinds, learned in ((variations.LEARNED, True), (variations.NEVER_LEARNED, False)):
            for kind, vary in kinds.items():
                yield from _prepared(recipe, vary(film, rng), IN_SCOPE, kind, learned=learned)
        for kind, (turn, scope_class) in TURNED.items():
            yield from _prepared(recipe, turn(film, rng), scope_class, kind)
        for kinds, learned in ((negatives.TORN_LEARNED, True), (negatives.TORN_NEVER_LEARNED, False)):
            for kind, tear in kinds.items():
                yield from _prepared(recipe, tear(film, rng), NOT_A_CHEST, kind, learned=learned)
    yield from _drawn_and_carried(recipe, rng, "val", drawings=drawings, package_variants=package_variants)
    for _ in range(drawings):
        kind = "drawn skulls, jaws and pelves"
        yield from _prepared(recipe, drawn_rings(rng), NOT_A_CHEST, kind, learned=False)
    for picture in never_learned_pictures():
        for shown in (picture, *(negatives.varied(picture, rng) for _ in range(package_variants // 4))):
            kind = "scikit-image: a cat, a horse, people, cells, stones, text"
            yield from _prepared(recipe, shown, NOT_A_CHEST, kind, learned=False)


def _drawn_and_carried(
    recipe: Recipe, rng: Random, part: Part, *, drawings: int, package_variants: int
) -> Iterator[Example]:
    for _ in range(drawings):
        yield from _prepared(recipe, drawn(rng), NOT_A_CHEST, "drawn limbs, trunks, breasts, documents, shapes, noise")
    for picture in learned_pictures(part):
        for _ in range(package_variants):
            kind = "photographs, maps, logos, CT, MR, ultrasound of packages"
            yield from _prepared(recipe, negatives.varied(picture, rng), NOT_A_CHEST, kind)


def _perhaps_varied(film: Grey, rng: Random) -> Grey:
    """Return the film, half of the time varied: letters and frames must not speak for being in scope."""
    return variations.varied_film(film, rng) if rng.random() < 0.5 else film


def _prepared(recipe: Recipe, picture: Grey, scope_class: int, kind: str, *, learned: bool = True) -> Iterator[Example]:
    """Yield the example as serving would see it; what the recipe itself refuses never reaches the gate."""
    try:
        tensor = recipe.prepare_array(np.ascontiguousarray(picture)).tensor
    except UnsupportedImage:
        return
    yield Example(tensor, scope_class, kind, learned)
