"""No patient attribute, and no secret, leaves its place while somebody reads, whatever fails (RELIABILITY T-29)."""

from __future__ import annotations

import io
import json
import tempfile
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from service import tables
from service.audit.fhir import export
from service.roles import Role
from tests.service.house import PASSWORD
from tests.service.reading.room import Reader, Room
from tests.service.test_logs import lines

__all__ = ["lines"]

NAME, PATIENT_ID, BIRTH_DATE = "KANARIE^VOGEL", "KAN-4711", "19470411"
QUESTION, TEXT = "Kanarienfrage hustet", "Kanarienbefund links"
LOGIN, PERSON, GUESS = "kanari@example.kr", "Kanari Vogelsang", "kanarienpasswort geraten"
OF_PATIENT = (NAME, "KANARIE", PATIENT_ID, BIRTH_DATE, "Kanarien")
OF_PERSON = (LOGIN, PERSON, GUESS, PASSWORD)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files of this process."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def read_and_fail(room: Room, clients: list[httpx.Client], public_id: str, uid: str) -> None:
    """Walk what a reader, a center and an administrator do with a study, rightly and wrongly."""
    for client in clients:
        for path in (
            f"/api/worklist?q={NAME}", f"/api/worklist/{public_id}", f"/api/cases/{public_id}",
            f"/api/cases/{PATIENT_ID}", f"/api/cases/{public_id}/report", f"/api/reports/{NAME}",
            f"/dicomweb/studies?PatientID={PATIENT_ID}", f"/dicomweb/studies/{uid}/metadata",
            f"/dicomweb/studies/{NAME}",
            f"/api/center/studies?q={NAME}", f"/api/center/studies/{public_id}", f"/api/audit?object_id={PATIENT_ID}",
            f"/api/accounts?{NAME}", f"/{NAME}", "/api/problems",
        ):  # fmt: skip
            client.get(path)
        for method, path in (
            ("POST", f"/api/cases/{public_id}/impression"), ("PUT", f"/api/cases/{public_id}/verdicts"),
            ("PUT", f"/api/cases/{public_id}/report/draft"), ("POST", f"/api/cases/{public_id}/report/sign"),
            ("POST", f"/api/worklist/{PATIENT_ID}/claim"), ("POST", "/api/center/questions"),
            ("PUT", "/api/me/preferences"), ("POST", "/api/me/confirm"), ("POST", "/api/accounts"),
            ("POST", "/api/sign-in"), ("POST", "/dicomweb/studies"),
        ):  # fmt: skip
            answer = client.request(method, path, json={NAME: PATIENT_ID, "login": GUESS, "question": QUESTION})
            assert answer.status_code >= 400, path
            assert not [canary for canary in (*OF_PATIENT, GUESS) if canary in answer.text], path


def sign_in_and_fail(room: Room) -> None:
    room.house.new_account(Role.RADIOLOGIST, login=LOGIN)
    person = room.house.client(**{"X-Pandok": "1"})
    for password in (GUESS, PASSWORD):
        person.post("/api/sign-in", json={"login": LOGIN, "password": password})
    person.put("/api/me/password", json={"current": GUESS, "new": PASSWORD})
    person.put("/api/me/password", json={"current": PASSWORD, "new": GUESS})
    person.post("/api/me/totp")
    admin = room.house.signed_in()
    admin.post("/api/accounts", json={"login": "other", "name": PERSON, "role": "auditor"})
    admin.post("/api/accounts", json={"login": "other", "name": PERSON, "role": "auditor"})


def test_nothing_of_a_patient_or_a_secret_gets_out_while_reading(
    room: Room, lines: io.StringIO, temporary: Path
) -> None:
    attributes = {"PatientName": NAME, "PatientID": PATIENT_ID, "PatientBirthDate": BIRTH_DATE}
    public_id = room.scored(**attributes)
    with room.house.database.reading() as rx:
        uid = str(rx.execute(select(tables.study.c.study_instance_uid)).scalar_one())
    center, _ = room.house.account(Role.SITE_PHYSICIAN)
    asked = {"study_instance_uid": uid, "question": QUESTION, "history": QUESTION, "language": "en"}
    assert center.post("/api/center/questions", json=asked).is_success
    reader: Reader = room.reader()
    token = reader.has_read(public_id)
    draft = {"content": {"language": "en", "findings_text": TEXT}}
    headers = {"X-Pandok-Claim": str(token)}
    saved = reader.client.put(f"/api/cases/{public_id}/report/draft", json=draft, headers=headers)
    assert saved.is_success, saved.text
    assert NAME.partition("^")[0] in reader.client.get(f"/api/cases/{public_id}").text

    read_and_fail(room, [reader.client, center, room.house.signed_in(), room.house.with_key()], public_id, uid)
    sign_in_and_fail(room)

    measured = room.house.signed_in().get("/metrics").text
    with room.house.database.reading() as rx:
        audited = "".join(export(rx))
        problems = json.dumps([dict(row) for row in rx.execute(select(tables.problem)).mappings()])
    kept_apart = ("pandok.db", "archive")
    files = {
        path: path.read_bytes()
        for folder in (room.house.settings.data_folder, temporary)
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(kept_apart) for part in path.parts)
    }
    told = {"logs": lines.getvalue(), "metrics": measured, "audit": audited, "problems": problems}
    found = [(place, canary) for place, text in told.items() for canary in (*OF_PATIENT, *OF_PERSON) if canary in text]
    found += [
        (path.name, canary)
        for path, content in files.items()
        for canary in (*OF_PATIENT, *OF_PERSON)
        if canary.encode() in content or canary in path.name
    ]

    assert len(lines.getvalue().splitlines()) > 100
    assert audited.count("\n") > 15
    assert found == []
    tables_kept = b"".join(path.read_bytes() for path in room.house.settings.data_folder.glob("pandok.db*"))
    assert not [secret for secret in (PASSWORD, GUESS) if secret.encode() in tables_kept]
