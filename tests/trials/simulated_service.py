"""The service of a simulation: its own code on real tables, with what stands around it made up."""

from __future__ import annotations

import contextlib
import functools
import tempfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from preprocessing.header import InstanceHeader, read_header
from service.attempt import Attempt
from service.database import Database
from service.intake import records
from service.intake.outcomes import Door, Kind, Sender
from service.interventions import cancel_study, restart_study
from service.pipeline import Parts, Pipeline
from service.rounds import Rounds
from service.routing.records import RuleBook
from service.worklist.records import update_item
from tests.factories import Clock, add_site, dataset_bytes, make_ct_slice
from tests.trials.expectations import Expectations
from tests.trials.simulated_engine import Between, Crash, FakeArchive, FakeEngine
from tests.trials.simulated_study import ExpectedStudy
from tests.trials.simulated_tables import Tables, in_memory


class SimulatedService:
    """One life: a site, its tables, a worker, and what is expected of them."""

    def __init__(self) -> None:
        self.closing = contextlib.ExitStack()
        folder = Path(self.closing.enter_context(tempfile.TemporaryDirectory(dir=in_memory())))
        self.tables = Tables(folder)
        self.closing.callback(self.tables.close)
        self.clock, self.archive, self.engine = Clock(), FakeArchive(), FakeEngine()
        self.between = Between(self.tables.here)
        self.site_id = add_site(self.tables.here)
        runner: Any = SimpleNamespace(prepare_all=lambda *_, **__: None)
        outside: Any = (self.archive, SimpleNamespace(), {}, runner)
        parts = Parts(self.tables.settings, self.tables.here, *outside, self.clock)
        self.engine.path = Pipeline(parts).score
        elsewhere = replace(parts, database=self.tables.elsewhere)
        self.other_worker = Pipeline(elsewhere).score
        self.rounds = Rounds(parts, self.engine, SimpleNamespace(), "simulated")  # type: ignore[arg-type]
        self.other_rounds = Rounds(elsewhere, self.engine, SimpleNamespace(), "other")  # type: ignore[arg-type]
        self.rules = records.Rules(
            parts.settings.quiet_s, parts.settings.partial_after_s, 1_000, self._tell_list, RuleBook()
        )
        self.expected = Expectations(self.tables, self.engine, self.clock)

    def arrive(self, database: Database, study: int, image: int, *, content: str = "a", dies: bool = False) -> None:
        uid = f"1.2.{study}.1.{image}"
        sha256 = f"{study}-{image}-{content}".ljust(64, "0")
        header = replace(_header(), study_instance_uid=f"1.2.{study}", series_instance_uid=f"1.2.{study}.1",
                         sop_instance_uid=uid)  # fmt: skip
        self.archive.placed.add((self.site_id, sha256))
        arrival = records.Arrival(Sender(self.site_id, Door.DIMSE, "SIM"), header, sha256, 100)
        with contextlib.suppress(Crash), database.transaction() as tx:
            kind, _ = records.keep(tx, arrival, self.rules, self.clock())
            if dies:
                raise Crash
        if dies:
            return
        known = self.expected.kept.get(uid)
        assert kind is (Kind.STORED if known is None else Kind.DUPLICATE if known == sha256 else Kind.HELD)
        if kind is Kind.STORED:
            self.expected.kept[uid] = sha256
            self.expected.studies.setdefault(study, ExpectedStudy(self.clock())).arrives(self.clock())
        elif kind is Kind.HELD:
            self.expected.held[uid, sha256] += 1

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
        before = self.expected.attempt_now(attempt)
        self.step_in(self.tables.elsewhere, self.expected.study_of(attempt), restarts=True)
        if self.expected.attempt_now(attempt) != before:
            self.other_rounds.settle_and_queue()
            for study in self.expected.studies.values():
                study.is_looked_at(self.clock())
            self.engine.run(replace(attempt, number=before + 1), path=self.other_worker, crash_at=1)


@functools.cache
def _header() -> InstanceHeader:
    with tempfile.TemporaryFile() as file:
        data = dataset_bytes(make_ct_slice(rows=4, Modality="CR"))
        file.write(data)
        file.seek(0)
        return read_header(file, transfer_syntax_uid="1.2.840.10008.1.2.1", offset=0, length=len(data))
