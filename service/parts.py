"""The three parts as they run in their own process: web, listener, worker."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator

import uvicorn
import uvloop

from service.archive import Archive
from service.clock import SteadyClock, open_clock
from service.database import Database
from service.health import LISTENER_BEAT_S, forget_silent, write_beat
from service.inference.forked import ForkServer
from service.intake.receive import Intake
from service.logs import start_logs
from service.memory import give_back, keep_little
from service.part import EXIT_CONFIGURATION, READY_LINE, CannotStart, Part
from service.receiving import make_intake
from service.settings import Settings
from service.startup import check_settings

log = logging.getLogger("pandok.serve")

Ready = Callable[[], None]

ORPHAN_S = 2.0
"""How long a part outlives its parent: the next parent wants its ports. What was acknowledged stands all the same."""

GIVE_BACK_S = 30.0
"""How often a part gives free memory back."""


class WebServer(uvicorn.Server):
    """uvicorn, stopped by us: it would end with the signal's own exit status and wait for open event streams."""

    def __init__(self, config: uvicorn.Config, ready: Ready, stopping: threading.Event) -> None:
        super().__init__(config)
        self._ready = ready
        self._stopping = stopping

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take SIGTERM and SIGINT as a wish to stop."""
        with stop_on_signal(self._stop):
            yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Say that we are ready once the port is open."""
        await super().startup(sockets)
        if self.started:
            self._ready()

    def _stop(self) -> None:
        self._stopping.set()
        self.should_exit = True


def run_web(settings: Settings, ready: Ready) -> None:
    """Serve HTTP until a signal."""
    from service.app import create_app  # each part loads its own rooms only: sooner up, and smaller
    from service.web_protocol import GuardedProtocol

    app = create_app(settings, clock=open_clock(settings.clock_file))
    config = uvicorn.Config(
        app,
        host=settings.web_host,
        port=settings.web_port,
        loop="uvloop",
        http=GuardedProtocol,
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=int(settings.shutdown_s),
        ssl_certfile=settings.web_certificate,
        ssl_keyfile=settings.web_key,
    )
    server = WebServer(config, ready, app.state.stopping)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(server.serve())
    if not server.started:
        raise OSError("the web server could not open its port")


def run_listener(settings: Settings, ready: Ready) -> None:
    """Take DICOM associations until a signal."""
    database = Database(settings.sqlalchemy_url)
    clock = open_clock(settings.clock_file)
    intake = make_intake(settings, database, Archive(settings.archive_folder), clock)
    intake.start()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_listen(settings, database, intake, clock, ready))
    finally:
        intake.stop()
        database.close()


async def _listen(settings: Settings, database: Database, intake: Intake, clock: SteadyClock, ready: Ready) -> None:
    from service.intake.dimse.listener import run_listener as listen

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def on_ready(_ports: object) -> None:
        forget_silent(settings, clock())
        _beat(settings, intake, clock)
        ready()

    beating = asyncio.create_task(_keep_beating(settings, intake, clock))
    try:
        is_one_of_several = settings.dicom_processes > 1
        await listen(settings, database, intake, ready=on_ready, stop=stop, clock=clock, reuse_port=is_one_of_several)
    finally:
        beating.cancel()


async def _keep_beating(settings: Settings, intake: Intake, clock: SteadyClock) -> None:
    """Show that the listener's loop turns: a stuck one stops writing, and `/ready` tells."""
    while True:
        await asyncio.sleep(LISTENER_BEAT_S)
        _beat(settings, intake, clock)


def _beat(settings: Settings, intake: Intake, clock: SteadyClock) -> None:
    try:
        write_beat(settings, clock(), takes_instances=intake.has_room())
    except OSError as error:
        log.warning("heartbeat not written", extra={"errno": error.errno})


def run_worker(settings: Settings, ready: Ready, server: ForkServer | None = None) -> None:
    """Take durable jobs until a signal."""
    from service import worker

    stop = threading.Event()
    with stop_on_signal(stop.set):
        worker.run_worker(settings, stop, ready, server=server)


def run_part(part: Part, settings: Settings, server: ForkServer | None = None) -> int:
    """Run one part in this process until SIGTERM, SIGINT or the parent's end; returns the exit status."""
    start_logs(settings.log_level)
    keep_little()
    try:
        check_settings(settings)
        if part == "worker":
            run_worker(settings, _say_ready, server)
        else:
            {"web": run_web, "listener": run_listener}[part](settings, _say_ready)
    except CannotStart as why:
        print(f"pandok {part}: {why}", file=sys.stderr)  # noqa: T201 - for the operator who started it
        return EXIT_CONFIGURATION
    except Exception:  # start-up and the last resort: the parent starts a fresh process
        log.exception("part failed", extra={"part": part})
        return 1
    return 0


def follow_parent() -> None:
    """Stop when the parent is gone: its end of our standard input closes, even when it was killed.

    Meanwhile free memory is given back now and then.
    """

    def wait() -> None:
        with contextlib.suppress(OSError):
            while True:
                is_heard, _, _ = select.select([0], [], [], GIVE_BACK_S)
                if not is_heard:
                    give_back()
                elif not os.read(0, 1024):
                    break
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(ORPHAN_S)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


@contextlib.contextmanager
def stop_on_signal(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` on SIGTERM and SIGINT inside the block."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, lambda _number, _frame: stop()) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say_ready() -> None:
    with contextlib.suppress(OSError):
        os.write(1, READY_LINE)
    gc.collect()
    gc.freeze()  # what was loaded stays: the collector need not stop the part to look at it again
    gc.enable()
    give_back()


def main(part: Part, settings: Settings, server: ForkServer | None) -> int:
    """Run one part in a process that the parent forked for it; returns the exit status."""
    gc.disable()  # until it is ready: what loads is not garbage
    follow_parent()
    return run_part(part, settings, server)
