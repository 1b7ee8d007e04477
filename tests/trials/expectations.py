"""What a simulation expects, and whether the tables bear it out."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from typing import Any

from service.attempt import Attempt, StepFailed
from service.engine import State
from tests.trials.simulated_engine import FakeEngine
from tests.trials.simulated_study import ExpectedStudy
from tests.trials.simulated_tables import Tables

ENDED = ("scored", "unscored")
UNFINISHED = ("settled", "running")
MISSING_AFTER_S = 30.0
"""An attempt that was queued for so long is asked after (DECISIONS: what the engine forgot is queued again)."""


class Expectations:
    """What was told to senders and operators, and what must follow from it.

    Args:
        tables: What the service wrote.
        engine: The fake engine.
        clock: The simulated time.

    Attributes:
        kept: Hash of each instance that was acknowledged, by its UID.
        held: How often conflicting bytes came, by UID and hash.
        studies: What is expected of each study, by its number.
    """

    def __init__(self, tables: Tables, engine: FakeEngine, clock: Callable[[], float]) -> None:
        self._tables = tables
        self._engine = engine
        self._clock = clock
        self.kept: dict[str, str] = {}
        self.held: Counter[tuple[str, str]] = Counter()
        self.studies: dict[int, ExpectedStudy] = {}
        self._canceled: set[Attempt] = set()
        self._queued_at: dict[Attempt, float] = {}

    # ------------------------------------------------------------ at all times

    def check_kept(self) -> None:
        """What was acknowledged is there once, with its content; what was held aside is told once and counted."""
        rows = self._tables.rows("SELECT sop_instance_uid, content_sha256, revision FROM instance")
        assert len(rows) == len(self.kept)
        assert {row[0]: row[1] for row in rows} == self.kept
        held = self._tables.rows("SELECT sop_instance_uid, content_sha256, count FROM problem WHERE kind = 'held'")
        assert sorted((*key, count) for key, count in self.held.items()) == sorted(tuple(row) for row in held)

    def check_studies(self) -> None:
        """A study's rows agree with each other and with what was expected of it."""
        revisions = self._revisions()
        images = self._by_study("SELECT study_id, count(*) FROM instance GROUP BY study_id")
        newest = self._by_study("SELECT study_id, max(revision) FROM instance GROUP BY study_id")
        items = self._by_study("SELECT study_id, count(*) FROM worklist_item GROUP BY study_id")
        rows = self._tables.rows("SELECT * FROM study")
        assert len(rows) == len(self.studies)
        for row in rows:
            expected = self.studies[_number(row["study_instance_uid"])]
            own = [one for one in revisions if one["study_id"] == row["id"]]
            is_arriving = row["state"] == "arriving"
            assert row["instance_count"] == images[row["id"]] == expected.images
            assert newest[row["id"]] == row["revision"] == expected.revision
            assert items.get(row["id"]) == 1
            assert row["expected_instances"] == expected.count
            assert is_arriving == expected.is_arriving == (row["settle_at"] is not None)
            assert not is_arriving or (row["settle_at"], row["settle_by"]) == (expected.due_at, expected.due_by)
            assert [one["number"] for one in own] == list(range(1, row["revision"] + (not is_arriving)))
            _check_ends(row, own)
        for one in revisions:
            assert one["state"] not in UNFINISHED or one["finished_at"] is None
            if _attempt(one) in self._canceled:
                assert one["state"] == "canceled", one["state"]

    def check_ended(self) -> None:
        """Nothing is left to do."""
        assert {row[0] for row in self._tables.rows("SELECT state FROM study")} <= set(ENDED)
        assert not {one["state"] for one in self._revisions()} & set(UNFINISHED)
        assert not self._engine.waiting()

    # ------------------------------------------------------------ after a worker's rounds

    def check_settled(self) -> None:
        """Each study settled when its time had come, by what it should, and none before."""
        rows = self._tables.rows(
            "SELECT s.study_instance_uid, r.number, r.settled_by, r.settled_at FROM revision r"
            " JOIN study s ON s.id = r.study_id ORDER BY r.number"
        )
        for number, study in self.studies.items():
            assert [tuple(row)[1:] for row in rows if _number(row[0]) == number] == study.settled

    def check_queued(self, known: Collection[Attempt]) -> None:
        """The engine has what waits, each given once, and nothing of an attempt that another one replaces."""
        for one in self._revisions():
            attempt = _attempt(one)
            assert one["state"] in UNFINISHED or attempt in known or attempt not in self._engine.attempts
            if one["queued_at"] is not None and attempt not in self._engine.lost:
                assert self._queued_at.setdefault(attempt, one["queued_at"]) == one["queued_at"]
            if one["state"] in UNFINISHED and attempt not in self._engine.forgotten:
                assert attempt in self._engine.attempts
            if one["state"] in UNFINISHED and attempt.number > 1:
                before = Attempt(attempt.study_id, attempt.revision, attempt.number - 1)
                assert self._engine.attempts.get(before) is not State.WAITING

    def check_told(self) -> None:
        """The engine works no more on what was canceled."""
        for one in self._revisions():
            if one["state"] == "canceled":
                assert one["finished_at"] is not None
                assert self._engine.attempts.get(_attempt(one)) is not State.WAITING

    @contextlib.contextmanager
    def reconciled(self) -> Iterator[None]:
        """What the engine gave up has ended, with a row for the operator; what it forgot waits; the rest stands."""
        dead, states = set(self._engine.dead()), dict(self._engine.attempts)
        expected = {}
        newest = self._newest()
        for one in self._revisions():
            attempt, outcome = _attempt(one), (one["state"], one["attempt"])
            ended = "unscored" if newest[one["study_id"]] == one["number"] else "superseded"
            if one["state"] in UNFINISHED:
                is_old = one["queued_at"] is not None and one["queued_at"] < self._clock() - MISSING_AFTER_S
                if attempt in dead or (is_old and states.get(attempt) in (State.DONE, State.CANCELED)):
                    outcome = (ended, one["attempt"])
                elif is_old and attempt not in states:
                    outcome = ("settled", one["attempt"])
            expected[one["id"]] = (outcome, one["state"] in UNFINISHED and outcome[0] not in UNFINISHED)
        yield
        letters = {row[0] for row in self._tables.rows(
            "SELECT s.id FROM problem p JOIN study s USING (study_instance_uid) WHERE p.kind = 'dead_letter'"
        )}  # fmt: skip
        for one in self._revisions():
            outcome, is_given_up = expected[one["id"]]
            assert (one["state"], one["attempt"]) == outcome
            assert not is_given_up or one["study_id"] in letters
        assert not self._engine.dead()

    # ------------------------------------------------------------ after a deed

    @contextlib.contextmanager
    def walked(self, attempt: Attempt) -> Iterator[None]:
        """What was not wanted is left as it was; what was walked to its end has an outcome."""
        before = self._revision(attempt)
        is_newest = self._newest()[attempt.study_id] == attempt.revision
        is_wanted = before["attempt"] == attempt.number and before["state"] in UNFINISHED
        steps = len(self._engine.kept.get(attempt, []))
        yield
        after = self._revision(attempt)
        kept = self._engine.kept[attempt]
        if not is_wanted:
            assert tuple(after) == tuple(before) or after["attempt"] > before["attempt"] or after["state"] == "canceled"
        if self._engine.attempts[attempt] is not State.DONE:
            return
        assert after["attempt"] != attempt.number or after["state"] not in UNFINISHED
        if not (is_wanted and is_newest):
            assert all(answer in (StepFailed, {"stopped": True}) for _, answer in kept[steps:])
        if is_wanted and after["attempt"] > attempt.number:
            assert after["state"] in UNFINISHED  # the new attempt's own work is its own
        failed = [name for name, answer in kept if answer is StepFailed and name not in ("publish", "finish")]
        if failed and is_wanted and is_newest and after["attempt"] == attempt.number and after["state"] != "canceled":
            assert (after["state"], after["reason"]) == ("unscored", "pipeline_failed")
        if ("publish", StepFailed) in kept:
            assert not (after["detail"] or "").startswith("step ")  # what was scored stays, unpublished
        if any(name == "verify" and answer.get("value") for name, answer in kept[steps:] if answer is not StepFailed):
            assert self._tables.rows("SELECT 1 FROM problem WHERE kind = 'damaged'")

    @contextlib.contextmanager
    def stepped_in(self, study: int, *, restarts: bool) -> Iterator[Callable[[bool], None]]:
        """An operator restarts what has settled and cancels what has not ended, and is told whether it was so."""
        before = self._newest_revision(study)
        is_settled = self._study(study)["state"] != "arriving"
        answers: list[bool] = []
        yield answers.append
        is_possible = is_settled and (restarts or before["state"] in UNFINISHED)
        assert answers == [is_possible]
        after = self._newest_revision(study)
        if not is_possible:
            assert before is None or tuple(after) == tuple(before)
        elif restarts:
            assert (after["state"], after["attempt"], after["queued_at"], after["reason"]) == (
                "settled", before["attempt"] + 1, None, None,
            )  # fmt: skip
        else:
            assert (after["state"], after["attempt"], after["reason"]) == ("canceled", before["attempt"], "canceled")
            self._canceled.add(_attempt(after))

    # ------------------------------------------------------------ reading

    def public_id(self, study: int) -> str | None:
        """Return how people name a study."""
        rows = self._tables.rows("SELECT public_id FROM study WHERE study_instance_uid = ?", f"1.2.{study}")
        return rows[0][0] if rows else None

    def attempt_now(self, attempt: Attempt) -> int:
        """Return the number of the attempt that counts for a revision."""
        return int(self._revision(attempt)["attempt"])

    def study_of(self, attempt: Attempt) -> int:
        """Return the number of the study that an attempt is at."""
        return _number(self._tables.rows("SELECT study_instance_uid FROM study WHERE id = ?", attempt.study_id)[0][0])

    def _study(self, study: int) -> Any:
        return self._tables.rows("SELECT * FROM study WHERE study_instance_uid = ?", f"1.2.{study}")[0]

    def _revisions(self) -> list[Any]:
        return self._tables.rows("SELECT * FROM revision ORDER BY study_id, number")

    def _revision(self, attempt: Attempt) -> Any:
        query = "SELECT * FROM revision WHERE study_id = ? AND number = ?"
        return self._tables.rows(query, attempt.study_id, attempt.revision)[0]

    def _newest(self) -> dict[int, int]:
        return self._by_study("SELECT study_id, max(number) FROM revision GROUP BY study_id")

    def _newest_revision(self, study: int) -> Any:
        rows = self._tables.rows(
            "SELECT r.* FROM revision r JOIN study s ON s.id = r.study_id WHERE s.study_instance_uid = ?"
            " ORDER BY r.number DESC LIMIT 1",
            f"1.2.{study}",
        )
        return rows[0] if rows else None

    def _by_study(self, query: str) -> dict[int, int]:
        return {row[0]: row[1] for row in self._tables.rows(query)}


def _check_ends(study: Any, own: list[Any]) -> None:
    """An ended study has an ended newest revision and says why it is not scored; one that waits does not."""
    if study["state"] in ENDED:
        assert own[-1]["state"] in (*ENDED, "canceled"), own[-1]["state"]
        assert (study["reason"] is None) == (study["state"] == "scored")
    if study["state"] == "settled":
        assert own[-1]["state"] in UNFINISHED


def _number(study_instance_uid: str) -> int:
    return int(study_instance_uid.rpartition(".")[2])


def _attempt(revision: Any) -> Attempt:
    return Attempt(revision["study_id"], revision["number"], revision["attempt"])
