"""Before his first impression nothing that the AI found reaches a reader, whatever he asks for (DESIGN section 7)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update

from service import tables
from service.results.visibility import ENCAPSULATED_PDF
from service.roles import Role
from service.worklist.records import update_item
from tests.service.pipeline_bench import Tools
from tests.service.reading.room import LIST, Reader, Room, open_room, shown
from tests.service.reports.desk import NODULE, NORMAL, writer

DICOM_JSON = {"Accept": "application/dicom+json"}
EVERYTHING = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*, */*'}

WITHOUT_CASES = frozenset({"/api/worklist/events", "/api/worklist/names"})
"""An endless stream of a number; and what installed packages call their findings, whoever has them."""


@dataclass
class Secrets:
    """What must not leave: by value for what is rare enough to be recognised anywhere."""

    uids: list[str]
    numbers: list[str]
    words: list[str]

    def found_in(self, answer: httpx.Response) -> list[str]:
        """Return the secrets in an answer's body or headers, whatever its status."""
        text = answer.content.decode("latin-1") + json.dumps(dict(answer.headers))
        return [secret for secret in (*self.uids, *self.numbers, *self.words) if secret in text]


def secrets_of(room: Room, study_id: int) -> Secrets:
    results = [row for row in room.rows(tables.instance) if row["is_result"] and row["study_id"] == study_id]
    series = [row for row in room.rows(tables.series) if row["is_result"] and row["study_id"] == study_id]
    findings = [row for row in room.rows(tables.finding) if row["study_id"] == study_id]
    runs = [row for row in room.rows(tables.run) if row["study_id"] == study_id]
    assert len(results) >= 2
    assert findings
    return Secrets(
        [row["sop_instance_uid"] for row in results] + [row["series_instance_uid"] for row in series],
        [str(row["probability"])[:8] for row in findings] + [str(row["raw_score"])[:8] for row in findings],
        [runs[0]["package_sha256"], runs[0]["tensor_sha256"], "finding_0", "heat-maps", "AI result"],
    )


def addresses(room: Room, public_id: str) -> Iterator[str]:
    """Give every address that is about this case, from the application's own routes: of its results and report too."""
    study = next(row for row in room.rows(tables.study) if row["public_id"] == public_id)
    places = [(None, None), *_places(room, study["id"])]
    run_ids = [row["id"] for row in room.rows(tables.run) if row["study_id"] == study["id"]]
    reports = [row["public_id"] for row in room.rows(tables.report) if row["study_id"] == study["id"]]
    fixed = {
        "public_id": [public_id, *reports], "study_instance_uid": [study["study_instance_uid"]], "numbers": ["1"],
        "path": ["7FE00010"], "run_id": [str(i) for i in run_ids], "channel": ["0", "1"],
    }  # fmt: skip
    for path, methods in room.house.app.openapi()["paths"].items():
        if "get" not in methods or path in WITHOUT_CASES:
            continue
        for series_uid, instance_uid in places if "series_instance_uid" in path else places[:1]:
            values = fixed | {"series_instance_uid": [series_uid], "sop_instance_uid": [instance_uid]}
            yield from _filled(path, values)


def _places(room: Room, study_id: int) -> list[tuple[str, str]]:
    with room.house.database.reading() as rx:
        query = select(tables.series.c.series_instance_uid, tables.instance.c.sop_instance_uid).join(
            tables.series, tables.series.c.id == tables.instance.c.series_id
        )
        return [tuple(row) for row in rx.execute(query.where(tables.instance.c.study_id == study_id))]


def _filled(path: str, values: dict[str, list[Any]]) -> Iterator[str]:
    names = re.findall(r"{(\w+)", path)
    if not names:
        yield path
        return
    for value in values.get(names[0], ["1"]):
        if value is not None:
            yield from _filled(re.sub(rf"{{{names[0]}(:path)?}}", str(value), path, count=1), values)


def answers(room: Room, reader: Reader, public_id: str) -> Iterator[tuple[str, httpx.Response]]:
    for address in addresses(room, public_id):
        for headers in (DICOM_JSON, EVERYTHING):
            yield address, reader.client.get(address, headers=headers)
    for query in ("ModalitiesInStudy=SR", "ModalitiesInStudy=OT", "includefield=all"):
        yield query, reader.client.get(f"/dicomweb/studies?{query}", headers=DICOM_JSON)
    for sort in ("order", "due", "received", "patient", "site"):
        yield sort, reader.client.get(LIST, params={"sort": sort})


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory, tools: Tools) -> Iterator[tuple[Room, str]]:
    with open_room(tmp_path_factory.mktemp("room"), tools) as room:
        yield room, room.scored("findings")


@pytest.mark.parametrize("policy", ["triage", "blind"])
@pytest.mark.parametrize("role", [Role.RADIOLOGIST, Role.CHIEF_RADIOLOGIST])
def test_before_the_impression_no_answer_holds_what_the_ai_found(
    scored: tuple[Room, str], policy: str, role: Role
) -> None:
    room, public_id = scored
    secrets = secrets_of(room, 1)
    reader = room.reader(policy, role)

    leaks = {address: found for address, one in answers(room, reader, public_id) if (found := secrets.found_in(one))}

    assert leaks == {}
    assert reader.case(public_id)["ai"] is None


def test_the_same_walk_finds_it_all_after_the_impression(scored: tuple[Room, str]) -> None:
    """Holds the walk itself to account: what it looks for is there once its reader may see it."""
    room, public_id = scored
    secrets = secrets_of(room, 1)
    reader = room.reader()
    reader.client.delete(f"{LIST}/{public_id}/claim", headers={"X-Pandok-Claim": str(reader.has_read(public_id))})

    found = {secret for _, one in answers(room, reader, public_id) for secret in secrets.found_in(one)}

    assert found >= {*secrets.uids, *secrets.words[:1], "finding_0", "heat-maps"}
    assert found & set(secrets.numbers)


@pytest.mark.parametrize("policy", ["triage", "blind"])
def test_what_a_reader_writes_before_his_impression_is_answered_without_the_ai(room: Room, policy: str) -> None:
    public_id = room.scored("findings")
    secrets = secrets_of(room, 1)
    known = next(row["id"] for row in room.rows(tables.finding) if row["presence"] == "present")
    reader = writer(room, policy=policy)
    reader.confirm()
    taken = reader.client.post(f"{LIST}/{public_id}/claim")
    token = int(taken.json()["token"])
    case = f"/api/cases/{public_id}/report"

    def judged(finding_id: int) -> httpx.Response:
        return reader.verdicts(public_id, token, {"finding_id": finding_id, "code": "nodule", "judgement": "rejected"})

    answers = {
        "claim": taken,
        "kept": reader.client.put(f"{LIST}/{public_id}/claim", headers=shown(token)),
        "verdict": judged(known),
        "draft": reader.client.put(f"{case}/draft", json={"content": NORMAL}, headers=shown(token)),
        "preview": reader.client.post(f"{case}/preview", json={"content": NORMAL}),
        "sign": reader.sign(public_id, token, NORMAL),
    }

    assert {name: found for name, one in answers.items() if (found := secrets.found_in(one))} == {}
    assert [one["message_code"] for one in answers["sign"].json()["missing"]] == ["impression_needed"]
    assert (answers["verdict"].status_code, answers["verdict"].json()) == (409, judged(10**6).json())


@pytest.mark.parametrize("role", [Role.SITE_PHYSICIAN, Role.SITE_UPLOADER])
def test_a_centers_staff_see_nothing_of_the_ai_before_the_report(scored: tuple[Room, str], role: Role) -> None:
    room, public_id = scored
    secrets = secrets_of(room, 1)
    reader = room.reader(role=role)

    leaks = {address: found for address, one in answers(room, reader, public_id) if (found := secrets.found_in(one))}
    raised = reader.client.post(f"{LIST}/{public_id}/priority", json={"priority": "routine"}).json()

    assert leaks == {}
    assert (raised["priority"], raised["ai_priority"], raised["findings"]) == ("routine", None, None)


# -------------------------------------------------------------------------------------------- the blind order


def made(tmp_path: Path, tools: Tools, package: str) -> Any:
    return open_room(tmp_path / package, tools)


def fill(room: Room, package: str) -> None:
    """Let the same ten films arrive; every second one is scored by the package, which raises what it finds."""
    for number in range(10):
        uids = {name: f"1.2.3.{number}.{index}" for index, name in enumerate(UIDS)}
        room.scored(*([package] if number % 2 else ["silent"]), seed=number, PatientID=f"P{number}", **uids)
    with room.house.database.transaction() as tx:
        t = tables.study
        for number in range(1, 11):
            tx.execute(
                update(t).where(t.c.id == number).values(public_id=f"{number:032x}", center_priority=1 + number % 3)
            )
            item = tables.worklist_item
            tx.execute(update(item).where(item.c.study_id == number).values(public_id=f"{number:032x}"))
            update_item(tx, study_id=number, now=room.house.clock(), settings=room.house.settings)


UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
LISTS = [
    {}, {"limit": "3"}, {"sort": "due"}, {"sort": "site"}, {"sort": "received"}, {"priority": "urgent"},
    {"priority": "routine"}, {"due": "4h"}, {"due": "today"}, {"due": "overdue"}, {"state": "scored"},
    {"claim": "free"},
]  # fmt: skip


SEARCHES = [
    "/dicomweb/studies?includefield=all", "/dicomweb/series?includefield=all", "/dicomweb/instances?includefield=all",
    "/dicomweb/studies?ModalitiesInStudy=SR", "/dicomweb/studies?ModalitiesInStudy=OT",
    *(f"/dicomweb/studies/1.2.3.{number}.0/{what}" for number in range(10) for what in ("series", "instances")),
    *(f"/dicomweb/studies/1.2.3.{number}.0/metadata" for number in range(10)),
]  # fmt: skip


def without_address(room: Room, answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.text.replace(room.house.address, "")


def claimed_next(reader: Reader) -> str:
    """Take the next free study: its order must not follow the AI either."""
    return str(reader.client.post(f"{LIST}/next", json={}).json()["public_id"])


def test_under_blind_two_services_that_differ_by_what_the_ai_found_answer_alike(tmp_path: Path, tools: Tools) -> None:
    told: list[list[Any]] = []
    orders: list[list[str]] = []
    for package in ("findings", "silent"):
        with made(tmp_path, tools, package) as room:
            fill(room, package)
            reader = room.reader("blind")
            told.append([reader.worklist(**query) for query in LISTS])
            told[-1] += [reader.case(f"{number:032x}") for number in range(1, 11)]
            told[-1] += [reader.get(f"{LIST}/{number:032x}").json() for number in range(1, 11)]
            told[-1] += [without_address(room, reader.client.get(one, headers=DICOM_JSON)) for one in SEARCHES]
            told[-1].append([claimed_next(reader) for _ in range(10)])
            orders.append([item["public_id"] for item in room.reader("triage").worklist()["items"]])

    assert told[0] == told[1]
    assert orders[0] != orders[1]  # under triage the same films are told apart: the twins do differ


# -------------------------------------------------------------------------------------------- who may see when


def test_a_final_report_shows_the_ai_to_every_reader_and_to_the_physician(room: Room) -> None:
    public_id = room.scored()
    physician, other = room.reader(role=Role.SITE_PHYSICIAN), room.reader()
    study = room.rows(tables.study)[0]["study_instance_uid"]
    sr = next(row["sop_instance_uid"] for row in room.rows(tables.instance) if row["is_result"])

    def seen(reader: Reader) -> bool:
        return sr in reader.client.get(f"/dicomweb/studies/{study}/instances", headers=DICOM_JSON).text

    states = []
    for status in (None, "preliminary", "final", "cancelled", "final"):
        if status is not None:
            room.sign(public_id, other.account_id, status=status)
        states.append((seen(physician), seen(other), other.case(public_id)["ai"] is not None))

    assert states == [(False,) * 3, (False,) * 3, (True,) * 3, (False,) * 3, (True,) * 3]


def test_a_report_that_does_not_stand_leads_no_other_reader(room: Room) -> None:
    public_id = room.scored()
    author, other = writer(room), room.reader()
    author.confirm()
    token = author.read(public_id)
    study = room.rows(tables.study)[0]["study_instance_uid"]

    def told(reader: Reader) -> set[str]:
        secrets = [row["sha256"] for row in room.rows(tables.report_version)] + ["%PDF"]
        secrets += [row["sop_instance_uid"] for row in room.rows(tables.instance) if is_report(row)]
        about = [one for one in addresses(room, public_id) if "report" in one or one.endswith(f"{study}/instances")]
        about += [f"/api/reports/{row['public_id']}/pdf?language=ko&version=1" for row in room.rows(tables.report)]
        text = "".join(reader.client.get(one, headers=DICOM_JSON).content.decode("latin-1") for one in about)
        return {secret for secret in secrets if secret in text}

    assert author.sign(public_id, token, NODULE, status="preliminary").status_code == 200
    preliminary = told(other)
    assert told(author)
    assert author.sign(public_id, token, NODULE).status_code == 200
    final = told(other)
    report_id = author.report(public_id)["public_id"]
    assert author.correct(report_id, "retract", reason="another person's images").status_code == 200
    retracted = told(other)
    other.has_read(public_id)

    assert (preliminary, retracted) == (set(), set())
    assert len(final) == 4  # both versions, the pages, and the object that they stand in the study as
    assert len(told(other)) == 6


def is_report(instance: dict[str, Any]) -> bool:
    return bool(instance["sop_class_uid"] == ENCAPSULATED_PDF)


def test_a_signed_report_in_the_study_is_read_by_all_who_may_see_the_study(room: Room) -> None:
    public_id = room.scored()
    with room.house.database.transaction() as tx:
        t = tables.instance
        report = tx.execute(select(t.c.id).where(t.c.is_result).limit(1)).scalar_one()
        tx.execute(update(t).where(t.c.id == report).values(sop_class_uid=ENCAPSULATED_PDF))
        uid = tx.execute(select(t.c.sop_instance_uid).where(t.c.id == report)).scalar_one()
    study = room.rows(tables.study)[0]["study_instance_uid"]

    found = [
        room.reader(role=role).client.get(f"/dicomweb/studies/{study}/instances", headers=DICOM_JSON).text.count(uid)
        for role in (Role.RADIOLOGIST, Role.SITE_PHYSICIAN)
    ]

    assert all(found)
    assert public_id


def test_one_readers_impression_opens_nothing_for_another(room: Room) -> None:
    public_id = room.scored()
    room.reader().has_read(public_id)

    assert room.reader().case(public_id)["ai"] is None


def test_who_runs_the_service_sees_results_as_before(room: Room) -> None:
    public_id = room.scored()
    administrator = room.reader(role=Role.ADMINISTRATOR)

    case, detail = administrator.case(public_id), administrator.get(f"{LIST}/{public_id}").json()

    assert [len(run["shown_findings"]) for run in case["ai"]["runs"]] == [2]
    assert case["reading"]["needs_impression"] is False
    assert {result["kind"] for result in detail["runs"][0]["results"]} == {"structured_report", "overlay"}
    assert (detail["ai_priority"], detail["priority"]) == (2, "urgent")
