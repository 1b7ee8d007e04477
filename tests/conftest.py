"""Fixtures that every room's tests share: the real films, the peers, a service's parts on a temporary folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.factories import Clock, Parts, open_parts

ROOT = Path(__file__).resolve().parent.parent


def missing(what: str) -> None:
    """Skip aloud on a developer's machine; with CI=true a missing thing is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"missing on this machine: {what}")
    pytest.skip(f"missing on this machine: {what}")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    folder = Path(os.environ.get("PANDOK_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "dicom" / "index.csv").is_file():
        missing(f"the shared films ({folder})")
    return folder


@pytest.fixture(scope="session")
def dcmtk() -> Callable[[str], str]:
    """Give the full path of a DCMTK program: pynetdicom installs scripts of the same names in the environment."""

    def program(name: str) -> str:
        path = Path("/usr/bin") / name
        if not path.is_file():
            missing(f"DCMTK's {name} (Debian package dcmtk)")
        return str(path)

    return program


@pytest.fixture(scope="session")
def orthanc() -> Callable[[Path], list[str]]:
    """Give the command that runs Orthanc with a configuration file."""

    def command(configuration: Path) -> list[str]:
        program = Path("/usr/sbin/Orthanc")
        if not program.is_file():
            missing("Orthanc (Debian package orthanc)")
        return [str(program), str(configuration)]

    return command


@pytest.fixture(scope="session")
def chromium() -> str:
    path = Path("/usr/bin/chromium")
    if not path.is_file():
        missing("Chromium (Debian package chromium)")
    return str(path)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def parts(tmp_path: Path, clock: Clock) -> Iterator[Parts]:
    with open_parts(tmp_path, clock) as made:
        yield made


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what trials counted, whichever process ran them."""
    told = [
        words
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", "") == "call"
        for name, words in report.user_properties
        if name == "figures"
    ]
    if told:
        terminalreporter.section("trials")
        for words in sorted(told):
            terminalreporter.write_line(str(words))
