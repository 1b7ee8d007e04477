"""The DICOM listener: its sockets, its caps, its deadlines, and an orderly stop (RELIABILITY 5.9 and 5.14)."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from service.database import Database
from service.intake.dimse.association import Association, Parts
from service.intake.dimse.callers import Callers
from service.intake.dimse.connection import CLOSE_TIMEOUT_S, Connection, End, Patience
from service.intake.dimse.guests import Guest, Guests
from service.intake.dimse.pdus import HEADER_BYTES
from service.intake.dimse.reports import take_checked
from service.intake.dimse.seats import Seats
from service.intake.dimse.tls import TlsDoor, why_refused
from service.intake.receive import Intake
from service.intake.settling import StudyKey, put_off, settles_soon
from service.metrics import ASSOCIATIONS_REJECTED_TOTAL
from service.settings import Settings

log = logging.getLogger("pandok.intake.dimse")

QUIET_BEFORE_STOP_S = 1.0
"""A stopping service waits for an association only while it sends; between messages this long is the end of it."""
LAST_COMMITS_S = 10.0
"""How long instances that are already whole may take to become durable after everything else was cut."""
UNNAMED = "(unnamed)"
"""A peer whose TLS handshake fails has told no AE title."""
PUT_OFF_S = 5.0
"""So long after its last sign an association that broke off inside an image still keeps its study from settling."""
_BACKLOG = 256
_CHECK_S = 1.0
_ACCEPT_AGAIN_S = 0.2
"""After a failed accept: out of descriptors, most likely, which others must give back first."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the listener really listens; None is no such listener."""

    plain: int | None
    tls: int | None


async def run_listener(
    settings: Settings,
    database: Database,
    intake: Intake,
    *,
    ready: Callable[[Ports], None],
    stop: asyncio.Event,
    clock: Callable[[], float] = time.time,
    reuse_port: bool = False,
) -> None:
    """Listen until told to stop, then let senders finish.

    Args:
        settings: Ports, AE title, TLS files and limits.
        database: Our tables: who may call.
        intake: Started; where instances go.
        ready: Called once with the ports, after the sockets listen.
        stop: Set to stop.
        clock: Seconds since 1970 UTC, as the other parts count them.
        reuse_port: Share the ports with other listener processes (SO_REUSEPORT).
    """
    listener = Listener(settings, database, intake, clock)
    stopping = asyncio.create_task(stop.wait())
    try:
        ready(listener.open(reuse_port=reuse_port))
        await asyncio.wait({stopping, *listener.standing}, return_when=asyncio.FIRST_COMPLETED)
        for failed in (task for task in listener.standing if task.done()):
            failed.result()  # raises: without deadlines, or deaf, the process must not go on
        await listener.stop()
    finally:
        stopping.cancel()
        await listener.close()


class Listener:
    """Accepts connections, gives each a task, and ends those that are late.

    Args:
        settings: Ports, AE title, TLS files and limits.
        database: Our tables.
        intake: Where instances go.
        clock: Seconds since 1970 UTC.
    """

    def __init__(self, settings: Settings, database: Database, intake: Intake, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._patience = Patience(
            first_pdu_s=settings.first_pdu_timeout_s,
            idle_s=settings.association_idle_timeout_s,
            slow_window_s=settings.slow_rate_window_s,
            slow_rate_bytes_per_s=settings.slow_rate_bytes_per_s,
        )
        self._is_stopping = False
        self._callers = Callers(database, clock)
        self._intake = intake
        self._parts = Parts(
            settings,
            self._callers,
            intake,
            Seats(total=self._share(settings.max_associations), each=settings.max_associations_per_peer),
            lambda: self._is_stopping,
        )
        self._guests = Guests(
            Seats(total=self._share(settings.max_connections), each=settings.max_connections_per_address)
        )
        self._connections: dict[Connection, Association] = {}
        self._sockets: list[socket.socket] = []
        self._tls: TlsDoor | None = None
        self.standing: list[asyncio.Task[None]] = []
        """Tasks that end only with the listener."""

    def _share(self, total: int) -> int:
        """Return this process's part of what the listeners of a machine may have together, rounded up.

        The system spreads connections by their addresses, not evenly: an honest sender may find all of its own in one
        process, so that what one origin may have is not divided.
        """
        return -(-total // self._settings.dicom_processes)

    def open(self, *, reuse_port: bool) -> Ports:
        """Listen; raises when a port or a TLS file cannot be used, or nothing is to listen."""
        settings = self._settings
        plain = tls = None
        if settings.dicom_plain:
            plain = self._listen(settings.dicom_port, None, reuse_port=reuse_port)
        if settings.dicom_tls_port is not None:
            self._tls = TlsDoor(settings)
            tls = self._listen(settings.dicom_tls_port, self._tls, reuse_port=reuse_port)
        if plain is None and tls is None:
            raise ValueError("neither a plain nor a TLS DICOM port is set")
        self.standing.append(asyncio.create_task(self._check_for_ever()))
        return Ports(plain, tls)

    def _listen(self, port: int, door: TlsDoor | None, *, reuse_port: bool) -> int:
        host = self._settings.dicom_host
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, backlog=_BACKLOG, reuse_port=reuse_port)
        listening.setblocking(False)
        self._sockets.append(listening)
        self.standing.append(asyncio.create_task(self._accept_for_ever(listening, door)))
        return int(listening.getsockname()[1])

    async def _accept_for_ever(self, listening: socket.socket, door: TlsDoor | None) -> None:
        """Take connections while there are seats. TLS begins only with a seat, in a task of its own."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(0)  # a flood of connections may not keep the others waiting
            try:
                accepted, address = await loop.sock_accept(listening)
            except OSError as failure:
                log.warning("connection not accepted", extra={"errno": failure.errno})
                await asyncio.sleep(_ACCEPT_AGAIN_S)
                continue
            guest = self._guests.admit(address[0])
            if guest is None:
                accepted.close()
            else:
                self._guests.note(guest, asyncio.create_task(self._serve(accepted, guest, door)))

    async def _serve(self, accepted: socket.socket, guest: Guest, door: TlsDoor | None) -> None:
        connection = Connection(
            guest.address, self._patience, buffer_bytes=self._settings.max_associate_rq_bytes + HEADER_BYTES
        )
        try:
            if await self._connect(connection, accepted, door):
                guest.association = Association(connection, self._parts)
                self._connections[connection] = guest.association
                await guest.association.run()
                await connection.lost()
        finally:
            connection.cut(End.CLOSED)
            self._connections.pop(connection, None)
            self._guests.leave(guest)

    async def _connect(self, connection: Connection, accepted: socket.socket, door: TlsDoor | None) -> bool:
        """Join connection and socket, over TLS after the handshake. False when there is none, in time."""
        is_tls = door is not None
        try:
            # Every response is one small write that the peer waits for.
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection,
                accepted,
                ssl=door.context if door is not None else None,
                ssl_handshake_timeout=self._settings.tls_handshake_timeout_s if is_tls else None,
                ssl_shutdown_timeout=CLOSE_TIMEOUT_S if is_tls else None,
            )
        except OSError as failure:  # ssl.SSLError is one, and so is a handshake out of time
            why = why_refused(failure)
            ASSOCIATIONS_REJECTED_TOTAL.labels(reason=why.value if why else "tls_handshake").inc()
            if why is not None:
                self._callers.note(why, ae_title=UNNAMED, address=connection.address)
            log.warning("TLS not agreed", extra={"reason": why.value if why else type(failure).__name__})
            accepted.close()
            return False
        except asyncio.CancelledError:
            accepted.close()
            raise
        return connection.is_made

    async def _check_for_ever(self) -> None:
        """End whoever is late, and write down who called in vain."""
        loop = asyncio.get_running_loop()
        deadlines = (self._patience.first_pdu_s, self._patience.idle_s, self._patience.slow_window_s)
        while True:
            await asyncio.sleep(min(_CHECK_S, *(deadline / 4 for deadline in deadlines)))
            now = loop.time()
            for connection in list(self._connections):
                end = connection.check(now)
                if end is None and self._is_stopping and connection.is_quiet(now, for_s=QUIET_BEFORE_STOP_S):
                    end = End.STOPPING
                if end is not None:
                    connection.expire(end)
            if self._tls is not None:
                self._tls.refresh()
            # Asked here, in a thread, so that no association waits for the tables or the file system.
            await asyncio.to_thread(
                self._look, {key for each in self._connections.values() if (key := each.study_under_way)}
            )
            await self._report()
            await self._callers.write()

    def _look(self, under_way: Collection[StudyKey]) -> None:
        """Measure the pressure, and let no study settle while its next image is on the wire."""
        try:
            self._intake.pressure(fresh_s=_CHECK_S)
            if not under_way:
                return
            now, database = self._callers.clock(), self._callers.database
            with database.reading() as rx:
                soon = settles_soon(rx, under_way, before=now + PUT_OFF_S / 2)
            if soon:
                with database.transaction() as tx:
                    put_off(tx, soon, until=now + PUT_OFF_S, partial_after_s=self._settings.partial_after_s)
        except (SQLAlchemyError, OSError) as failure:  # asked again in a second
            log.warning("pressure not known", extra={"error": type(failure).__name__})

    async def _report(self) -> None:
        """Tell outcomes of storage commitment to peers that wait for them on their own associations."""
        loop = asyncio.get_running_loop()
        waiting = {one: each for each in self._connections.values() for one in each.open_reports(loop.time())}
        if not waiting:
            return
        for commitment in await asyncio.to_thread(
            take_checked, self._callers.database, self._callers.clock, list(waiting)
        ):
            if commitment.id in waiting[commitment.id].open_reports(loop.time()):
                waiting[commitment.id].report(commitment)

    async def stop(self) -> None:
        """Turn new associations away, let the others finish for a while, then end them."""
        self._is_stopping = True
        log.info("listener stopping", extra={"connections": len(self._connections)})
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + self._settings.shutdown_s
        while self._guests.tasks and (left_s := give_up_at - loop.time()) > 0:
            await asyncio.wait(self._guests.tasks, timeout=left_s)

    async def close(self) -> None:
        """Close the sockets and cut what is left; instances that are whole still become durable."""
        for task in self.standing:
            task.cancel()
        await asyncio.gather(*self.standing, return_exceptions=True)
        for listening in self._sockets:
            listening.close()
        for connection in list(self._connections):
            connection.expire(End.STOPPING)
        if self._guests.tasks:
            await asyncio.wait(self._guests.tasks, timeout=LAST_COMMITS_S)
        for connection in list(self._connections):
            connection.cut(End.STOPPING)
        await self._callers.write()
