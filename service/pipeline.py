"""The path of one study revision, step after step, as one readable workflow."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypedDict, TypeVar

import numpy as np
from sqlalchemy import Connection

from models.package import ModelPackage
from preprocessing.errors import Reason
from preprocessing.header import age_years, from_json
from service.archive import Archive
from service.attempt import Attempt, Step, StepFailed
from service.database import Database
from service.inference import records, revision_records
from service.inference.plan import Planned, Site, most_telling
from service.inference.records import Run
from service.inference.revision_records import UNFINISHED, Revision
from service.inference.run import Runner
from service.inference.volumes import find_volumes, plan_study
from service.interventions import end_as_failed, note_dead_letter
from service.metrics import RUNS_TOTAL, UNSCORED_TOTAL
from service.results.findings import ai_priority, judge_findings
from service.results.records import findings_of, save_findings
from service.routing.records import RuleBook, route_images
from service.settings import Settings
from service.worklist.records import update_item
from service.workspace import NotInWorkspace, Workspace

log = logging.getLogger("pandok.pipeline")

T = TypeVar("T")


class _Answer(TypedDict, Generic[T], total=False):
    """A step's answer as the engine records it."""

    value: T
    stopped: bool


class Stopped(Exception):
    """The attempt is no longer wanted: canceled, restarted, or a later revision has settled."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the steps work with."""

    settings: Settings
    database: Database
    archive: Archive
    workspace: Workspace
    packages: Mapping[str, ModelPackage]
    """By hash."""
    runner: Runner
    clock: Callable[[], float]
    """Seconds since 1970 UTC."""


class Pipeline:
    """Scores study revisions. Every step is a plain function that gives the same result when it is run again."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._database = parts.database
        self._clock = parts.clock
        self._rules = RuleBook()

    def score(self, step: Step, attempt: Attempt) -> None:
        """Walk the path. Nothing here reads or writes except in a step; what a person must see ends as a state."""

        def do(function: Callable[..., T], *arguments: object) -> T:
            answer = step(function.__name__, lambda: self._while_wanted(attempt, function, arguments))
            if "stopped" in answer:
                raise Stopped
            return answer["value"]

        try:
            try:
                do(self.begin)
                damaged = do(self.verify)
                planned = do(self.plan, damaged)
                do(self.prepare, planned)
                for one in planned:
                    try:
                        if do(self.gate, one):
                            do(self.infer, one)
                    except StepFailed:
                        do(self.give_up, one)
                do(self.judge)
            except StepFailed as failed:
                do(self.fail, failed.step)
                return
            try:
                do(self.publish)
            except StepFailed:
                do(self.note_unpublished)
            do(self.finish)
        except Stopped:
            return

    # ------------------------------------------------------------ steps

    def begin(self, revision: Revision) -> None:
        """Mark the revision as running."""
        with self._database.transaction() as tx:
            revision_records.start_revision(tx, revision, self._clock())

    def verify(self, revision: Revision) -> list[int]:
        """Read every stored file again; return the ids of instances whose file is not what was stored."""
        with self._database.reading() as tx:
            instances = records.list_instances(tx, revision.study_id, revision.number)
        damaged = [one for one in instances if not self._parts.archive.is_intact(one.site_id, one.content_sha256)]
        for instance in damaged:
            log.error("stored file damaged", extra={"instance_id": instance.id, "study_id": revision.study_id})
            with self._database.transaction() as tx:
                records.note_problem(
                    tx,
                    kind="damaged",
                    reason=Reason.STORED_FILE_DAMAGED,
                    detail="the stored file is missing or is not what was stored; ask the sender for it again",
                    site_id=revision.site_id,
                    study_id=revision.study_id,
                    now=self._clock(),
                    instance=instance,
                )
        return [instance.id for instance in damaged]

    def plan(self, revision: Revision, damaged: list[int]) -> list[dict[str, object]]:
        """Put slices in order; decide which packages run on which images and series, write down why others do not."""
        now = self._clock()
        with self._database.reading() as tx:
            instances = records.list_instances(tx, revision.study_id, revision.number)
            releases = records.list_releases(tx, revision.site_id, now)
            policy = records.site_policy(tx, revision.site_id)
            routed = route_images(tx, revision.study_id, revision.number, self._rules.current(tx))
        archive, packages = self._parts.archive, self._parts.packages
        volumes = find_volumes(instances, lambda one: archive.path(one.site_id, one.content_sha256))
        site = Site(releases, packages, policy.get("unknown_age") == "adult", routed)
        planned, ended = plan_study(instances, volumes, damaged=frozenset(damaged), site=site, now=now)
        keep = {(one.instance_id, self._parts.packages[one.package_sha256].name) for one in planned}
        with self._database.transaction() as tx:
            records.drop_runs(tx, revision, but=keep | {(run.instance_id, run.package) for run in ended})
            for run in ended:
                records.save_run(tx, revision, run)
            for volume in volumes:
                records.save_geometry(tx, volume.series_id, volume.to_json(), volume.faults())
        return [one.to_json() for one in planned]

    def prepare(self, revision: Revision, planned: list[dict[str, object]]) -> None:
        """Make all tensors, several at a time; later steps find them in the workspace."""
        wanted = [Planned.from_json(one) for one in planned]
        self._parts.runner.prepare_all(revision, wanted, at_once=self._parts.settings.decode_processes)

    def gate(self, revision: Revision, planned: dict[str, object]) -> bool:
        """Tell whether a planned run goes on after the recipe and the scope gate."""
        run = self._parts.runner.gate(revision, Planned.from_json(planned))
        if run is not None:
            self._save(revision, run)
        return run is None

    def infer(self, revision: Revision, planned: dict[str, object]) -> None:
        """Score a planned run."""
        self._save(revision, self._parts.runner.infer(revision, Planned.from_json(planned)))

    def give_up(self, revision: Revision, planned: dict[str, object]) -> None:
        """End a run whose package failed in every attempt; the study's other runs go on."""
        self._save(revision, self._parts.runner.given_up(Planned.from_json(planned)))

    def judge(self, revision: Revision) -> None:
        """Turn the scores of every done run into findings."""
        with self._database.reading() as tx:
            runs = records.list_runs(tx, revision.id)
            instances = records.list_instances(tx, revision.study_id, revision.number)
            policy = records.site_policy(tx, revision.site_id)
        headers = {one.id: one.header for one in instances}
        for run_id, run in runs:
            if run.outcome != "done":
                continue
            planned = Planned.of(run)
            scored = self._parts.runner.scores(revision, planned)
            package = self._parts.packages[planned.package_sha256]
            heat_map, placement = None, None
            if scored.heat_map_sha256 is not None:
                heat_map, placement = self._parts.workspace.heat_map(scored.heat_map_sha256)
            findings = judge_findings(
                package,
                np.asarray(scored.logits, dtype=np.float32),
                age_years=age_years(from_json(headers[run.instance_id])),
                unknown_age_as_adult=policy.get("unknown_age") == "adult",
                shown=run.shown,
                heat_map=heat_map,
                placement=placement,
            )
            with self._database.transaction() as tx:
                save_findings(tx, run_id=run_id, findings=findings)

    def publish(self, revision: Revision) -> None:
        """Publish SR and overlays; heat maps that were swept meanwhile are made again."""
        from service.results.publish import publish_revision  # `worker` loads it when it is ready

        for is_last in (False, True):
            try:
                publish_revision(
                    self._database,
                    self._parts.archive,
                    self._parts.packages,
                    study_id=revision.study_id,
                    revision=revision.number,
                    workspace=self._parts.workspace,
                    clock=self._clock,
                )
            except NotInWorkspace:
                if is_last:
                    raise
                self._make_again(revision)
            else:
                return

    def note_unpublished(self, revision: Revision) -> None:
        """Tell the operator that results could not be published; the findings stand and the study is scored."""
        detail = "the results could not be published; the findings are in the worklist"
        with self._database.transaction() as tx:
            note_dead_letter(tx, revision, detail, self._clock())

    def finish(self, revision: Revision) -> None:
        """End the revision: its study is scored, or unscored with the most telling reason that readers may see."""
        now = self._clock()
        with self._database.transaction() as tx:
            # Asked again in the transaction that ends it: an operator may just have canceled.
            current = revision_records.find_revision(tx, revision.study_id, revision.number)
            if current is None or current.state != "running" or current.attempt != revision.attempt:
                return
            runs = [run for _, run in records.list_runs(tx, revision.id)]
            seen = [run for run in runs if run.is_shown]
            is_scored = any(run.outcome == "done" for run in seen)
            state = "scored" if is_scored else "unscored"
            # A scored study may still have an image that failed: its revision says so.
            worst = most_telling([run for run in seen if run.outcome == "failed" or not is_scored])
            reason, detail = (worst.reason, worst.detail) if worst else (None, None)
            if worst is None and not is_scored:
                reason, detail = Reason.PIPELINE_FAILED, "no image of the study was looked at"
            revision_records.end_revision(tx, revision.id, state=state, reason=reason, detail=detail, now=now)
            unscored = None if is_scored else reason
            revision_records.set_study_state(tx, revision, state=state, reason=unscored, now=now)
            priority = self._ai_priority(tx, revision) if is_scored else None
            update_item(tx, study_id=revision.study_id, now=now, settings=self._parts.settings, ai_priority=priority)
        for run in runs:
            RUNS_TOTAL.labels(run.package or "none", run.outcome).inc()
        if unscored is not None:
            UNSCORED_TOTAL.labels(unscored.value).inc()

    def fail(self, revision: Revision, failed_step: str) -> None:
        """End a revision whose step failed in every attempt: unscored, in the list, for a person to read."""
        settings = self._parts.settings
        detail = f"step {failed_step} failed {settings.step_attempts} times"
        end_as_failed(self._database, _attempt(revision), detail, now=self._clock(), settings=settings)

    # ------------------------------------------------------------ inside steps

    def _while_wanted(self, attempt: Attempt, function: Callable[..., T], arguments: tuple[object, ...]) -> _Answer[T]:
        """Do a step's work unless the attempt is no longer wanted."""
        with self._database.reading() as tx:
            revision = revision_records.find_revision(tx, attempt.study_id, attempt.revision)
        if revision is None or revision.attempt != attempt.number or revision.state not in UNFINISHED:
            return {"stopped": True}
        if not revision.is_newest:
            with self._database.transaction() as tx:
                revision_records.supersede(tx, revision, self._clock())
            return {"stopped": True}
        return {"value": function(revision, *arguments)}

    def _save(self, revision: Revision, run: Run) -> None:
        with self._database.transaction() as tx:
            records.save_run(tx, revision, run)

    def _make_again(self, revision: Revision) -> None:
        with self._database.reading() as tx:
            runs = records.list_runs(tx, revision.id)
        for _, run in runs:
            if run.outcome == "done":
                self._parts.runner.scores(revision, Planned.of(run))

    def _ai_priority(self, tx: Connection, revision: Revision) -> int | None:
        """Return the most urgent class that any package's present findings raise the study to."""
        raised = []
        for run in findings_of(tx, revision.study_id, revision.number):
            package = self._parts.packages.get(run.package_sha256 or "")
            if package is not None and run.outcome == "done":
                raised.append(ai_priority(run.findings, package.outputs))
        return min((one for one in raised if one is not None), default=None)


def _attempt(revision: Revision) -> Attempt:
    return Attempt(revision.study_id, revision.number, revision.attempt)
