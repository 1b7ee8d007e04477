"""A real listener on a temporary folder, and a sender that speaks PDUs by hand."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvloop
from sqlalchemy import insert, select, update

from service import tables
from service.intake.dimse.listener import Ports, run_listener
from tests.factories import Parts, open_parts
from tests.service.intake.dimse.sender import RawSender

LoopFactory = Callable[[], asyncio.AbstractEventLoop]
LOOPS = (uvloop.new_event_loop, asyncio.new_event_loop)
"""The service's own, and the standard one: they differ in when they begin to read and how they shake hands."""

OpenListener = Callable[..., "Listening"]


@dataclass
class Listening:
    """A listener in its own thread, around a service's real parts."""

    parts: Parts
    ports: Ports | None = None
    thread: threading.Thread | None = None
    loop: asyncio.AbstractEventLoop | None = None
    stop_event: asyncio.Event | None = None
    failures: list[BaseException] = field(default_factory=list)

    @property
    def port(self) -> int:
        assert self.ports is not None
        assert self.ports.plain is not None
        return self.ports.plain

    @property
    def tls_port(self) -> int:
        assert self.ports is not None
        assert self.ports.tls is not None
        return self.ports.tls

    def call(self, calling: str = "TESTER", *, called: str = "PANDOK") -> RawSender:
        return RawSender(self.port, calling=calling, called=called)

    def add_peer(self, ae_title: str, network: str = "127.0.0.0/8", **columns: Any) -> None:
        with self.parts.database.transaction() as tx:
            tx.execute(
                insert(tables.dicom_peer).values(
                    site_id=self.parts.site_id, ae_title=ae_title, network=network, created_at=0.0, **columns
                )
            )

    def change_peer(self, ae_title: str, **columns: Any) -> None:
        t = tables.dicom_peer
        with self.parts.database.transaction() as tx:
            tx.execute(update(t).where(t.c.ae_title == ae_title).values(**columns))

    def stored_uids(self) -> set[str]:
        with self.parts.database.reading() as tx:
            return set(tx.execute(select(tables.instance.c.sop_instance_uid)).scalars())

    def problems(self) -> list[Any]:
        with self.parts.database.reading() as tx:
            return list(tx.execute(select(tables.problem).order_by(tables.problem.c.id)))

    def spool_files(self) -> list[Path]:
        return list(self.parts.settings.spool_folder.glob("*.part"))

    def begin_stop(self) -> None:
        assert self.loop is not None
        assert self.stop_event is not None
        if self.thread is not None and not self.thread.is_alive():
            return
        self.loop.call_soon_threadsafe(self.stop_event.set)

    def join(self, timeout_s: float = 30.0) -> None:
        assert self.thread is not None
        self.thread.join(timeout_s)
        assert not self.thread.is_alive()
        assert not self.failures


def start(listening: Listening, loop_factory: LoopFactory) -> None:
    ready: queue.Queue[Ports | None] = queue.Queue()

    async def serve() -> None:
        listening.loop = asyncio.get_running_loop()
        listening.stop_event = asyncio.Event()
        parts = listening.parts
        await run_listener(parts.settings, parts.database, parts.intake, ready=ready.put, stop=listening.stop_event)

    def body() -> None:
        try:
            with asyncio.Runner(loop_factory=loop_factory) as runner:
                runner.run(serve())
        except BaseException as failure:  # noqa: BLE001 - told to the test's thread
            listening.failures.append(failure)
            ready.put(None)

    listening.thread = threading.Thread(target=body)
    listening.thread.start()
    ports = ready.get(timeout=20)
    if ports is None:
        raise listening.failures[0]
    listening.ports = ports


@contextmanager
def listening_on(
    folder: Path, *, loop_factory: LoopFactory = uvloop.new_event_loop, **settings: Any
) -> Iterator[Listening]:
    """Listen on the event loop that the service uses, or on another."""
    wanted = {"dicom_port": 0, "shutdown_s": 5.0, **settings}
    with open_parts(folder, **wanted) as parts:
        listening = Listening(parts)
        listening.add_peer("TESTER")
        start(listening, loop_factory)
        try:
            yield listening
        finally:
            listening.begin_stop()
            listening.join()


@pytest.fixture
def open_listener(tmp_path: Path) -> Iterator[OpenListener]:
    with ExitStack() as stack:

        def opened(**settings: Any) -> Listening:
            folder = tmp_path / f"service{len(list(tmp_path.glob('service*')))}"
            folder.mkdir()
            return stack.enter_context(listening_on(folder, **settings))

        yield opened


@pytest.fixture
def listening(open_listener: OpenListener) -> Listening:
    return open_listener()
