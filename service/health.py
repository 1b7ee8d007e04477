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

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from fastapi import APIRouter, Depends, Request
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import JSONResponse, Response

from service.access import Caller, may
from service.archive import Archive
from service.database import Database
from service.inference import worker_records
from service.intake.receive import Intake
from service.metrics import CONTENT_TYPE, exposition
from service.roles import Permission
from service.settings import Settings

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
                present = MigrationContext.configure(rx).get_current_revision()
        except SQLAlchemyError as error:
            return Check(False, f"does not answer ({type(error).__name__})")
        newest = newest_migration()
        return Check(present == newest, f"at {present}" if present == newest else f"at {present}, not at {newest}")

    def _room(self) -> Check:
        try:
            roomy = self.intake.has_room()
        except OSError as error:
            return Check(False, f"cannot tell (errno {error.errno})")
        return Check(roomy, "takes instances" if roomy else "too little free space, or the disk refused to sync")

    def _worker(self) -> Check:
        try:
            with self.database.reading() as rx:
                workers = worker_records.list_fresh(rx, seen_after=self.clock() - WORKER_FRESH_S)
        except SQLAlchemyError as error:
            return Check(False, f"the database does not answer ({type(error).__name__})")
        if not workers:
            return Check(False, f"no worker was seen in the last {WORKER_FRESH_S:.0f} s")
        providers = sorted({provider for provider, _ in workers if provider})
        alarms = tuple(sorted({alarm for _, alarm in workers if alarm}))
        return Check(True, f"{len(workers)} seen; scoring on {', '.join(providers) or 'nothing yet'}", alarms)

    def _listener(self) -> Check:
        beat = read_beat(self.settings)
        if beat is None:
            return Check(False, "has not started")
        age_s = self.clock() - beat.at
        if not beat.takes_instances:
            return Check(False, "takes nothing: too little free space, or the disk refused to sync")
        return Check(age_s <= LISTENER_FRESH_S, f"last seen {max(age_s, 0):.0f} s ago")


def newest_migration() -> str | None:
    """Return the migration that this program was made for."""
    return ScriptDirectory(str(Path(__file__).parent / "migrations")).get_current_head()


@dataclass(frozen=True, slots=True)
class Beat:
    """What the listener last said of itself."""

    at: float
    takes_instances: bool


def write_beat(settings: Settings, now: float, *, takes_instances: bool = True) -> None:
    """Note that the listener's loop runs, and whether it takes instances. Raises OSError when the disk refuses."""
    path = _beat_path(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps({"at": now, "pid": os.getpid(), "takes_instances": takes_instances}))
    temporary.replace(path)


def read_beat(settings: Settings) -> Beat | None:
    """Return what the listener last said, or None."""
    try:
        said = json.loads(_beat_path(settings).read_text())
        return Beat(float(said["at"]), bool(said["takes_instances"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _beat_path(settings: Settings) -> Path:
    return settings.data_folder / "run" / "listener.json"


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
