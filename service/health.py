"""Whether the process lives, and whether the whole service can do its work: told apart, and told truly."""

from __future__ import annotations

import json
import logging
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import JSONResponse, Response

from service.access import Caller, may
from service.archive import Archive
from service.database import Database, migration_of, newest_migration
from service.inference import worker_records
from service.intake.pressure import Level
from service.intake.receive import Intake
from service.metrics import CONTENT_TYPE, exposition
from service.roles import Permission
from service.settings import Settings
from service.startup import dicom_alarm

log = logging.getLogger("pandok.health")

WORKER_FRESH_S = 30.0
"""A worker that has not written its heartbeat for this long does not count."""
LISTENER_FRESH_S = 15.0
LISTENER_BEAT_S = 2.0

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold for the service to do its work."""

    ok: bool
    detail: str
    alarms: tuple[str, ...] = ()
    """Loud states that do not stop the service, such as a requested GPU that is missing."""


@dataclass(frozen=True, slots=True)
class Health:
    """Asks every part of the service how it is."""

    settings: Settings
    database: Database
    archive: Archive
    intake: Intake
    clock: Callable[[], float]

    def checks(self) -> dict[str, Check]:
        """Return every check by name."""
        return {
            "database": self._database(),
            "archive": _writable(self.archive.folder),
            "spool": _writable(self.settings.spool_folder),
            "room": self._room(),
            "worker": self._worker(),
            "listener": self._listener(),
        }

    def _database(self) -> Check:
        try:
            with self.database.reading() as rx:
                present = migration_of(rx)
        except SQLAlchemyError as error:
            return Check(False, f"does not answer ({type(error).__name__})")
        newest = newest_migration()
        return Check(present == newest, f"at {present}" if present == newest else f"at {present}, not at {newest}")

    def _room(self) -> Check:
        try:
            pressure, has_room = self.intake.pressure(), self.intake.has_room()
        except OSError as error:
            return Check(False, f"cannot tell (errno {error.errno})")
        if pressure.level < Level.FULL and not has_room:
            return Check(False, "the disk refused to sync: start again when it is mended")
        alarms = (pressure.words,) if pressure.level is not Level.NONE else ()
        return Check(pressure.level < Level.OVERLOADED, pressure.words, alarms)

    def _worker(self) -> Check:
        try:
            with self.database.reading() as rx:
                workers = worker_records.list_fresh(rx, seen_after=self.clock() - WORKER_FRESH_S)
        except SQLAlchemyError as error:
            return Check(False, f"the database does not answer ({type(error).__name__})")
        if not workers:
            return Check(False, f"no worker was seen in the last {WORKER_FRESH_S:.0f} s")
        providers = sorted({provider for provider, _ in workers if provider})
        wanted = self.settings.worker_processes
        few = {f"{len(workers)} of {wanted} workers run"} if len(workers) < wanted else set()
        alarms = tuple(sorted({alarm for _, alarm in workers if alarm} | few))
        return Check(True, f"{len(workers)} seen; scoring on {', '.join(providers) or 'nothing yet'}", alarms)

    def _listener(self) -> Check:
        now, wanted = self.clock(), self.settings.dicom_processes
        beats = read_beats(self.settings)
        if not beats:
            return Check(False, "has not started")
        fresh = [beat for beat in beats if now - beat.at <= LISTENER_FRESH_S]
        age_s = max(now - max(beat.at for beat in beats), 0)
        if not fresh:
            return Check(False, f"last seen {age_s:.0f} s ago")
        if not all(beat.takes_instances for beat in fresh):
            return Check(False, "takes nothing: too little free space, or the disk refused to sync")
        few = f"{len(fresh)} of {wanted} listener processes run" if len(fresh) < wanted else None
        alarms = tuple(alarm for alarm in (dicom_alarm(self.settings), few) if alarm)
        return Check(True, f"last seen {age_s:.0f} s ago", alarms)


@dataclass(frozen=True, slots=True)
class Beat:
    """What the listener last said of itself."""

    at: float
    takes_instances: bool


def write_beat(settings: Settings, now: float, *, takes_instances: bool = True) -> None:
    """Note that this listener's loop runs, and whether it takes instances. Raises OSError when the disk refuses."""
    path = _beats_folder(settings) / f"listener-{os.getpid()}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps({"at": now, "takes_instances": takes_instances}))
    temporary.replace(path)


def read_beats(settings: Settings) -> list[Beat]:
    """Return what each listener process last said."""
    return [beat for path in _beats_folder(settings).glob("listener-*.json") if (beat := _read_beat(path))]


def forget_silent(settings: Settings, now: float) -> None:
    """Remove what listeners said that are long gone."""
    for path in _beats_folder(settings).glob("listener-*.json"):
        beat = _read_beat(path)
        if beat is None or now - beat.at > LISTENER_FRESH_S:
            path.unlink(missing_ok=True)


def _read_beat(path: Path) -> Beat | None:
    try:
        said = json.loads(path.read_text())
        return Beat(float(said["at"]), bool(said["takes_instances"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _beats_folder(settings: Settings) -> Path:
    return settings.data_folder / "run"


def _writable(folder: Path) -> Check:
    """Write and remove a file: permission bits do not tell of a read-only or full disk."""
    probe = folder / f".probe-{secrets.token_hex(8)}"
    try:
        probe.write_bytes(b"pandok")
        probe.unlink()
    except OSError as error:
        return Check(False, f"cannot be written (errno {error.errno})")
    return Check(True, "can be written")


@router.get("/live", tags=["operate"])
def live() -> dict[str, str]:
    """Tell that this process runs; the one thing a stranger may ask."""
    return {"status": "alive"}


@router.get("/ready", tags=["operate"], responses={503: {"description": "Not ready: what is wrong."}})
def ready(
    request: Request, _who: Annotated[Caller, Depends(may(Permission.SEE_PROBLEMS, Permission.SEE_METRICS))]
) -> Response:
    """Tell whether studies can come in, be scored and be listed: 200, or 503 with what is wrong."""
    started = time.perf_counter()
    checks = request.app.state.health.checks()
    is_ready = all(check.ok for check in checks.values())
    alarms = [alarm for check in checks.values() for alarm in check.alarms]
    status = "not ready" if not is_ready else "alarm" if alarms else "ready"
    if not is_ready:
        failed = sum(not check.ok for check in checks.values())
        log.warning("not ready", extra={"failed": failed, "duration_s": round(time.perf_counter() - started, 3)})
    body = {
        "status": status,
        "alarms": alarms,
        "checks": {name: {"ok": check.ok, "detail": check.detail} for name, check in checks.items()},
    }
    return JSONResponse(body, status_code=200 if is_ready else 503)


@router.get(
    "/metrics",
    tags=["operate"],
    response_class=Response,
    responses={200: {"description": "Prometheus' text format.", "content": {"text/plain": {}}}},
)
def metrics(_who: Annotated[Caller, Depends(may(Permission.SEE_METRICS))]) -> Response:
    """Return every process' numbers in Prometheus' text format."""
    return Response(exposition(), headers={"Content-Type": CONTENT_TYPE})
