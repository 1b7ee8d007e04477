"""What a walked path must leave behind in a simulation, whose sites have no package released."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from service.attempt import Attempt, StepFailed
from tests.trials.simulated_images import is_slice
from tests.trials.simulated_tables import Tables

DAMAGED = ("failed", "stored_file_damaged")
NO_RELEASE = ("not_applicable", "no_release")
NO_VOLUME_PACKAGE = ("not_applicable", "no_volume_package")

ENDED = ("scored", "unscored")
UNFINISHED = ("settled", "running")

Kept = Sequence[tuple[str, Any]]
"""Answers of steps, in their order."""


def check_outcome(tables: Tables, attempt: Attempt, kept: Kept) -> None:
    """Every image that nobody scored says why, the study says the most telling of that, and results came first."""
    names = [name for name, _ in kept]
    assert "publish" in names[: names.index("finish")]
    if ("publish", StepFailed) in kept:
        assert ("note_unpublished", {"value": None}) in kept
    damaged = dict(kept)["verify"]["value"]
    images = _images(tables, attempt)
    revision = revision_of(tables, attempt)
    runs = {
        row["instance_id"]: (row["outcome"], row["reason"])
        for row in tables.rows("SELECT * FROM run WHERE revision_id = ?", revision["id"])
    }
    slices = [one["id"] for one in images if is_slice(one["sop_instance_uid"])]
    expected = {one["id"]: NO_RELEASE for one in images if one["id"] not in slices}
    if slices and not set(slices) & set(damaged):
        [anchor] = set(slices) & set(runs)
        expected[anchor] = NO_VOLUME_PACKAGE
    expected |= dict.fromkeys(damaged, DAMAGED)
    assert runs == expected
    told = [reason for reason in (DAMAGED, NO_RELEASE, NO_VOLUME_PACKAGE) if reason in expected.values()]
    assert (revision["state"], revision["reason"]) == ("unscored", told[0][1])
    _check_geometry(tables, attempt, slices)


def check_ends(study: Any, own: Sequence[Any]) -> None:
    """An ended study has an ended newest revision and says why it is not scored; one that waits does not."""
    if study["state"] in ENDED:
        assert own[-1]["state"] in (*ENDED, "canceled"), own[-1]["state"]
        assert (study["reason"] is None) == (study["state"] == "scored")
        assert study["reason"] in (None, own[-1]["reason"])
    if study["state"] == "settled":
        assert (own[-1]["state"] in UNFINISHED, study["reason"]) == (True, None)
    if study["state"] != "arriving":
        assert study["settled_at"] == own[-1]["settled_at"]


def check_damaged(tables: Tables, attempt: Attempt, seen: Collection[int], missing: Collection[int]) -> None:
    """What is damaged was seen, and an operator is told of each image.

    Args:
        tables: Where it stands.
        attempt: Whose images were read again.
        seen: Ids of the damaged ones, as the step said.
        missing: Ids of those that had no file all the while.
    """
    images = {one["id"]: one for one in _images(tables, attempt)}
    assert set(missing) <= set(seen)
    told = {tuple(row) for row in tables.rows(
        "SELECT site_id, sop_instance_uid, content_sha256 FROM problem WHERE kind = 'damaged' AND resolved_at IS NULL"
    )}  # fmt: skip
    for each in missing:
        assert (images[each]["site_id"], images[each]["sop_instance_uid"], images[each]["content_sha256"]) in told


def missing_files(tables: Tables, attempt: Attempt, placed: Collection[tuple[int, str]]) -> set[int]:
    """Return the ids of a revision's images whose file is not on the disk."""
    every = _images(tables, attempt)
    return {one["id"] for one in every if (one["site_id"], one["content_sha256"]) not in placed}


def has_letter(tables: Tables, study_id: int) -> bool:
    """Tell whether an operator sees that work on a study was given up."""
    return bool(tables.rows(
        "SELECT 1 FROM problem p JOIN study s USING (site_id, study_instance_uid)"
        " WHERE p.kind = 'dead_letter' AND p.resolved_at IS NULL AND s.id = ?", study_id,
    ))  # fmt: skip


def revision_of(tables: Tables, attempt: Attempt) -> Any:
    """Return a revision's row."""
    query = "SELECT * FROM revision WHERE study_id = ? AND number = ?"
    return tables.rows(query, attempt.study_id, attempt.revision)[0]


def _images(tables: Tables, attempt: Attempt) -> list[Any]:
    query = "SELECT * FROM instance WHERE study_id = ? AND revision <= ? ORDER BY id"
    return tables.rows(query, attempt.study_id, attempt.revision)


def _check_geometry(tables: Tables, attempt: Attempt, slices: Collection[int]) -> None:
    """The series of slices names each of them once, and no other series names any."""
    named: list[int] = []
    for row in tables.rows("SELECT * FROM series WHERE study_id = ?", attempt.study_id):
        geometry: Mapping[str, Any] = json.loads(row["geometry"] or "{}")
        places = [*geometry.get("stacks", ()), *geometry.get("apart", ())]
        assert not places or row["modality"] == "CT"
        named += [instance for place in places for instance, _ in place["slices"]]
    assert sorted(named) == sorted(slices)
