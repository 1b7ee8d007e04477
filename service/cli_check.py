"""Looks whether the service could start and score here: settings, tables, folders, packages, provider."""

from __future__ import annotations

import os
import ssl
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

import onnxruntime
from sqlalchemy.exc import SQLAlchemyError

from service import site_records
from service.database import Database, migration_of, newest_migration
from service.intake.pressure import Level, measure
from service.part import CannotStart
from service.settings import Settings
from service.sites import open_shelf
from service.startup import check_settings

_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    ok: bool
    words: str


def is_alive(settings: Settings) -> bool:
    """Tell whether the web server of this machine answers `/live`."""
    scheme = "https" if settings.web_certificate else "http"
    context = ssl.create_default_context()
    context.check_hostname = False  # the certificate is for the name that people use, and this is our own machine
    context.verify_mode = ssl.CERT_NONE
    host = "127.0.0.1" if settings.web_host in ("0.0.0.0", "::") else settings.web_host  # noqa: S104 - compared only
    address = f"{scheme}://{host}:{settings.web_port}/live"
    try:
        with urllib.request.urlopen(address, timeout=2, context=context) as answer:  # noqa: S310 - our own address
            return bool(answer.status == 200)
    except OSError:
        return False


def check(settings: Settings) -> list[Finding]:
    """Look at everything; nothing is changed."""
    return [_settings(settings), _folder(settings), *_tables(settings), *_packages(settings), _provider(settings)]


def _settings(settings: Settings) -> Finding:
    try:
        check_settings(settings)
    except CannotStart as why:
        return Finding("settings", False, str(why))
    return Finding("settings", True, "safe to start with")


def _folder(settings: Settings) -> Finding:
    folder = settings.data_folder
    present = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    if not os.access(present, os.W_OK):
        return Finding("data folder", False, f"{present} cannot be written")
    database = Database(settings.sqlalchemy_url) if has_tables(settings) else None
    pressure = measure(settings.model_copy(update={"data_folder": present}), database, time.time())
    if database is not None:
        database.close()
    return Finding("data folder", pressure.level < Level.OVERLOADED, f"{folder} {pressure.words}")


def has_tables(settings: Settings) -> bool:
    """Tell whether there are tables to ask: looking makes none."""
    return settings.database_url is not None or (settings.data_folder / "pandok.db").is_file()


def _tables(settings: Settings) -> Iterator[Finding]:
    if not has_tables(settings):
        yield Finding("tables", True, "not made yet; the first start makes them")
        return
    database = Database(settings.sqlalchemy_url)
    try:
        with database.reading() as rx:
            present = migration_of(rx)
            if present != newest_migration():
                yield Finding("tables", True, f"at {present}; the next start brings them to {newest_migration()}")
                return
            yield Finding("tables", True, f"up to date ({present})")
            sites = site_records.list_sites(rx)
            released = {one.site for one in site_records.list_releases(rx)}
    except SQLAlchemyError as error:
        yield Finding("tables", False, f"do not answer ({type(error).__name__})")
        return
    finally:
        database.close()
    yield Finding("sites", True, f"{len(sites)}; `pandok sites add` makes one" if not sites else str(len(sites)))
    for site in sites:
        if site.code not in released:
            yield Finding(f"site {site.code}", False, "no model package is released for it; `pandok releases add`")


def _packages(settings: Settings) -> Iterator[Finding]:
    shelf = open_shelf(settings)
    for package in shelf.packages:
        yield Finding(f"package {package.name}", True, f"{package.version}, {package.sha256[:16]}")
    for name, why in shelf.refused.items():
        yield Finding(f"package {name}", False, why)
    if not shelf.packages:
        yield Finding("packages", False, "none loads: every study would stand unscored")


def _provider(settings: Settings) -> Finding:
    wanted = _PROVIDERS[settings.execution_provider]
    has = wanted in onnxruntime.get_available_providers()
    words = f"{settings.execution_provider} is {'there' if has else 'not in this installation of onnxruntime'}"
    return Finding("execution provider", has, words)
