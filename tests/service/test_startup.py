"""What an operator must change before the service starts: nothing is open to the world by accident."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from service.part import CannotStart
from service.settings import Settings
from service.startup import check_settings, dicom_alarm
from tests.conftest import ROOT


def with_files(folder: Path, **settings: Any) -> Settings:
    """Return settings of which each `dicom_tls_…` file exists."""
    for name, value in settings.items():
        if isinstance(value, Path):
            (folder / value).write_text("")
            settings[name] = folder / value
    return Settings(data_folder=folder, **settings)


MUTUAL = {
    "dicom_tls_port": 2762,
    "dicom_tls_certificate": Path("server.pem"),
    "dicom_tls_key": Path("server.key"),
    "dicom_tls_client_ca": Path("peers.pem"),
}


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "9.9.9.9", "pacs.example"])
@pytest.mark.parametrize(
    "settings",
    [{}, MUTUAL, {**MUTUAL, "dicom_plain": False, "dicom_tls_client_ca": None}],
    ids=["plain", "plain beside TLS", "TLS without an authority for peers"],
)
def test_dicom_that_proves_nothing_stays_off_public_addresses(
    tmp_path: Path, host: str, settings: dict[str, Any]
) -> None:
    with pytest.raises(CannotStart, match="PANDOK_DICOM_HOST"):
        check_settings(with_files(tmp_path, dicom_host=host, **settings))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "10.1.2.3", "192.168.0.9", "fd00::5"])
def test_plain_dicom_may_be_taken_inside_a_house(tmp_path: Path, host: str) -> None:
    settings = with_files(tmp_path, dicom_host=host)

    check_settings(settings)

    assert dicom_alarm(settings) is None


def test_mutual_tls_may_be_taken_from_anywhere(tmp_path: Path) -> None:
    settings = with_files(tmp_path, dicom_host="0.0.0.0", dicom_plain=False, **MUTUAL)

    check_settings(settings)

    assert dicom_alarm(settings) is None


def test_an_operator_who_insists_is_reminded(tmp_path: Path) -> None:
    settings = with_files(tmp_path, dicom_host="0.0.0.0", allow_plain_dicom=True)

    check_settings(settings)

    assert "open to whoever" in (dicom_alarm(settings) or "")


@pytest.mark.parametrize("name", ["dicom_tls_client_ca", "dicom_tls_crl"])
def test_a_missing_file_is_told_before_the_start(tmp_path: Path, name: str) -> None:
    settings = with_files(tmp_path, **MUTUAL).model_copy(update={name: tmp_path / "none.pem"})

    with pytest.raises(CannotStart, match=r"none\.pem"):
        check_settings(settings)


def test_a_revocation_list_needs_the_authority_whose_it_is(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="CRL"):
        check_settings(with_files(tmp_path, dicom_tls_crl=Path("revoked.pem")))


def test_nothing_keeps_numbers_before_the_parent_has_named_their_folder() -> None:
    """prometheus_client looks for the folder once, when it is loaded; the forked parts have what the parent loaded."""
    told = subprocess.run(
        [sys.executable, "-c", "import sys, service.cli, service.serve; print('prometheus_client' in sys.modules)"],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip

    assert told.stdout.strip() == "False"


SELDOM = ("alembic", "dbos", "highdicom", "matplotlib", "monai", "onnxruntime", "scipy", "torch", "zxcvbn")


@pytest.mark.parametrize("part", ["service.parts", "service.intake.dimse.listener", "service.app", "service.worker"])
def test_no_part_loads_what_is_needed_seldom_or_by_another(part: str) -> None:
    """Memory and the time to be ready: each of these costs 60 to 300 ms, or 10 to 20 MB, or belongs to a child."""
    code = f"import sys, {part}; print(*(name for name in {SELDOM!r} if name in sys.modules))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)

    assert told.stdout.split() == (["dbos"] if part == "service.worker" else [])
