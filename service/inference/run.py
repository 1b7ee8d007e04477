"""One release on one instance, or on a series as one volume: recipe → scope gate → session → raw scores, or why not."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import numpy as np

from models.calibration import judge_scope
from models.package import ModelPackage
from preprocessing.errors import Reason
from preprocessing.recipes import Placement
from service.archive import Archive
from service.database import Database
from service.inference import records
from service.inference.breaker import Breaker
from service.inference.decoding import DecodePool, Died, Prepared, Refused, Tensor, answer_of, read_answer
from service.inference.plan import Planned, outcome_of
from service.inference.records import Run
from service.inference.revision_records import Revision
from service.inference.scoring import Scored, Scoring, ScoringFailed
from service.inference.sources import Source, find_source
from service.metrics import RUN_SECONDS
from service.workspace import NotInWorkspace, Workspace

log = logging.getLogger("pandok.inference")


class _LeftAlone(ScoringFailed):
    """The package's circuit is open: trying is of no use now."""


class Runner:
    """Runs packages on instances. Every answer is remembered by content, so that doing it again costs nothing.

    Args:
        packages: Every loaded package by its hash, scope gates too.
        provider: The execution provider and precision that are asked for; a part of what scores depend on.
        clock: Seconds since 1970 UTC.
    """

    def __init__(
        self,
        *,
        database: Database,
        archive: Archive,
        workspace: Workspace,
        packages: Mapping[str, ModelPackage],
        pool: DecodePool,
        scoring: Scoring,
        breaker: Breaker,
        provider: str,
        clock: Callable[[], float],
    ) -> None:
        self._database = database
        self._archive = archive
        self._workspace = workspace
        self._packages = packages
        self._pool = pool
        self._scoring = scoring
        self._breaker = breaker
        self._provider = provider
        self._clock = clock

    def prepare_all(self, revision: Revision, planned: list[Planned], *, at_once: int) -> None:
        """Make the tensors of all planned runs, several at a time. Raises DecodeUnavailable."""
        wanted = {(one.instance_id, self._packages[one.package_sha256].recipe): one for one in planned}
        with ThreadPoolExecutor(max_workers=max(1, at_once), thread_name_prefix="prepare") as threads:
            list(threads.map(lambda one: self._prepare(revision, one), wanted.values()))

    def gate(self, revision: Revision, planned: Planned) -> Run | None:
        """Let the package's scope gate look first; returns how the run ended already, or None when it goes on.

        Raises ScoringFailed when the gate itself gives no usable scores, DecodeUnavailable.
        """
        started_at = self._clock()
        prepared = self._prepare(revision, planned)
        match prepared:
            case Refused(reason, detail):
                return self._ended(planned, reason, detail, started_at)
            case Died(detail=detail):
                return self._ended(planned, reason_of(prepared), detail, started_at)
        gate = self._packages[planned.gate_sha256] if planned.gate_sha256 else None
        if gate is None:
            return None
        try:
            scored = self._score(gate, prepared, "gate")
        except _LeftAlone:
            return self.given_up(planned)
        judgement = judge_scope(gate, np.asarray(scored.logits, dtype=np.float32))
        if judgement.reason is None:
            return None
        detail = (
            f"{gate.name} {gate.version} lets through from {gate.scope_threshold}; this is {judgement.in_scope:.3f}"
        )
        return self._ended(planned, judgement.reason, detail, started_at, tensor=prepared, provider=scored.provider)

    def infer(self, revision: Revision, planned: Planned) -> Run:
        """Score an image that the gate let through. Raises ScoringFailed, DecodeUnavailable."""
        started_at = self._clock()
        prepared = self._prepare(revision, planned)
        if not isinstance(prepared, Tensor):  # the workspace was swept and the file no longer decodes
            return self._ended(planned, reason_of(prepared), prepared.detail, started_at)
        package = self._packages[planned.package_sha256]
        try:
            scored = self._score(package, prepared, "infer")
        except _LeftAlone:
            return self.given_up(planned)
        return self._run(
            planned,
            outcome="done",
            started_at=started_at,
            tensor=prepared,
            provider=scored.provider,
            heat_map_sha256=scored.heat_map_sha256,
        )

    def scores(self, revision: Revision, planned: Planned) -> Scored:
        """Return the scores of a run that is done. Raises ScoringFailed, DecodeUnavailable."""
        prepared = self._prepare(revision, planned)
        if not isinstance(prepared, Tensor):
            raise ScoringFailed("the image no longer decodes")
        return self._score(self._packages[planned.package_sha256], prepared, "infer")

    def given_up(self, planned: Planned) -> Run:
        """Return the run of a package that gave no usable scores in any attempt."""
        now = self._clock()
        words = self._scoring.alarm or self._breaker.last_words(planned.package_sha256)
        return self._ended(planned, Reason.MODEL_FAILED, words or "the model gave no usable scores", now)

    def _prepare(self, revision: Revision, planned: Planned) -> Prepared:
        package = self._packages[planned.package_sha256]
        with self._database.reading() as tx:
            source = find_source(tx, revision, planned, is_series=package.reads_series)
            quarantined = records.find_quarantine(
                tx, source.anchor.site_id, source.content_sha256, decoders=self._pool.decoders
            )
        if quarantined is not None:
            return Refused(quarantined, "in quarantine: its decoder died before")
        recipe = (package.recipe, package.recipe_sha256, self._pool.decoders)
        key = (source.content_sha256, source.transfer_syntax_uid, *recipe)
        remembered = self._workspace.recall("prepared", key)
        if remembered is not None:
            prepared = read_answer(remembered)
            if not isinstance(prepared, Tensor) or self._has(prepared):
                return prepared
        with self._timed(package, "prepare"):
            prepared = self._decode(revision, source, package.recipe)
        if not isinstance(prepared, Died):
            self._workspace.remember("prepared", key, answer_of(prepared))
        return prepared

    def _decode(self, revision: Revision, source: Source, recipe: str) -> Prepared:
        """Decode in a child. What kills it gets a second chance at once, and no third."""
        instance = source.anchor
        paths = [self._archive.path(one.site_id, one.content_sha256) for one in source.files]
        while True:
            if source.is_series:
                prepared = self._pool.prepare_series(paths, recipe, slices=source.slices)
            else:
                prepared = self._pool.prepare(paths[0], instance.header, recipe)
            if not isinstance(prepared, Died):
                return prepared
            reason, now = reason_of(prepared), self._clock()
            log.error("decoder died", extra={"instance_id": instance.id, "reason": reason.value})
            with self._database.transaction() as tx:
                is_quarantined = records.note_death(
                    tx,
                    site_id=instance.site_id,
                    content_sha256=source.content_sha256,
                    reason=reason,
                    is_limit=prepared.is_limit,
                    decoders=self._pool.decoders,
                    now=now,
                )
                if is_quarantined:
                    records.note_problem(
                        tx,
                        kind="quarantined",
                        reason=reason,
                        detail=f"cannot be decoded ({prepared.detail}); set aside, the study's other images go on",
                        site_id=instance.site_id,
                        study_id=revision.study_id,
                        now=now,
                        instance=instance,
                    )
            if is_quarantined:
                return prepared

    def _score(self, package: ModelPackage, tensor: Tensor, stage: str) -> Scored:
        place = tensor.placement
        key = (package.sha256, self._provider, tensor.tensor_sha256, repr(place))
        remembered = self._workspace.recall("scores", key)
        if remembered is not None and self._has_heat_map(remembered):
            return Scored.recalled(remembered)
        if self._breaker.is_open(package.sha256):
            raise _LeftAlone("the package failed too often; it is left alone for a while")
        try:
            with self._timed(package, stage):
                raw = self._scoring.score(package, tensor.tensor_sha256)
        except ScoringFailed as error:
            self._breaker.failed(package.sha256, str(error))
            log.warning("scoring failed", extra={"package": package.name, "stage": stage})
            raise
        self._breaker.succeeded(package.sha256)
        heat_map = None
        if raw.heat_map is not None and isinstance(place, Placement):
            heat_map = self._workspace.put_heat_map(raw.heat_map, place)
        answer: dict[str, object] = {"logits": list(raw.logits), "heat_map_sha256": heat_map, "provider": raw.provider}
        self._workspace.remember("scores", key, answer)
        return Scored.recalled(answer)

    def _has(self, tensor: Tensor) -> bool:
        try:
            self._workspace.tensor(tensor.tensor_sha256)
        except NotInWorkspace:
            return False
        return True

    def _has_heat_map(self, answer: Mapping[str, object]) -> bool:
        sha256 = answer.get("heat_map_sha256")
        if sha256 is None:
            return True
        try:
            self._workspace.heat_map(str(sha256))
        except NotInWorkspace:
            return False
        return True

    def _timed(self, package: ModelPackage, stage: str) -> AbstractContextManager[object]:
        return RUN_SECONDS.labels(package.name, stage).time()

    def _ended(
        self,
        planned: Planned,
        reason: Reason,
        detail: str,
        started_at: float,
        *,
        tensor: Tensor | None = None,
        provider: str | None = None,
    ) -> Run:
        return self._run(
            planned,
            outcome=outcome_of(reason),
            reason=reason,
            detail=detail,
            started_at=started_at,
            tensor=tensor,
            provider=provider,
        )

    def _run(
        self,
        planned: Planned,
        *,
        outcome: str,
        started_at: float,
        reason: Reason | None = None,
        detail: str | None = None,
        tensor: Tensor | None = None,
        provider: str | None = None,
        heat_map_sha256: str | None = None,
    ) -> Run:
        package = self._packages[planned.package_sha256]
        return Run(
            instance_id=planned.instance_id,
            package=package.name,
            package_version=package.version,
            package_sha256=package.sha256,
            recipe=package.recipe,
            outcome=outcome,
            reason=reason,
            detail=detail,
            view=planned.view,
            view_source=planned.view_source,
            notes=(*planned.notes, *(tensor.notes if tensor else ())),
            decoder=tensor.decoder if tensor else None,
            provider=provider,
            tensor_sha256=tensor.tensor_sha256 if tensor else None,
            heat_map_sha256=heat_map_sha256,
            shown=planned.shown,
            routing=planned.routing,
            started_at=started_at,
            finished_at=self._clock(),
        )


def reason_of(prepared: Refused | Died) -> Reason:
    """Return why there is no tensor, in the closed list's words."""
    if isinstance(prepared, Refused):
        return prepared.reason
    return Reason.LIMIT_EXCEEDED if prepared.is_limit else Reason.DECODER_DIED
