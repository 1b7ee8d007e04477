"""The service of a simulation: its own code on real tables, with what stands around it made up."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from service.attempt import Attempt
from service.database import Database
from service.intake import problems, records, settling
from service.intake.outcomes import Door, Kind, Sender
from service.interventions import cancel_study, restart_study
from service.pipeline import Parts, Pipeline
from service.rounds import Rounds
from service.routing.records import RuleBook
from service.worklist.records import set_center_priority, update_item
from tests.factories import Clock, add_site
from tests.trials.expectations import Expectations
from tests.trials.simulated_engine import Between, Crash, FakeArchive, FakeEngine
from tests.trials.simulated_images import MOST_IMAGES, SITES, Image, site_id_of, study_uid
from tests.trials.simulated_outcome import revision_of
from tests.trials.simulated_study import ExpectedStudy
from tests.trials.simulated_tables import Tables, in_memory


class SimulatedService:
    """One life: two sites, their tables, a worker, and what is expected of them."""

    def __init__(self) -> None:
        self.closing = contextlib.ExitStack()
        folder = Path(self.closing.enter_context(tempfile.TemporaryDirectory(dir=in_memory())))
        self.tables = Tables(folder)
        self.closing.callback(self.tables.close)
        self.clock, self.archive, self.engine = Clock(), FakeArchive(), FakeEngine()
        self.between = Between(self.tables.here)
        for code, policy in SITES.items():
            add_site(self.tables.here, code, **policy)
        runner: Any = SimpleNamespace(prepare_all=lambda *_, **__: None)
        outside: Any = (self.archive, SimpleNamespace(), {}, runner)
        parts = Parts(self.tables.settings, self.tables.here, *outside, self.clock)
        self.engine.path = Pipeline(parts).score
        elsewhere = replace(parts, database=self.tables.elsewhere)
        self.other_worker = Pipeline(elsewhere).score
        self.rounds = Rounds(parts, self.engine, SimpleNamespace(), "simulated")  # type: ignore[arg-type]
        self.other_rounds = Rounds(elsewhere, self.engine, SimpleNamespace(), "other")  # type: ignore[arg-type]
        self.rules = records.Rules(
            parts.settings.quiet_s, parts.settings.partial_after_s, MOST_IMAGES, self._tell_list, RuleBook()
        )
        self.expected = Expectations(self.tables, self.engine, self.archive, self.clock)

    def arrive(self, database: Database, image: Image, *, content: str = "a", dies: bool = False) -> None:
        """Let an image come in; its process may die between the file and the rows."""
        sha256 = image.sha256(content)
        self.archive.placed.add((image.site_id, sha256))
        sender = Sender(image.site_id, Door.DIMSE, "SIM")
        arrival = records.Arrival(sender, image.header(content), sha256, 100)
        with contextlib.suppress(Crash), database.transaction() as tx:
            told = records.keep(tx, arrival, self.rules, self.clock())
            if dies:
                raise Crash
        if dies:
            return
        study = self.expected.studies.get(image.study)
        is_full = study is not None and study.images >= MOST_IMAGES
        assert told == self.expected.arrivals.answer(image, content, is_full=is_full)
        if told[0] is Kind.STORED:
            self.expected.arrivals.kept[image] = (content, self.clock())
            study = study or self.expected.studies.setdefault(image.study, ExpectedStudy(self.clock()))
            study.arrives(self.clock(), image.quiet_s)
        elif told[0] is Kind.HELD:
            self.expected.arrivals.held[image, sha256] += 1

    def say_done(self, study: int, expected_instances: int | None) -> None:
        """Let the sender say how many images there are, or that these are all."""
        with self.tables.here.transaction() as tx:
            is_known = settling.mark_done(tx, site_id=site_id_of(study), study_instance_uid=study_uid(study),
                                          expected_instances=expected_instances, now=self.clock())  # fmt: skip
        assert is_known == (study in self.expected.studies)
        if is_known:
            self.expected.studies[study].is_said_to_be_done(expected_instances, self.clock())

    def ask_for(self, study: int, priority: int) -> None:
        """Let the center ask for a class."""
        with self.tables.here.transaction() as tx:
            study_id = self.expected.study_id(study)
            set_center_priority(tx, study_id, priority)
            self._tell_list(tx, study_id, self.clock())
        self.expected.studies[study].priority = priority

    def damage(self, which: int) -> tuple[Image, str]:
        """Spoil a stored file; return whose it was, and what it held."""
        image = sorted(self.expected.arrivals.kept)[which % len(self.expected.arrivals.kept)]
        content, _ = self.expected.arrivals.kept[image]
        self.archive.placed.discard((image.site_id, image.sha256(content)))
        return image, content

    def put_right(self) -> None:
        """Let an operator deal with all that went wrong."""
        with self.tables.here.transaction() as tx:
            for row in self.tables.rows("SELECT id FROM problem WHERE resolved_at IS NULL"):
                assert problems.resolve_problem(tx, row["id"], site_id=None, words="done", now=self.clock())
        self.expected.arrivals.put_right()

    def settle_elsewhere(self) -> None:
        """Let another worker look round."""
        self.other_rounds.settle_and_queue()
        for study in self.expected.studies.values():
            study.is_looked_at(self.clock())

    def overtake(self, study: int, number: int) -> None:
        """Let another image come, and another worker settle it after a quiet minute."""
        self.arrive(self.tables.elsewhere, Image(study, number))
        self.clock.advance(61)
        self.settle_elsewhere()

    def step_in(self, database: Database, study: int, *, restarts: bool) -> None:
        public_id = self.expected.public_id(study)
        if public_id is not None:
            with self.expected.stepped_in(study, restarts=restarts) as note:
                note((restart_study if restarts else cancel_study)(
                    database, self.tables.settings, public_id, self.clock()
                ))  # fmt: skip

    def waiting(self, which: int) -> Attempt:
        waiting = self.engine.waiting()
        return waiting[which % len(waiting)]

    def run(self, which: int, **how: Any) -> None:
        attempt = self.waiting(which)
        with self.expected.walked(attempt):
            self.engine.run(attempt, **how)

    def _tell_list(self, tx: Any, study_id: int, now: float) -> None:
        update_item(tx, study_id=study_id, now=now, settings=self.tables.settings)

    def restart_and_begin(self, attempt: Attempt) -> None:
        """An operator restarts what a worker has in hand, and another worker begins the new attempt and dies."""
        before = revision_of(self.tables, attempt)["attempt"]
        self.step_in(self.tables.elsewhere, self.expected.study_of(attempt), restarts=True)
        if revision_of(self.tables, attempt)["attempt"] != before:
            self.settle_elsewhere()
            self.engine.run(replace(attempt, number=before + 1), path=self.other_worker, crash_at=1)
