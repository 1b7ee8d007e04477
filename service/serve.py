"""Runs the service: one process for the web, one for DICOM, one for the work, and a parent that keeps them up."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from service.access import public_address
from service.logs import start_logs
from service.settings import Settings
from service.startup import (
    EXIT_CONFIGURATION,
    PARTS,
    READY_LINE,
    SUPERVISED,
    Part,
    check_settings,
    first_sign_in_link,
    forget_process,
    leave_no_metrics,
    metrics_environment,
    prepare_tables,
)

log = logging.getLogger("pandok.serve")

LONGEST_BACK_OFF_S = 30.0
STEADY_S = 10.0
"""A child that ran this long starts with a short wait again."""
POLL_S = 0.1


@dataclass(slots=True)
class Child:
    """One supervised process and when it may start again."""

    part: Part
    process: subprocess.Popen[bytes] | None = None
    is_ready: threading.Event = field(default_factory=threading.Event)
    started_at: float = 0.0
    start_at: float = 0.0
    back_off_s: float = 1.0


class Supervisor:
    """Starts the parts, starts a dead one again with growing waits, and stops all when told.

    Args:
        parts: Which parts to run.
        settings: For how long a stop may take.
        on_ready: Called once, when every part has said that it is ready.
        monotonic: Seconds that only grow.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        settings: Settings,
        *,
        on_ready: Callable[[], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._children = [Child(part) for part in parts]
        self._shutdown_s = settings.shutdown_s
        self._on_ready = on_ready
        self._monotonic = monotonic
        self._stop = threading.Event()
        self._told_ready = False

    def stop(self) -> None:
        """Let `run` end; may be called from a signal handler."""
        self._stop.set()

    def run(self) -> int:
        """Run until stopped; returns the exit status: 0, or that of a part that can never start."""
        status = 0
        try:
            while not self._stop.is_set() and status == 0:
                status = self._look()
                self._stop.wait(POLL_S)
        finally:
            self._end_children()
        return status

    def _look(self) -> int:
        for child in self._children:
            if child.process is None:
                if self._monotonic() >= child.start_at:
                    self._start(child)
            elif (code := child.process.poll()) is not None:
                self._bury(child, code)
                if code == EXIT_CONFIGURATION:
                    return code
        if not self._told_ready and all(child.is_ready.is_set() for child in self._children):
            self._told_ready = True
            self._on_ready()
        return 0

    def _start(self, child: Child) -> None:
        command = [sys.executable, "-m", "service.serve", child.part, SUPERVISED]
        # Standard input is the lifeline: it ends when this process ends, however that happens.
        child.process = subprocess.Popen(  # noqa: S603 - our own program
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        child.started_at = self._monotonic()
        child.is_ready = threading.Event()
        threading.Thread(target=_hear, args=(child.process, child.is_ready), daemon=True).start()
        log.info("part started", extra={"part": child.part, "pid": child.process.pid})

    def _bury(self, child: Child, code: int) -> None:
        """Note a death and when the part starts again."""
        assert child.process is not None  # noqa: S101 - narrows for mypy; the caller looked
        _close(child.process)
        forget_process(child.process.pid)
        if self._monotonic() - child.started_at >= STEADY_S:
            child.back_off_s = 1.0
        child.process = None
        child.start_at = self._monotonic() + child.back_off_s
        log.error("part died", extra={"part": child.part, "status": code, "back_off_s": child.back_off_s})
        child.back_off_s = min(child.back_off_s * 2, LONGEST_BACK_OFF_S)

    def _end_children(self) -> None:
        running = [child.process for child in self._children if child.process is not None]
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + self._shutdown_s + 2.0
        for process in running:
            try:
                process.wait(max(deadline - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                log.error("part did not stop in time", extra={"pid": process.pid})  # noqa: TRY400 - no stack to show
                process.kill()
                process.wait()
            _close(process)
            forget_process(process.pid)


def serve(settings: Settings, parts: Sequence[Part], *, say: Callable[[str], None]) -> int:
    """Bring the tables up to date, then run the parts until SIGTERM or SIGINT; returns the exit status.

    Raises:
        CannotStart: What an operator must change first.
    """
    start_logs(settings.log_level)
    check_settings(settings)
    prepare_tables(settings)
    os.environ.update(metrics_environment(settings))

    def on_ready() -> None:
        title, dicom = settings.dicom_ae_title, f"{settings.dicom_host}:{settings.dicom_port}"
        say(f"Pandok serves {public_address(settings)}/ and takes DICOM as {title} at {dicom}.")
        if link := first_sign_in_link(settings):
            say(f"Sign in once, within 15 minutes: {link}")

    supervisor = Supervisor(parts, settings, on_ready=on_ready)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: supervisor.stop())
    try:
        return supervisor.run()
    finally:
        if set(parts) == set(PARTS):  # where parts run by themselves, another one may be starting in that folder
            leave_no_metrics(settings)


def _hear(process: subprocess.Popen[bytes], is_ready: threading.Event) -> None:
    assert process.stdout is not None  # noqa: S101 - asked for when it was started
    with contextlib.suppress(OSError, ValueError):  # closed while we read: the process is being buried
        for line in process.stdout:
            if line == READY_LINE:
                is_ready.set()


def _close(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()


if __name__ == "__main__":
    from service.parts import main  # a part, not the parent: it needs what the parent does not load

    sys.exit(main(sys.argv[1:]))
