"""Counts of what the gate lets through and refuses, kind by kind."""

from __future__ import annotations

import torch

from tests.training.test_scope_network import sure_network
from training.scope_check import Described, KindCount, count_kinds, share_kept
from training.scope_network import FEATURES, IN_SCOPE, INVERTED, NOT_A_CHEST


def described(rows: list[tuple[float, int, str, bool]]) -> Described:
    """Pictures whose features all have one value."""
    return Described(
        features=torch.stack([torch.full((FEATURES,), row[0]) for row in rows]),
        classes=torch.tensor([row[1] for row in rows]),
        kinds=tuple(row[2] for row in rows),
        learned=tuple(row[3] for row in rows),
    )


def test_each_kind_is_counted_with_what_was_expected_of_it() -> None:
    pictures = described(
        [
            (0.0, IN_SCOPE, "film", True),
            (9.0, NOT_A_CHEST, "cat", False),
            (0.0, IN_SCOPE, "film", True),
            (9.0, IN_SCOPE, "film", True),
            (9.0, INVERTED, "negative", True),
        ]
    )

    counts = count_kinds(sure_network(), pictures, 0.5)

    assert counts == [
        KindCount("film", "in_scope", learned=True, pictures=3, kept=2, right=2),
        KindCount("cat", "not_a_chest", learned=False, pictures=1, kept=0, right=1),
        KindCount("negative", "inverted", learned=True, pictures=1, kept=0, right=0),
    ]


def test_below_the_threshold_nothing_passes() -> None:
    pictures = described([(0.0, IN_SCOPE, "film", True)])

    (count,) = count_kinds(sure_network(), pictures, 1.1)

    assert (count.kept, count.right) == (0, 0)


def test_the_share_kept_is_that_of_films_in_scope() -> None:
    counts = [
        KindCount("film", "in_scope", learned=True, pictures=3, kept=2, right=2),
        KindCount("other film", "in_scope", learned=False, pictures=1, kept=1, right=1),
        KindCount("cat", "not_a_chest", learned=False, pictures=50, kept=0, right=50),
    ]

    assert share_kept(counts) == 0.75
