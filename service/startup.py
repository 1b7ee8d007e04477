"""What must hold before the service starts: safe settings, tables up to date, a place for the numbers."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import time
import zlib
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from service import audit
from service.access.account_records import administrator
from service.access.manage import make_link
from service.access.records import anyone_can_sign_in
from service.database import Database, migration_of, newest_migration
from service.part import CannotStart
from service.settings import METRICS_FOLDER_VARIABLE, Settings


def check_settings(settings: Settings) -> None:
    """Refuse settings under which the service would be open or lame. Raises CannotStart."""
    has_tls = settings.web_certificate is not None
    is_behind_proxy = (settings.public_url or "").startswith("https://")
    if not (_is_loopback(settings.web_host) or has_tls or is_behind_proxy or settings.allow_plain_http):
        raise CannotStart(
            f"PANDOK_WEB_HOST={settings.web_host} would send patients' data in the clear: set PANDOK_WEB_CERTIFICATE "
            "and PANDOK_WEB_KEY, or PANDOK_PUBLIC_URL=https://... for a proxy that speaks TLS "
            "(or PANDOK_ALLOW_PLAIN_HTTP=true)"
        )
    if takes_unproven_dicom(settings) and not (_is_private(settings.dicom_host) or settings.allow_plain_dicom):
        raise CannotStart(
            f"PANDOK_DICOM_HOST={settings.dicom_host} would take images from anyone who knows an AE title: set "
            "PANDOK_DICOM_TLS_PORT with PANDOK_DICOM_TLS_CLIENT_CA and PANDOK_DICOM_PLAIN=false, or a private address "
            "(or PANDOK_ALLOW_PLAIN_DICOM=true)"
        )
    tls_files = (settings.dicom_tls_certificate, settings.dicom_tls_key, settings.dicom_tls_client_ca)
    for path in (settings.web_certificate, settings.web_key, *tls_files, settings.dicom_tls_crl):
        if path is not None and not path.is_file():
            raise CannotStart(f"{path} is not there; the settings name it as a certificate or key")
    if (settings.web_certificate is None) != (settings.web_key is None):
        raise CannotStart("PANDOK_WEB_CERTIFICATE and PANDOK_WEB_KEY go together")
    if settings.dicom_tls_crl is not None and settings.dicom_tls_client_ca is None:
        raise CannotStart("PANDOK_DICOM_TLS_CRL says which certificates of PANDOK_DICOM_TLS_CLIENT_CA no longer count")


def takes_unproven_dicom(settings: Settings) -> bool:
    """Tell whether a DICOM port takes callers who prove nothing: plain, or TLS that asks for no certificate."""
    is_open_tls = settings.dicom_tls_port is not None and settings.dicom_tls_client_ca is None
    return settings.dicom_plain or is_open_tls


def dicom_alarm(settings: Settings) -> str | None:
    """Return the words that stand in every answer about readiness while DICOM is open to the world by wish."""
    if takes_unproven_dicom(settings) and not _is_private(settings.dicom_host):
        return f"DICOM at {settings.dicom_host} is open to whoever knows an AE title (PANDOK_ALLOW_PLAIN_DICOM)"
    return None


def prepare_tables(settings: Settings) -> None:
    """Bring the tables up to date. Raises CannotStart when they cannot be had."""
    try:
        settings.data_folder.mkdir(parents=True, exist_ok=True)
        database = Database(settings.sqlalchemy_url)
        with database.reading() as rx:
            present = migration_of(rx)
        if present != newest_migration():
            database.migrate()
        database.close()
    except (OSError, SQLAlchemyError) as error:
        raise CannotStart(f"the tables in {settings.data_folder} cannot be opened: {type(error).__name__}") from error


def first_sign_in_link(settings: Settings) -> str | None:
    """Return a one-time link when nobody has ever signed in and no link is waiting; None otherwise."""
    database = Database(settings.sqlalchemy_url)
    now = time.time()
    with database.transaction() as tx:
        link = None
        if not anyone_can_sign_in(tx, now=now):
            link = make_link(tx, audit.SYSTEM, administrator(tx, now=now), settings, now=now)
    database.close()
    return link


def metrics_folder(settings: Settings) -> Path:
    """Return where the processes of this service keep their numbers.

    In memory where the system has such a folder: prometheus_client maps its files, and a full disk under a mapped
    file kills the process that writes to it.
    """
    memory = Path("/dev/shm")  # noqa: S108 - a folder of ours in it, with our rights alone
    if memory.is_dir() and os.access(memory, os.W_OK):
        place = os.fsencode(settings.data_folder.absolute())
        return memory / f"pandok-{os.getuid()}-{zlib.crc32(place):x}"
    return settings.data_folder / "metrics"


def metrics_environment(settings: Settings) -> dict[str, str]:
    """Return the variable that lets `/metrics` show every process; numbers of processes long gone are removed."""
    folder = metrics_folder(settings)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise CannotStart(f"{folder} belongs to somebody else")
    _sweep(folder)
    return {METRICS_FOLDER_VARIABLE: str(folder)}


def leave_no_metrics(settings: Settings) -> None:
    """Remove what was kept for `/metrics`, when every part has stopped."""
    folder = metrics_folder(settings)
    _sweep(folder)
    with contextlib.suppress(OSError):  # not empty: a part that another parent started lives on
        folder.rmdir()


def _sweep(folder: Path) -> None:
    for file in folder.glob("*.db"):
        pid = file.stem.rsplit("_", 1)[-1]
        if not (pid.isdigit() and int(pid) != os.getpid() and _is_alive(int(pid))):
            file.unlink(missing_ok=True)


def forget_process(pid: int) -> None:
    """Let the numbers of a process that ended no longer count as present ones; its counts stay."""
    from prometheus_client.multiprocess import mark_process_dead  # once loaded, it keeps no numbers by process

    mark_process_dead(pid)  # type: ignore[no-untyped-call]  # the library's function has no annotations


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _is_private(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return address.is_private and not address.is_unspecified


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
