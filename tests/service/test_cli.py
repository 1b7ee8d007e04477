"""The operator's commands, run as an operator runs them."""

from __future__ import annotations

import io
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import select

from service import tables
from service.access import fingerprint
from service.cli import main
from service.database import Database
from service.settings import Settings
from tests.conftest import ROOT
from tests.service.intake.dimse.authority import Authority

SITE = ("--name", "Hà Nội", "--country", "vn", "--language", "vi", "--time-zone", "Asia/Ho_Chi_Minh")


@dataclass(frozen=True)
class Result:
    returncode: int
    stdout: str
    stderr: str


@dataclass
class Command:
    """`pandok` on a folder of its own."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch

    def __call__(self, *arguments: str, **environment: str) -> Result:
        """Run one command in this process."""
        out, err = io.StringIO(), io.StringIO()
        with self.monkeypatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            for name, value in self._environment(environment).items():
                patch.setenv(name, value)
            code = main(arguments)
        return Result(code, out.getvalue(), err.getvalue())

    def process(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run one command as an operator's shell does."""
        return subprocess.run(
            [sys.executable, "-m", "service.cli", *arguments], env={**os.environ, **self._environment(environment)},
            cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def _environment(self, more: dict[str, str]) -> dict[str, str]:
        marks = {"PANDOK_MIN_FREE_BYTES": "0", "PANDOK_LOW_FREE_BYTES": "0"}
        return {"PANDOK_DATA_FOLDER": str(self.folder), **marks, **more}

    def done(self, *arguments: str) -> str:
        """Run a command that must succeed and return what it printed."""
        result = self(*arguments)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def rows(self, table: str) -> list[dict[str, object]]:
        database = Database(Settings(data_folder=self.folder).sqlalchemy_url)
        with database.reading() as rx:
            rows = [dict(row) for row in rx.execute(select(tables.metadata.tables[table])).mappings()]
        database.close()
        return rows


@pytest.fixture
def pandok(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(tmp_path / "data", monkeypatch)


def test_a_site_with_its_policy(pandok: Command) -> None:
    pandok.done("sites", "add", "hanoi-01", *SITE, "--quiet-seconds", "CR=3", "default=60", "--unknown-age", "adult")

    (row,) = pandok.rows("site")
    assert (row["code"], row["name"], row["country"]) == ("hanoi-01", "Hà Nội", "VN")
    assert row["policy"] == {
        "quiet_s": {"CR": 3.0, "default": 60.0}, "unknown_age": "adult", "conflict_answer": "refuse",
        "reading_policy": "triage", "preliminary_reports": "hidden",
    }  # fmt: skip
    assert "hanoi-01" in pandok.done("sites", "list")


def test_the_command_is_one_that_a_shell_can_run(pandok: Command) -> None:
    added = pandok.process("sites", "add", "hanoi-01", *SITE)
    again = pandok.process("sites", "add", "hanoi-01", *SITE)

    assert (added.returncode, again.returncode) == (0, 1)
    assert [row["code"] for row in pandok.rows("site")] == ["hanoi-01"]


def test_a_policy_can_be_changed_piece_by_piece(pandok: Command) -> None:
    pandok.done("sites", "add", "hanoi-01", *SITE, "--quiet-seconds", "CR=3")

    pandok.done("sites", "set", "hanoi-01", "--conflict-answer", "warn")
    pandok.done("sites", "set", "hanoi-01", "--quiet-seconds", "CT=300", "--preliminary-reports", "shown")
    pandok.done("sites", "set", "hanoi-01", "--reading-policy", "blind")

    (row,) = pandok.rows("site")
    assert row["policy"] == {
        "quiet_s": {"CR": 3.0, "CT": 300.0}, "unknown_age": "unscored", "conflict_answer": "warn",
        "reading_policy": "blind", "preliminary_reports": "shown",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("sites", "add", "a b", *SITE), "code"),
        (("sites", "add", "x", *SITE[:3], "Vietnam", *SITE[4:]), "country"),
        (("sites", "add", "x", *SITE[:7], "Mars/Olympus"), "time zone"),
        (("sites", "add", "x", *SITE[:7], "../../etc/passwd"), "time zone"),
        (("sites", "add", "x", *SITE, "--quiet-seconds", "CR=-1"), "quiet seconds"),
        (("sites", "add", "x", *SITE, "--quiet-seconds", "CR"), "CR=60"),
        (("sites", "add", "x", *SITE, "--quiet-seconds", "CR=nan"), "quiet seconds"),
        (("peers", "add", "nowhere", "PACS"), "no such site"),
        (("keys", "add", "nowhere", "--name", "x"), "no such site"),
        (("keys", "revoke", "00000000"), "no live key"),
        (("studies", "restart", "0" * 32), "no such study"),
    ],
)
def test_what_cannot_be_is_refused_in_words(pandok: Command, arguments: tuple[str, ...], word: str) -> None:
    result = pandok(*arguments)

    assert result.returncode == 1
    assert word in result.stderr
    assert "Traceback" not in result.stderr


def test_a_peer_with_its_certificate(pandok: Command, tmp_path: Path) -> None:
    certificate = Authority(tmp_path, "hospital").issue("pacs")
    pandok.done("sites", "add", "hanoi-01", *SITE)

    pandok.done(
        "peers", "add", "hanoi-01", "HANOI_PACS", "--network", "192.0.2.0/24", "--certificate", str(certificate.path)
    )

    (row,) = pandok.rows("dicom_peer")
    assert (row["ae_title"], row["network"]) == ("HANOI_PACS", "192.0.2.0/24")
    assert row["certificate_sha256"] == certificate.sha256
    assert row["certificate_subject"] is None


def test_a_peer_is_changed_to_a_certificate_by_name_and_an_address_of_its_own(pandok: Command, tmp_path: Path) -> None:
    certificate = Authority(tmp_path, "hospital").issue("pacs")
    pandok.done("sites", "add", "hanoi-01", *SITE)
    pandok.done("peers", "add", "hanoi-01", "PACS")

    pandok.done("peers", "set", "hanoi-01", "PACS", "--certificate", str(certificate.path), "--by-name")
    pandok.done("peers", "set", "hanoi-01", "PACS", "--answer-to", "192.0.2.7:11112", "--answer-tls")

    (row,) = pandok.rows("dicom_peer")
    assert (row["certificate_sha256"], row["certificate_subject"], row["certificate_issuer"]) == (
        None,
        "CN=pacs",
        "CN=hospital",
    )
    assert (row["answer_host"], row["answer_port"], row["answer_tls"]) == ("192.0.2.7", 11112, 1)
    shown = pandok.done("peers", "list")
    assert "certificate of CN=pacs by CN=hospital" in shown
    assert "answers to 192.0.2.7:11112 over TLS" in shown


@pytest.mark.parametrize(
    "options",
    [("--by-name",), ("--answer-tls",), ("--answer-to", "192.0.2.7"), ("--answer-to", "192.0.2.7:99999"),
     ("--certificate", "/dev/null")],
)  # fmt: skip
def test_a_peer_that_makes_no_sense_is_not_entered(pandok: Command, options: tuple[str, ...]) -> None:
    pandok.done("sites", "add", "hanoi-01", *SITE)

    assert pandok("peers", "add", "hanoi-01", "PACS", *options).returncode == 1
    assert pandok("peers", "set", "hanoi-01", "PACS").returncode == 1
    assert pandok.rows("dicom_peer") == []


def test_a_disabled_peer_can_come_back(pandok: Command) -> None:
    pandok.done("sites", "add", "hanoi-01", *SITE)
    pandok.done("peers", "add", "hanoi-01", "PACS")
    assert pandok("peers", "add", "hanoi-01", "PACS").returncode == 1

    pandok.done("peers", "disable", "hanoi-01", "PACS")
    assert "disabled" in pandok.done("peers", "list")
    pandok.done("peers", "add", "hanoi-01", "PACS")

    assert [row["disabled_at"] for row in pandok.rows("dicom_peer")] == [None]


@pytest.mark.parametrize(
    ("ae_title", "network"),
    [("SEVENTEEN_LETTERS", "127.0.0.1/32"), (" PACS", "127.0.0.1/32"), ("P\\CS", "127.0.0.1/32"), ("", "127.0.0.1/32"),
     ("PÄCS", "127.0.0.1/32"), ("PACS", "127.0.0.1/8"), ("PACS", "everywhere")],
)  # fmt: skip
def test_a_peer_that_cannot_be_is_refused(pandok: Command, ae_title: str, network: str) -> None:
    pandok.done("sites", "add", "hanoi-01", *SITE)

    assert pandok("peers", "add", "hanoi-01", ae_title, "--network", network).returncode == 1


def test_a_key_is_shown_once_and_kept_as_its_hash(pandok: Command) -> None:
    pandok.done("sites", "add", "hanoi-01", *SITE)

    key = pandok.done("keys", "add", "hanoi-01", "--name", "gateway").strip()

    (row,) = pandok.rows("api_key")
    assert key.startswith(f"pdk_{row['prefix']}_")
    assert row["key_sha256"] == fingerprint(key)
    listed = pandok.done("keys", "list")
    assert str(row["prefix"]) in listed
    assert key.rpartition("_")[2] not in listed


def test_a_revoked_key_is_listed_as_such(pandok: Command) -> None:
    pandok.done("sites", "add", "hanoi-01", *SITE)
    prefix = pandok.done("keys", "add", "hanoi-01", "--name", "gateway").split("_")[1]

    pandok.done("keys", "revoke", prefix)

    assert "revoked" in pandok.done("keys", "list")


def test_a_sign_in_link_keeps_its_token_from_servers(pandok: Command) -> None:
    link = pandok.done("sign-in").strip()

    address, _, token = link.partition("#token=")
    assert address == "http://127.0.0.1:8042/sign-in"
    (row,) = pandok.rows("sign_in_link")
    assert row["token_sha256"] == fingerprint(token)


def test_problems_of_an_empty_service_are_none(pandok: Command) -> None:
    assert pandok.done("problems") == ""


def test_check_looks_and_changes_nothing(pandok: Command) -> None:
    result = pandok("check")

    assert "execution provider" in result.stdout
    assert not pandok.folder.exists()


def test_check_names_a_provider_that_is_missing(pandok: Command) -> None:
    result = pandok("check", PANDOK_EXECUTION_PROVIDER="tensorrt")

    assert result.returncode == 1
    assert "BAD  execution provider" in result.stdout


@pytest.mark.parametrize(
    ("environment", "word"),
    [
        ({"PANDOK_WEB_HOST": "0.0.0.0"}, "in the clear"),
        ({"PANDOK_WEB_HOST": "::"}, "in the clear"),
        ({"PANDOK_WEB_CERTIFICATE": "/nowhere.pem", "PANDOK_WEB_KEY": "/nowhere.key"}, "/nowhere.pem"),
        ({"PANDOK_WEB_PORT": "many"}, "PANDOK_WEB_PORT"),
        ({"PANDOK_CONFIG": "/nowhere.toml", "PANDOK_WEB_HOST": "0.0.0.0"}, "in the clear"),
        ({"PANDOK_DATA_FOLDER": "/proc/pandok"}, "/proc/pandok"),
    ],
)
def test_serve_refuses_to_start_unsafely(pandok: Command, environment: dict[str, str], word: str) -> None:
    result = pandok.process("serve", **environment)

    assert result.returncode == 78
    assert word in result.stderr
    assert "Traceback" not in result.stderr


def test_a_person_is_added_with_a_link_and_listed(pandok: Command) -> None:
    pandok.done("sites", "add", "hanoi-01", *SITE)

    link = pandok.done(
        "accounts", "add", "An@Example.vn", "--name", "Lê An", "--role", "site_physician", "--site", "hanoi-01"
    )
    pandok.done("accounts", "add", "kim", "--name", "Kim", "--role", "radiologist", "--language", "ko", "--time-zone",
                "Asia/Seoul", "--licence", "KR-1", "--policy", "blind")  # fmt: skip

    assert "/sign-in#token=" in link
    people = {row["login"]: row for row in pandok.rows("account")}
    assert (people["an@example.vn"]["language"], people["an@example.vn"]["site_id"]) == ("vi", 1)
    assert (people["kim"]["reading_policy"], people["kim"]["licence_number"]) == ("blind", "KR-1")
    assert "kim  Kim  radiologist  all sites  no password yet  enabled" in pandok.done("accounts", "list")


def test_who_leaves_gets_in_no_more_and_who_forgot_starts_anew(pandok: Command) -> None:
    pandok.done("accounts", "add", "kim", "--name", "Kim", "--role", "radiologist")

    pandok.done("accounts", "disable", "KIM")
    refused = pandok("accounts", "link", "kim")
    pandok.done("accounts", "enable", "kim")
    link = pandok.done("accounts", "link", "kim", "--reset")
    pandok.done("accounts", "set", "kim", "--role", "chief_radiologist")

    assert refused.returncode == 1
    assert "disabled" in refused.stderr
    assert "/sign-in#token=" in link
    assert [row["action"] for row in pandok.rows("audit_event")] == [
        "account_added", "link_made", "account_disabled", "account_enabled", "account_reset", "link_made",
        "account_changed",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("accounts", "add", "a b", "--name", "A", "--role", "auditor"), "login"),
        (("accounts", "add", "a", "--name", "A", "--role", "site_uploader"), "belongs to a site"),
        (("accounts", "add", "a", "--name", "A", "--role", "auditor", "--policy", "blind"), "those who read"),
        (("accounts", "add", "a", "--name", "A", "--role", "auditor", "--time-zone", "Mars/Olympus"), "time zone"),
        (("accounts", "link", "nobody"), "no such account"),
        (("sign-in", "nobody"), "no such account"),
    ],
)
def test_an_account_that_cannot_be_is_refused_in_words(pandok: Command, arguments: tuple[str, ...], word: str) -> None:
    result = pandok(*arguments)

    assert result.returncode == 1
    assert word in result.stderr


def test_the_audit_is_proven_and_exported(pandok: Command) -> None:
    pandok.done("sign-in")
    head = pandok.done("audit", "verify").rpartition("head ")[2].strip()
    exported = pandok.folder / "audit.ndjson"

    pandok.done("audit", "export", "--to", str(exported))

    assert [json.loads(line)["resourceType"] for line in exported.read_text().splitlines()] == ["AuditEvent"] * 2
    assert pandok("audit", "verify", "--head", head).returncode == 0
    assert pandok("audit", "verify", "--head", "ab" * 32).returncode == 1
    assert pandok("audit", "export", "--to", str(exported)).returncode == 1  # it overwrites nothing


def test_whatever_changes_who_may_do_what_is_noted(pandok: Command) -> None:
    pandok.done("sites", "add", "hanoi", *SITE)
    pandok.done("sites", "set", "hanoi", "--reading-policy", "blind", "--unknown-age", "unscored")
    pandok.done("sites", "set", "hanoi", "--reading-policy", "blind")  # as it is: nothing happened
    pandok.done("peers", "add", "hanoi", "MODALITY", "--network", "192.0.2.0/24")
    pandok.done("peers", "disable", "hanoi", "MODALITY")
    pandok.done("keys", "add", "hanoi", "--name", "gateway")
    prefix = pandok.rows("api_key")[0]["prefix"]
    pandok.done("keys", "revoke", prefix)
    package = pandok.rows("release")[0]["package"]
    pandok.done("releases", "add", "hanoi", package)  # as it is
    pandok.done("releases", "end", "hanoi", package)
    pandok.done("audit", "verify")

    events = pandok.rows("audit_event")

    told = [(row["action"], row["object_type"], row["object_id"]) for row in events]
    released = [("package_released", "package", row["package"]) for row in pandok.rows("release")]
    assert told == [
        ("site_added", "site", "hanoi"),
        *released,
        ("site_changed", "site", "hanoi"),
        ("peer_added", "peer", "MODALITY"),
        ("peer_disabled", "peer", "MODALITY"),
        ("key_added", "key", prefix),
        ("key_revoked", "key", prefix),
        ("release_ended", "package", package),
        ("audit_verified", None, None),
    ]
    assert {row["site_id"] for row in events[:-1]} == {pandok.rows("site")[0]["id"]}
    detail = {row["action"]: row["detail"] for row in events}
    assert detail["site_changed"] == {"reading_policy": {"from": "triage", "to": "blind"}}
    assert detail["peer_added"]["network"] == "192.0.2.0/24"
    assert detail["audit_verified"]["events"] == len(events) - 1
    assert detail["audit_verified"]["head"] == events[-2]["sha256"]
    assert events[-1]["previous_sha256"] == events[-2]["sha256"]


def test_a_changed_audit_is_found(pandok: Command) -> None:
    pandok.done("sign-in")
    with sqlite3.connect(pandok.folder / "pandok.db") as connection:
        connection.execute("DROP TRIGGER audit_event_no_update")
        connection.execute("UPDATE audit_event SET actor = 'somebody'")
    connection.close()

    result = pandok("audit", "verify")

    assert result.returncode == 1
    assert "broken at event 1" in result.stderr
