"""What a simulation expects, and whether the tables bear it out."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from service.attempt import Attempt, StepFailed
from service.engine import State
from tests.trials.simulated_arrivals import ExpectedArrivals
from tests.trials.simulated_engine import FakeArchive, FakeEngine
from tests.trials.simulated_images import site_id_of, study_number, study_uid
from tests.trials.simulated_outcome import (
    ENDED,
    UNFINISHED,
    Kept,
    check_damaged,
    check_ends,
    check_outcome,
    has_letter,
    missing_files,
    revision_of,
)
from tests.trials.simulated_study import DUE_S, ExpectedStudy
from tests.trials.simulated_tables import Tables

MISSING_AFTER_S = 30.0
"""An attempt that was queued for so long is asked after (DECISIONS: what the engine forgot is queued again)."""


class Expectations:
    """What was told to senders and operators, and what must follow from it.

    Args:
        tables: What the service wrote.
        engine: The fake engine.
        archive: The fake disk.
        clock: The simulated time.

    Attributes:
        arrivals: What is expected of the images that came in.
        studies: What is expected of each study, by its number.
    """

    def __init__(self, tables: Tables, engine: FakeEngine, archive: FakeArchive, clock: Callable[[], float]) -> None:
        self._tables = tables
        self._engine = engine
        self._archive = archive
        self._clock = clock
        self.arrivals = ExpectedArrivals(tables)
        self.studies: dict[int, ExpectedStudy] = {}
        self._canceled: set[Attempt] = set()
        self._restarts: Counter[int] = Counter()
        self._queued_at: dict[Attempt, float] = {}
        self._runs: dict[Attempt, list[tuple[Any, ...]]] = {}
        self._times: dict[tuple[Attempt, str], float] = {}
        self._told: dict[int, tuple[str, str | None]] = {}
        self._checked_at = clock()

    # ------------------------------------------------------------ at all times

    def check_studies(self) -> None:
        """A study's rows agree with each other and with what was expected of it."""
        revisions = self._revisions()
        newest = self._by_study("SELECT study_id, max(revision) FROM instance GROUP BY study_id")
        rows = self._tables.rows("SELECT * FROM study")
        assert len(rows) == len(self.studies)
        for row in rows:
            expected = self.studies[study_number(row["site_id"], row["study_instance_uid"])]
            own = [one for one in revisions if one["study_id"] == row["id"]]
            is_arriving = row["state"] == "arriving"
            assert newest[row["id"]] == row["revision"] == expected.revision
            assert row["expected_instances"] == expected.count
            assert is_arriving == expected.is_arriving == (row["settle_at"] is not None)
            assert not is_arriving or (row["settle_at"], row["settle_by"]) == (expected.due_at, expected.due_by)
            assert [one["number"] for one in own] == list(range(1, row["revision"] + (not is_arriving)))
            self._check_counts(row, expected)
            self._check_item(row, expected)
            check_ends(row, own)
        for one in revisions:
            self._check_revision(one)
        self._checked_at = self._clock()

    def _check_counts(self, row: Any, expected: ExpectedStudy) -> None:
        """What a study says of its images is so, and it is not flagged where nothing is wrong with it."""
        series = self._tables.rows(
            "SELECT e.instance_count, count(i.id) FROM series e LEFT JOIN instance i ON i.series_id = e.id"
            " WHERE e.study_id = ? GROUP BY e.id", row["id"],
        )  # fmt: skip
        assert all(said == counted for said, counted in series)
        assert (row["series_count"], row["instance_count"]) == (len(series), sum(one[1] for one in series))
        assert row["instance_count"] == expected.images
        assert (row["first_image_at"], row["last_instance_at"]) == (expected.first_image_at, expected.last_image_at)
        assert row["flags"] == "[]"

    def _check_item(self, row: Any, expected: ExpectedStudy) -> None:
        """The list has a study once, due as its center asks from when it was first complete, and heard of its state."""
        [item] = self._tables.rows("SELECT * FROM worklist_item WHERE study_id = ?", row["id"])
        assert (item["state"], item["priority_class"]) == ("scheduled", expected.priority)
        assert item["due_at"] == item["center_due_at"] == expected.complete_at + DUE_S[expected.priority]
        stands = (row["state"], row["reason"])
        if self._told.setdefault(row["id"], stands) != stands and row["state"] != "arriving":
            assert item["updated_at"] >= min(self._checked_at, self._clock())
        self._told[row["id"]] = stands

    def _check_revision(self, one: Any) -> None:
        """A revision's attempts are counted, and its times are set once in each."""
        attempt = _attempt(one)
        assert one["attempt"] == 1 + self._restarts[one["id"]]
        assert one["state"] not in UNFINISHED or one["finished_at"] is None
        assert one["state"] not in (*ENDED, "superseded") or one["finished_at"] is not None
        assert self._runs.get(attempt) in (None, self._runs_of(one))  # a later revision's own stand beside them
        assert one["state"] != "running" or None not in (one["started_at"], one["queued_at"])
        assert one["state"] != "scored" or self._tables.rows(
            "SELECT 1 FROM run WHERE revision_id = ? AND outcome = 'done'", one["id"]
        )
        for name in ("started_at", "finished_at"):
            if one[name] is not None or (attempt, name) in self._times:
                assert self._times.setdefault((attempt, name), one[name]) == one[name]
        assert attempt not in self._canceled or one["state"] == "canceled", one["state"]

    def check_ended(self) -> None:
        """Nothing is left to do."""
        assert {row[0] for row in self._tables.rows("SELECT state FROM study")} <= set(ENDED)
        assert not {one["state"] for one in self._revisions()} & set(UNFINISHED)
        assert not self._engine.waiting()

    # ------------------------------------------------------------ after a worker's rounds

    def check_settled(self) -> None:
        """Each study settled when its time had come, by what it should, and none before."""
        rows = self._tables.rows(
            "SELECT s.site_id, s.study_instance_uid, r.number, r.settled_by, r.settled_at FROM revision r"
            " JOIN study s ON s.id = r.study_id ORDER BY r.number"
        )
        for number, study in self.studies.items():
            own = [tuple(row)[2:] for row in rows if study_number(row[0], row[1]) == number]
            assert own == [(one.number, one.by, one.at) for one in study.settled]

    def check_queued(self, known: Collection[Attempt]) -> None:
        """The engine has what waits, the most urgent first, each given once, and nothing of a replaced attempt."""
        settled_at = {_attempt(one): one["settled_at"] for one in self._revisions()}
        given = [attempt for attempt in self._engine.attempts if attempt not in known]
        order = [(self._engine.asked[attempt], settled_at[attempt]) for attempt in given]
        assert order == sorted(order)
        assert all(self._engine.asked[each] == self.studies[self.study_of(each)].priority for each in given)
        for one in self._revisions():
            attempt = _attempt(one)
            assert one["state"] in UNFINISHED or attempt in known or attempt not in self._engine.attempts
            assert attempt not in given or one["state"] not in UNFINISHED or one["queued_at"] == self._clock()
            if one["queued_at"] is not None and attempt not in self._engine.lost:
                assert self._queued_at.setdefault(attempt, one["queued_at"]) == one["queued_at"]
            if one["state"] in UNFINISHED and attempt not in self._engine.forgotten:
                assert attempt in self._engine.attempts
            if one["state"] in UNFINISHED and attempt.number > 1:
                before = Attempt(attempt.study_id, attempt.revision, attempt.number - 1)
                assert self._engine.attempts.get(before) is not State.WAITING

    def missed_after(self) -> set[float]:
        """Return the last moments at which what the engine has is not asked after."""
        return {one["queued_at"] + MISSING_AFTER_S for one in self._revisions() if one["queued_at"] is not None}

    def check_told(self, before: Mapping[Attempt, State]) -> None:
        """The engine works no more on what was canceled, and on all else as before."""
        changed = {attempt for attempt, state in before.items() if self._engine.attempts.get(attempt) is not state}
        assert changed <= self._canceled
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
            attempt, outcome = _attempt(one), (one["state"], one["reason"])
            is_newest = newest[one["study_id"]] == one["number"]
            if one["state"] in UNFINISHED:
                is_old = one["queued_at"] is not None and one["queued_at"] < self._clock() - MISSING_AFTER_S
                if attempt in dead or (is_old and states.get(attempt) in (State.DONE, State.CANCELED)):
                    outcome = ("unscored", "pipeline_failed") if is_newest else ("superseded", None)
                elif is_old and attempt not in states:
                    outcome = ("settled", None)
            expected[one["id"]] = (
                (*outcome, one["attempt"]),
                one["state"] in UNFINISHED and outcome[0] not in UNFINISHED,
            )
        yield
        for one in self._revisions():
            outcome, is_given_up = expected[one["id"]]
            assert (one["state"], one["reason"], one["attempt"]) == outcome
            assert not is_given_up or has_letter(self._tables, one["study_id"])
        assert not self._engine.dead()

    # ------------------------------------------------------------ after a deed

    @contextlib.contextmanager
    def walked(self, attempt: Attempt) -> Iterator[None]:
        """What was not wanted is left as it was; what was walked to its end has an outcome."""
        before = revision_of(self._tables, attempt)
        missing = missing_files(self._tables, attempt, self._archive.placed)
        is_newest = self._newest()[attempt.study_id] == attempt.revision
        is_wanted = before["attempt"] == attempt.number and before["state"] in UNFINISHED
        steps = len(self._engine.kept.get(attempt, []))
        yield
        after = revision_of(self._tables, attempt)
        kept = self._engine.kept[attempt]
        if not is_wanted:
            changed = {name for name in before.keys() if after[name] != before[name]}  # noqa: SIM118 - a row
            is_queued_anew = after["attempt"] > attempt.number and changed == {"queued_at"}  # by another worker
            assert not changed or is_queued_anew or after["attempt"] > before["attempt"] or after["state"] == "canceled"
        self._check_steps(attempt, before, kept, fresh=kept[steps:], missing=missing)
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
            assert has_letter(self._tables, attempt.study_id)
        if ("publish", StepFailed) in kept:
            assert not (after["detail"] or "").startswith("step ")  # what was scored stays, unpublished

    def _check_steps(self, attempt: Attempt, before: Any, kept: Kept, *, fresh: Kept, missing: Collection[int]) -> None:
        """What the steps of this walk said is so."""
        after = revision_of(self._tables, attempt)
        begun = [(attempt.number, state) for state in ("running", *ENDED)]
        for name, answer in fresh:
            if name == "verify" and answer is not StepFailed and "value" in answer:
                still = missing_files(self._tables, attempt, self._archive.placed)
                assert set(answer["value"]) <= set(missing)
                check_damaged(self._tables, attempt, answer["value"], still)
            if (
                name == "begin"
                and answer is not StepFailed
                and "value" in answer
                and (after["attempt"], after["state"]) in begun
            ):
                assert after["queued_at"] is not None  # or nobody would ask after it
            if name == "note_unpublished" and "value" in answer:
                assert has_letter(self._tables, attempt.study_id)
        is_ended = ("finish", {"value": None}) in fresh and after["attempt"] == before["attempt"]
        if is_ended and after["state"] not in ("canceled", "superseded"):
            check_outcome(self._tables, attempt, kept)
            self._runs[attempt] = self._runs_of(after)

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
            assert (after["state"], after["attempt"]) == ("settled", before["attempt"] + 1)
            assert all(after[name] is None for name in ("queued_at", "started_at", "finished_at", "reason", "detail"))
            self._restarts[after["id"]] += 1
        else:
            assert (after["state"], after["attempt"], after["reason"]) == ("canceled", before["attempt"], "canceled")
            self._canceled.add(_attempt(after))

    # ------------------------------------------------------------ reading

    def public_id(self, study: int) -> str | None:
        """Return how people name a study."""
        return self._study(study)["public_id"] if study in self.studies else None

    def study_id(self, study: int) -> int:
        """Return a study's id."""
        return int(self._study(study)["id"])

    def study_of(self, attempt: Attempt) -> int:
        """Return the number of the study that an attempt is at."""
        query = "SELECT site_id, study_instance_uid FROM study WHERE id = ?"
        return study_number(*self._tables.rows(query, attempt.study_id)[0])

    def _study(self, study: int) -> Any:
        query = "SELECT * FROM study WHERE site_id = ? AND study_instance_uid = ?"
        return self._tables.rows(query, site_id_of(study), study_uid(study))[0]

    def _runs_of(self, revision: Any) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self._tables.rows("SELECT * FROM run WHERE revision_id = ?", revision["id"])]

    def _revisions(self) -> list[Any]:
        return self._tables.rows("SELECT * FROM revision ORDER BY study_id, number")

    def _newest(self) -> dict[int, int]:
        return self._by_study("SELECT study_id, max(number) FROM revision GROUP BY study_id")

    def _newest_revision(self, study: int) -> Any:
        query = "SELECT * FROM revision WHERE study_id = ? ORDER BY number DESC LIMIT 1"
        return next(iter(self._tables.rows(query, self._study(study)["id"])), None)

    def _by_study(self, query: str) -> dict[int, int]:
        return {row[0]: row[1] for row in self._tables.rows(query)}


def _attempt(revision: Any) -> Attempt:
    return Attempt(revision["study_id"], revision["number"], revision["attempt"])
