"""Completion, intake and pipeline as one state machine: fake clock, fake disk, fake engine that crashes where it likes.

The rows are written by the service's own code into real tables. A failing run prints the steps that lead to it.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as some
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test

from service.engine import State
from tests.trials.simulated_engine import Crash
from tests.trials.simulated_images import Image
from tests.trials.simulated_senders import IMAGES, STUDIES, WHICH, Senders

STEPS = some.sampled_from((*range(8), 0, 5, 5, 6, 6))
"""Of the path without a package; the sixth publishes, the seventh ends it."""
BORDERS = some.sampled_from((0, 0, 0, 1, 1, 2))
"""Of a step: after it was asked whether the attempt is wanted, and after each transaction of its work."""
ROUND_BORDERS = some.integers(0, 6)
DRAIN_ROUNDS = 12


class Simulation(Senders):
    """What happens to a few studies, in any order."""

    def teardown(self) -> None:
        try:
            self._drain()
        finally:
            self.life.closing.close()

    # ------------------------------------------------------------ what may happen

    @precondition(lambda self: self.expected.studies)
    @rule(which=IMAGES, looks=some.booleans())
    def time_passes_to_a_border(self, which: int, looks: bool) -> None:
        """To the very moment at which a study is due or an attempt can be missed."""
        moments = self.expected.missed_after() | {study.due_at for study in self.expected.studies.values()}
        later = sorted(moment for moment in moments if moment > self.clock())
        if later:
            self.clock.advance(later[which % len(later)] - self.clock())
        if looks:
            self.worker_reconciles()
            self.worker_looks_round(None)

    @precondition(lambda self: self.expected.studies)
    @rule()
    def a_quiet_minute_passes(self) -> None:
        self.clock.advance(61)
        self.worker_looks_round(None)

    @precondition(lambda self: self.expected.studies)
    @rule(dies_after=some.none() | some.integers(0, 2))
    def worker_looks_round(self, dies_after: int | None) -> None:
        before = set(self.engine.attempts)
        self.engine.enqueues_left = dies_after
        has_died = True
        with contextlib.suppress(Crash):
            self.rounds.settle_and_queue()
            has_died = False
        self.engine.enqueues_left = None
        for study in self.expected.studies.values():
            study.is_looked_at(self.clock())
        self.expected.check_settled()
        if not has_died:
            self.expected.check_queued(before)

    @precondition(lambda self: self.engine.waiting())
    @rule(which=WHICH, crash_at=STEPS, is_done_first=some.booleans(), goes_on=some.booleans())
    def worker_dies_in_a_step(self, which: int, crash_at: int, is_done_first: bool, goes_on: bool = False) -> None:
        self.life.run(which, crash_at=crash_at, is_done_first=is_done_first)
        if goes_on and self.engine.waiting():
            self.every_study_is_in_one_state_that_its_rows_bear_out()
            self.clock.advance(10)
            self.life.run(which)

    @precondition(lambda self: self.engine.waiting())
    @rule(which=WHICH, fail_at=STEPS)
    def a_step_fails_for_good(self, which: int, fail_at: int) -> None:
        self.life.run(which, fail_at=fail_at)

    @precondition(lambda self: self.engine.waiting())
    @rule(which=WHICH)
    def worker_finishes_one(self, which: int) -> None:
        self.life.run(which)

    @precondition(lambda self: self.expected.studies)
    @rule(
        which=WHICH,
        step=STEPS,
        border=BORDERS,
        what=some.sampled_from(("restart", "begin", "cancel", "cancel", "image", "overtake")),
        image=IMAGES,
    )
    def others_step_in_while_it_is_scored(self, which: int, step: int, border: int, what: str, image: int) -> None:
        """Between two transactions of a step another process writes."""
        if not self._is_at_work():
            return
        attempt = self.life.waiting(which)
        study = self.expected.study_of(attempt)
        deed: Callable[[], None]
        if what == "begin":
            deed = functools.partial(self.life.restart_and_begin, attempt)
        elif what == "image":
            deed = functools.partial(self.life.arrive, self.tables.elsewhere, Image(study, image))
        elif what == "overtake":
            deed = functools.partial(self.life.overtake, study, image)
        else:
            deed = functools.partial(self.life.step_in, self.tables.elsewhere, study, restarts=what == "restart")
        with self.between.within():
            self.life.run(which, meanwhile=(step, functools.partial(self.between.wait, border, deed)))

    @precondition(lambda self: self.engine.waiting())
    @rule(which=WHICH, how=some.sampled_from((State.DEAD, State.DONE, State.CANCELED, None)), is_missed=some.booleans())
    def engine_gives_up_or_forgets(self, which: int, how: State | None, is_missed: bool) -> None:
        attempt = self.life.waiting(which)
        if how is None:
            self.engine.forget([attempt])
        else:
            self.engine.attempts[attempt] = how
        if is_missed:
            self.clock.advance(31)
            self.worker_reconciles()

    @precondition(lambda self: self.engine.waiting())
    @rule(which=WHICH, image=IMAGES, gives_up=some.booleans())
    def a_later_image_overtakes(self, which: int, image: int, gives_up: bool) -> None:
        """While a revision waits the next one of its study settles; the engine may give the old one up."""
        attempt = self.life.waiting(which)
        self.life.arrive(self.tables.here, Image(self.expected.study_of(attempt), image))
        self.a_quiet_minute_passes()
        if gives_up and self.engine.attempts.get(attempt) is State.WAITING:
            self.engine.attempts[attempt] = State.DEAD

    @precondition(lambda self: self.engine.waiting())
    @rule(which=WHICH, is_dead=some.booleans(), then=some.sampled_from(("nothing", "look", "cancel")))
    def operator_restarts_what_the_engine_has(self, which: int, is_dead: bool, then: str) -> None:
        """What waits there, or what it has just given up, is scored anew; or not, on second thoughts."""
        attempt = self.life.waiting(which)
        if is_dead:
            self.engine.attempts[attempt] = State.DEAD
        self.life.step_in(self.tables.here, self.expected.study_of(attempt), restarts=True)
        if then == "cancel":
            self.life.step_in(self.tables.here, self.expected.study_of(attempt), restarts=False)
        if then != "nothing":
            self.worker_looks_round(None)

    @precondition(lambda self: self.expected.arrivals.kept)
    @rule(which=IMAGES)
    def a_stored_file_is_damaged(self, which: int) -> None:
        self.life.damage(which)

    @precondition(lambda self: self.expected.arrivals.kept)
    @rule(which=IMAGES, is_sent_again=some.booleans())
    def operator_has_a_study_scored_again_after_damage(self, which: int, is_sent_again: bool) -> None:
        image, content = self.life.damage(which)
        self._worker_scores_all()
        if is_sent_again:
            self.life.arrive(self.tables.here, image, content=content)
        self.life.step_in(self.tables.here, image.study, restarts=True)
        self._worker_scores_all()

    @rule()
    def operator_puts_things_right(self) -> None:
        self.life.put_right()

    @precondition(lambda self: self.engine.attempts)
    @rule(
        study=STUDIES,
        border=ROUND_BORDERS,
        restarts=some.booleans(),
        before=some.sampled_from(("nothing", "quiet", "restarted", "forgotten")),
    )
    def operator_steps_in_while_a_worker_looks_after_things(
        self, study: int, border: int, restarts: bool, before: str
    ) -> None:
        """Between two transactions of the rounds, which may just have found something to do."""
        if before == "quiet":
            self.clock.advance(61)
        elif before == "restarted":
            self.life.step_in(self.tables.here, study, restarts=True)
        elif before == "forgotten" and self._is_at_work():
            self.clock.advance(31)
            self.engine.forget(self.engine.waiting())
        studies = sorted(self.expected.studies)
        deed = functools.partial(
            self.life.step_in, self.tables.elsewhere, studies[study % len(studies)], restarts=restarts
        )
        with self.between.within():
            self.between.wait(border, deed)
            self.rounds.settle_and_queue()
            self.rounds.tell_canceled()
            self.rounds.reconcile()
        for known in self.expected.studies.values():
            known.is_looked_at(self.clock())
        self.worker_looks_round(None)

    @precondition(lambda self: self.engine.attempts)
    @rule()
    def worker_reconciles(self) -> None:
        before = dict(self.engine.attempts)
        self.rounds.tell_canceled()
        self.expected.check_told(before)
        with self.expected.reconciled():
            self.rounds.reconcile()

    @precondition(lambda self: self.expected.studies)
    @rule(study=STUDIES, restarts=some.booleans(), is_told=some.booleans())
    def operator_steps_in(self, study: int, restarts: bool, is_told: bool) -> None:
        """A restart or a cancelation, of which the engine may hear at once."""
        self.life.step_in(self.tables.here, study, restarts=restarts)
        if is_told:
            self.worker_reconciles()

    def _is_at_work(self) -> bool:
        """Have everything scored again where nothing waits; tell whether anything does now."""
        if not self.engine.waiting():
            for study in self.expected.studies:
                self.life.step_in(self.tables.here, study, restarts=True)
            self.worker_looks_round(None)
        return bool(self.engine.waiting())

    def _worker_scores_all(self) -> None:
        """Give the engine what waits, and walk everything that it has."""
        self.worker_looks_round(None)
        for _ in self.engine.waiting():
            self.life.run(0)

    # ------------------------------------------------------------ what must hold

    @invariant()
    def nothing_acknowledged_is_lost(self) -> None:
        self.expected.arrivals.check()

    @invariant()
    def every_study_is_in_one_state_that_its_rows_bear_out(self) -> None:
        self.expected.check_studies()

    def _drain(self) -> None:
        """When nothing more comes, every study ends, and the engine has nothing left."""
        self.clock.advance(self.set_back_s)  # what was noted before a clock went back is old when it comes there again
        for _ in range(DRAIN_ROUNDS):
            self.clock.advance(2_000)
            self._worker_scores_all()
            self.rounds.tell_canceled()
            self.rounds.reconcile()
            self.every_study_is_in_one_state_that_its_rows_bear_out()
        self.nothing_acknowledged_is_lost()
        self.expected.check_ended()


def simulate(number: int, *, runs: int, steps: int, explains: bool = True) -> None:
    """Run so many simulations of a seed. Raises what broke; with `explains` the fewest steps that lead to it."""
    phases = (Phase.generate, Phase.shrink) if explains else (Phase.generate,)
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        seed(number)(Simulation),
        settings=settings(
            max_examples=runs, stateful_step_count=steps, database=None, deadline=None, print_blob=True,
            phases=phases, suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip
