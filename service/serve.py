"""Runs the service: one process for the web, one for DICOM, one for the work, and a parent that keeps them up.

The parent loads what several parts need and forks them, so that it stands in memory once, and a part that died is back
at once. What only one part needs that part loads, beside the others. The parent runs no thread, so that nothing is lost
in a fork.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from setproctitle import setproctitle

from service.access import public_address
from service.clock import forget_clock
from service.inference.forked import ForkServer
from service.logs import start_logs
from service.part import EXIT_CONFIGURATION, PARTS, READY_LINE, Part
from service.settings import Settings
from service.startup import (
    check_settings,
    first_sign_in_link,
    forget_process,
    leave_no_metrics,
    metrics_environment,
    prepare_tables,
)

log = logging.getLogger("pandok.serve")

FIRST_BACK_OFF_S = 1.0
LONGEST_BACK_OFF_S = 30.0
STEADY_S = 10.0
"""A child that ran this long starts without a wait again."""
POLL_S = 0.05

_ORDER: Final[Sequence[Part]] = ("worker", "web", "listener")
"""Whoever takes longest to be ready starts first."""


@dataclass(slots=True)
class Child:
    """One supervised process and when it may start again."""

    part: Part
    pid: int | None = None
    lifeline: int = -1
    """Our end of its standard input, which ends when this process ends, however that happens."""
    says: int = -1
    """Our end of its standard output."""
    is_ready: bool = False
    started_at: float = 0.0
    start_at: float = 0.0
    back_off_s: float = 0.0
    """What it waits after its next death: nothing after the first one, since whoever sends waits as well."""

    def hear(self) -> None:
        """Take what it said since."""
        with contextlib.suppress(BlockingIOError):
            self.is_ready = self.is_ready or READY_LINE in os.read(self.says, 4096)

    def close(self) -> None:
        """Close our ends of its pipes."""
        for descriptor in (self.lifeline, self.says):
            if descriptor >= 0:
                os.close(descriptor)
        self.lifeline = self.says = -1


class Supervisor:
    """Starts the parts, starts a dead one again with growing waits, and stops all when told.

    Args:
        parts: Which parts to run.
        settings: How many listeners and workers there are, and for how long a stop may take.
        server: Started already; forks the first worker's children.
        on_ready: Called once, when every part has said that it is ready.
        monotonic: Seconds that only grow.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        settings: Settings,
        *,
        server: ForkServer,
        on_ready: Callable[[], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        several = {"listener": settings.dicom_processes, "worker": settings.worker_processes}
        self._children = [Child(part) for part in _ORDER if part in parts for _ in range(several.get(part, 1))]
        self._first_worker = next((child for child in self._children if child.part == "worker"), None)
        self._settings = settings
        self._server = server
        self._on_ready = on_ready
        self._monotonic = monotonic
        self._is_stopping = False
        self._told_ready = False

    def stop(self) -> None:
        """Let `run` end; may be called from a signal handler."""
        self._is_stopping = True

    def run(self) -> int:
        """Run until stopped; returns the exit status: 0, or that of a part that can never start."""
        status = 0
        try:
            while not self._is_stopping and status == 0:
                status = self._look()
                time.sleep(POLL_S)
        finally:
            self._end_children()
        return status

    def _look(self) -> int:
        self._server.reap()
        for child in self._children:
            if child.pid is None:
                if self._monotonic() >= child.start_at:
                    self._start(child)
                continue
            child.hear()
            if (code := _ended(child.pid)) is not None:
                self._bury(child, code)
                if code == EXIT_CONFIGURATION:
                    return code
        if not self._told_ready and all(child.is_ready for child in self._children):
            self._told_ready = True
            self._on_ready()
        return 0

    def _start(self, child: Child) -> None:
        hears, child.lifeline = os.pipe()
        child.says, speaks = os.pipe()
        os.set_blocking(child.says, False)
        child.started_at, child.is_ready = self._monotonic(), False
        server = self._server if child is self._first_worker else None
        if (pid := os.fork()) == 0:
            self._be(child.part, hears, speaks, server)
        os.close(hears)
        os.close(speaks)
        child.pid = pid
        if server is not None:
            server.let_go()
        log.info("part started", extra={"part": child.part, "pid": pid})

    def _be(self, part: Part, hears: int, speaks: int, server: ForkServer | None) -> None:
        """Be a part, in the forked process, which ends here."""
        code = 1
        try:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            os.dup2(hears, 0)
            os.dup2(speaks, 1)
            os.close(hears)
            os.close(speaks)
            for other in self._children:  # a lifeline that a brother holds too would never end
                other.close()
            setproctitle(f"pandok {part}")
            from service.parts import main  # loaded before the fork, after the metrics have their folder

            code = main(part, self._settings, server)
        finally:
            with contextlib.suppress(OSError):
                sys.stderr.flush()
            os._exit(code)

    def _bury(self, child: Child, code: int) -> None:
        """Note a death and when the part starts again."""
        assert child.pid is not None  # noqa: S101 - narrows for mypy; the caller looked
        child.close()
        forget_process(child.pid)
        if self._monotonic() - child.started_at >= STEADY_S:
            child.back_off_s = 0.0
        if not child.is_ready:  # what stood in its way may still be there, such as a port that another one holds
            child.back_off_s = max(FIRST_BACK_OFF_S, child.back_off_s)
        child.pid = None
        child.start_at = self._monotonic() + child.back_off_s
        log.error("part died", extra={"part": child.part, "status": code, "back_off_s": child.back_off_s})
        child.back_off_s = min(max(FIRST_BACK_OFF_S, child.back_off_s * 2), LONGEST_BACK_OFF_S)

    def _end_children(self) -> None:
        running = {child.pid: child for child in self._children if child.pid is not None}
        for pid in running:
            os.kill(pid, signal.SIGTERM)  # not yet waited for, so the number is still its own
        deadline = time.monotonic() + self._settings.shutdown_s + 2.0
        while running:
            for pid, child in list(running.items()):
                if _ended(pid) is not None:
                    child.close()
                    forget_process(pid)
                    del running[pid]
                elif time.monotonic() > deadline:
                    log.error("part did not stop in time", extra={"pid": pid})
                    os.kill(pid, signal.SIGKILL)
            time.sleep(POLL_S)


def _ended(pid: int) -> int | None:
    """Return the exit status of a child that has ended, negative for a signal; None while it runs."""
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def serve(settings: Settings, parts: Sequence[Part], server: ForkServer, *, say: Callable[[str], None]) -> int:
    """Bring the tables up to date, then run the parts until SIGTERM or SIGINT; returns the exit status.

    Args:
        settings: The installation's settings.
        parts: Which parts to run.
        server: For the worker's children, started while this program loads.
        say: Tells the operator something.

    Raises:
        CannotStart: What an operator must change first.
    """
    start_logs(settings.log_level)
    check_settings(settings)
    prepare_tables(settings)
    if set(parts) == set(PARTS):  # nothing of the service runs yet: the machine's clock is taken as it stands
        forget_clock(settings.clock_file)
    os.environ.update(metrics_environment(settings))
    _load()

    def on_ready() -> None:
        title, dicom = settings.dicom_ae_title, f"{settings.dicom_host}:{settings.dicom_port}"
        say(f"Pandok serves {public_address(settings)}/ and takes DICOM as {title} at {dicom}.")
        if link := first_sign_in_link(settings):
            say(f"Sign in once, within 15 minutes: {link}")

    supervisor = Supervisor(parts, settings, server=server, on_ready=on_ready)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: supervisor.stop())
    try:
        return supervisor.run()
    finally:
        if set(parts) == set(PARTS):  # where parts run by themselves, another one may be starting in that folder
            leave_no_metrics(settings)


def _load() -> None:
    """Load what several parts need."""
    importlib.import_module("service.parts")
    gc.collect()
    gc.freeze()  # the collector would touch, and so copy, every page that parent and children share
    gc.enable()
