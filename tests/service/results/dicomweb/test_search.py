"""QIDO-RS over HTTP: what is found, what is told of it, who finds it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from xml.etree import ElementTree as Xml

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import generate_uid
from sqlalchemy import Connection

from service.results.dicomweb import qido, records
from service.results.dicomweb.attributes import Level
from service.results.dicomweb.qido import parse_search
from tests.factories import make_ct_slice, make_radiograph, phantom
from tests.service.intake.doors import poll
from tests.service.results.dicomweb.conftest import Web

KIM = "1.2.826.0.1.3680043.10.1"
IVANOVA = "1.2.826.0.1.3680043.10.2"
NGUYEN = "1.2.826.0.1.3680043.10.3"
SOUTHERN = "1.2.826.0.1.3680043.10.4"


@pytest.fixture(scope="module", autouse=True)
def studies(web: Web) -> None:
    kim = make_radiograph(
        PatientName="Kim^Minjun=김^민준", PatientID="P-1", StudyDate="20260102", StudyTime="081500.25",
        AccessionNumber="A-100", StudyID="S1", PatientBirthDate="19600101", PatientSex="M",
        TimezoneOffsetFromUTC="+0900", StudyDescription="Chest PA", SeriesDescription="PA",
        PerformedProcedureStepStartDate="20260102", PerformedProcedureStepStartTime="081730.5",
    )  # fmt: skip
    request = Dataset()
    request.RequestedProcedureID, request.ScheduledProcedureStepID = "RP-7", "흉부-1"
    kim.RequestAttributesSequence = Sequence([request])
    kim.StudyInstanceUID, kim.SeriesInstanceUID, kim.SOPInstanceUID = KIM, f"{KIM}.1", f"{KIM}.1.1"
    web.send(kim)
    web.send(_sibling(kim, f"{KIM}.1", f"{KIM}.1.2", InstanceNumber=2))
    slice_ = make_ct_slice(PatientName="Kim^Minjun=김^민준", PatientID="P-1", StudyDate="20260102", SeriesNumber=2)
    slice_.StudyInstanceUID, slice_.SeriesInstanceUID, slice_.SOPInstanceUID = KIM, f"{KIM}.2", f"{KIM}.2.1"
    web.send(slice_)
    ivanova = make_radiograph(
        PatientName="Иванова^Анна",
        PatientID="P-2",
        ReferringPhysicianName="Đặng^Thị Hồng",
        StudyDate="20260110",
        StudyTime="235959",
        AccessionNumber="A-200",
    )
    ivanova.StudyInstanceUID = IVANOVA
    web.send(ivanova)
    nguyen = make_radiograph(
        PatientName="Nguyễn^Thị Bích", PatientID="Q_1%", StudyDate="20251231", StudyTime="", AccessionNumber=""
    )
    nguyen.StudyInstanceUID = NGUYEN
    web.send(nguyen)
    southern = make_radiograph(PatientName="Kim^Minjun", PatientID="P-1", StudyDate="20260102", AccessionNumber="A-100")
    southern.StudyInstanceUID = SOUTHERN
    web.send(southern, "south")


def _sibling(of: Any, series_uid: str, uid: str, **attributes: Any) -> Any:
    dataset = make_radiograph(
        seed=3, **{k: of.get(k) for k in ("PatientName", "PatientID", "StudyDate", "StudyTime", "AccessionNumber")},
        **attributes,
    )  # fmt: skip
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID = of.StudyInstanceUID, series_uid, uid
    return dataset


def found(web: Web, path: str, query: str = "", code: str = "north") -> list[dict[str, Any]]:
    with web.client(code) as client:
        answer = client.get(f"{path}?{query}")
    assert answer.status_code in (200, 204), answer.text
    return answer.json() if answer.status_code == 200 else []


def uids(items: list[dict[str, Any]], tag: str = "0020000D") -> list[str]:
    return [item[tag]["Value"][0] for item in items]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [IVANOVA, KIM, NGUYEN]),
        ("StudyDate=20260102", [KIM]),
        ("00080020=20260102", [KIM]),
        ("StudyDate=20260101-", [IVANOVA, KIM]),
        ("StudyDate=-20260102", [KIM, NGUYEN]),
        ("StudyDate=20251231-20260102", [KIM, NGUYEN]),
        ("StudyDate=20260103-20260109", []),
        ("StudyTime=0815-0816", [KIM]),
        ("StudyTime=08", [KIM]),
        ("StudyTime=10-", [IVANOVA]),
        ("AccessionNumber=A-100", [KIM]),
        ("AccessionNumber=A-*", [IVANOVA, KIM]),
        ("AccessionNumber=*00", [IVANOVA, KIM]),
        ("AccessionNumber=A?2*", [IVANOVA]),
        ("AccessionNumber=", [IVANOVA, KIM, NGUYEN]),
        ('AccessionNumber=""&emptyvaluematching=true', [NGUYEN]),
        ("PatientID=P-1", [KIM]),
        ("PatientID=p-1", []),
        ("PatientID=Q_1%25", [NGUYEN]),
        ("PatientID=*_1%25*", [NGUYEN]),
        ("PatientID=*_1", []),
        ("PatientID=P-1,P-2&multiplevaluematching=true", [IVANOVA, KIM]),
        ("PatientName=KIM*", [KIM]),
        ("PatientName=kim^minjun", [KIM]),
        ("PatientName=Kim^Min", []),
        ("PatientName=*minjun*", [KIM]),
        ("PatientName=김*", [KIM]),
        ("PatientName=김^민준", [KIM]),
        ("PatientName=иванова*", [IVANOVA]),
        ("PatientName=Иванова^Анна", [IVANOVA]),
        ("PatientName=nguyen*", [NGUYEN]),
        ("PatientName=Nguyễn^Thị Bích", [NGUYEN]),
        ("PatientName=Ngu?en*", [NGUYEN]),
        ("ModalitiesInStudy=CT", [KIM]),
        ("ModalitiesInStudy=CR", [IVANOVA, KIM, NGUYEN]),
        ("ModalitiesInStudy=CT,MR", [KIM]),
        ("ModalitiesInStudy=MR", []),
        ("PatientSex=M", [KIM]),
        ("PatientBirthDate=19600101", [KIM]),
        ("ReferringPhysicianName=Referring*", [KIM, NGUYEN]),
        ("ReferringPhysicianName=referring^doctor", [KIM, NGUYEN]),
        ("ReferringPhysicianName=*thi hong", [IVANOVA]),
        ("PatientName=*민*", [KIM]),
        ("PatientName=*ИВАН*", [IVANOVA]),
        ("PatientName=*bich", [NGUYEN]),
        ("PatientID=*-?", [IVANOVA, KIM]),
        (f"StudyInstanceUID={KIM},{IVANOVA}", [IVANOVA, KIM]),
        (f"StudyInstanceUID={KIM}%5C{NGUYEN}", [KIM, NGUYEN]),
        (f"StudyInstanceUID={SOUTHERN}", []),
        ("StudyID=S1", [KIM]),
        ("StudyDate=20260101-&ModalitiesInStudy=CR&PatientName=K*", [KIM]),
        ("fuzzymatching=true&PatientName=kim*", [KIM]),
        ("limit=1", [IVANOVA]),
        ("limit=1&offset=1", [KIM]),
        ("offset=3", []),
        ("limit=0", []),
    ],
)
def test_studies_are_found_by(web: Web, query: str, expected: list[str]) -> None:
    assert uids(found(web, "/studies", query)) == expected


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        ("/series", "Modality=CT", [f"{KIM}.2"]),
        ("/series", f"StudyInstanceUID={KIM}&SeriesNumber=1", [f"{KIM}.1"]),
        ("/series", "PatientID=P-1&PerformedProcedureStepStartDate=20260102", [f"{KIM}.1"]),
        ("/series", "PerformedProcedureStepStartTime=0817", [f"{KIM}.1"]),
        ("/series", "00400245=081730-0818", [f"{KIM}.1"]),
        ("/series", "PerformedProcedureStepStartTime=0818-", []),
        ("/series", "PerformedProcedureStepStartTime=-081729", []),
        (f"/studies/{KIM}/series", "PerformedProcedureStepStartTime=081730.5", [f"{KIM}.1"]),
        ("/series", "RequestAttributesSequence.RequestedProcedureID=RP-7", [f"{KIM}.1"]),
        ("/series", "00400275.00401001=RP-*", [f"{KIM}.1"]),
        ("/series", "RequestAttributesSequence.00400009=흉부-1", [f"{KIM}.1"]),
        (f"/studies/{KIM}/series", "00400275.00401001=RP-8", []),
        (f"/studies/{KIM}/series", "", [f"{KIM}.1", f"{KIM}.2"]),
        (f"/studies/{KIM}/series", f"SeriesInstanceUID={KIM}.2", [f"{KIM}.2"]),
        (f"/studies/{SOUTHERN}/series", "", []),
    ],
)
def test_series_are_found_by(web: Web, path: str, query: str, expected: list[str]) -> None:
    assert uids(found(web, path, query), "0020000E") == expected


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        (f"/studies/{KIM}/instances", "", [f"{KIM}.1.1", f"{KIM}.1.2", f"{KIM}.2.1"]),
        (f"/studies/{KIM}/instances", "InstanceNumber=2", [f"{KIM}.1.2"]),
        (f"/studies/{KIM}/instances", "SOPClassUID=1.2.840.10008.5.1.4.1.1.2", [f"{KIM}.2.1"]),
        (f"/studies/{KIM}/series/{KIM}.1/instances", "", [f"{KIM}.1.1", f"{KIM}.1.2"]),
        (f"/studies/{KIM}/series/{IVANOVA}/instances", "", []),
        ("/instances", f"SOPInstanceUID={KIM}.1.1,{KIM}.2.1", [f"{KIM}.1.1", f"{KIM}.2.1"]),
        ("/instances", "PatientID=P-1&Modality=CT", [f"{KIM}.2.1"]),
        ("/instances", "RequestAttributesSequence.RequestedProcedureID=RP-7", [f"{KIM}.1.1", f"{KIM}.1.2"]),
    ],
)
def test_instances_are_found_by(web: Web, path: str, query: str, expected: list[str]) -> None:
    assert uids(found(web, path, query), "00080018") == expected


def test_a_study_tells_what_the_standard_asks_for(web: Web) -> None:
    [study] = found(web, "/studies", "PatientID=P-1")

    assert study == {
        "00080020": {"vr": "DA", "Value": ["20260102"]},
        "00080030": {"vr": "TM", "Value": ["081500.25"]},
        "00080050": {"vr": "SH", "Value": ["A-100"]},
        "00080056": {"vr": "CS", "Value": ["ONLINE"]},
        "00080061": {"vr": "CS", "Value": ["CR", "CT"]},
        "00080090": {"vr": "PN", "Value": [{"Alphabetic": "Referring^Doctor"}]},
        "00080201": {"vr": "SH", "Value": ["+0900"]},
        "00081190": {"vr": "UR", "Value": [f"{web.address}/dicomweb/studies/{KIM}"]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Kim^Minjun", "Ideographic": "김^민준"}]},
        "00100020": {"vr": "LO", "Value": ["P-1"]},
        "00100030": {"vr": "DA", "Value": ["19600101"]},
        "00100040": {"vr": "CS", "Value": ["M"]},
        "0020000D": {"vr": "UI", "Value": [KIM]},
        "00200010": {"vr": "SH", "Value": ["S1"]},
        "00201206": {"vr": "IS", "Value": [2]},
        "00201208": {"vr": "IS", "Value": [3]},
    }


def test_an_absent_value_is_an_element_without_one(web: Web) -> None:
    [study] = found(web, "/studies", "PatientName=nguyen*")

    assert study["00080050"] == {"vr": "SH"}


def test_series_of_a_study_tell_their_own_attributes_only(web: Web) -> None:
    series = found(web, f"/studies/{KIM}/series")[0]

    assert set(series) == {
        "00080056", "00080060", "0008103E", "00081190", "0020000D", "0020000E", "00200011", "00201209", "00400244",
        "00400245", "00400275",
    }  # fmt: skip
    assert series["00201209"] == {"vr": "IS", "Value": [2]}
    assert series["00081190"]["Value"] == [f"{web.address}/dicomweb/studies/{KIM}/series/{KIM}.1"]


def test_a_series_tells_the_request_behind_it(web: Web) -> None:
    first, second = found(web, f"/studies/{KIM}/series")

    assert first["00400275"] == {
        "vr": "SQ",
        "Value": [{"00400009": {"vr": "SH", "Value": ["흉부-1"]}, "00401001": {"vr": "SH", "Value": ["RP-7"]}}],
    }
    assert second["00400275"] == {"vr": "SQ"}


def test_series_of_all_studies_tell_their_study_too(web: Web) -> None:
    [series] = found(web, "/series", "Modality=CT")

    assert series["00100020"]["Value"] == ["P-1"]
    assert "00201209" in series


def test_an_instance_tells_its_size_and_where_it_is(web: Web) -> None:
    instance = found(web, f"/studies/{KIM}/instances")[0]

    assert instance["00280010"] == {"vr": "US", "Value": [96]}
    assert instance["00280011"] == {"vr": "US", "Value": [80]}
    assert instance["00280100"] == {"vr": "US", "Value": [16]}
    assert instance["00083002"]["Value"] == ["1.2.840.10008.1.2.1"]
    assert instance["00081190"]["Value"] == [f"{web.address}/dicomweb/studies/{KIM}/series/{KIM}.1/instances/{KIM}.1.1"]
    assert "00100020" not in instance


def test_an_instance_tells_how_many_frames_it_has(web: Web) -> None:
    several = make_radiograph(np.concatenate([phantom(seed=1), phantom(seed=2)]), NumberOfFrames=2)
    several.Rows = 96
    web.send(several, "south")

    [told] = found(web, "/instances", f"SOPInstanceUID={several.SOPInstanceUID}", "south")
    [single] = found(web, "/instances", f"SOPInstanceUID={KIM}.1.1")

    assert told["00280008"] == {"vr": "IS", "Value": [2]}
    assert single["00280008"] == {"vr": "IS"}


@pytest.mark.parametrize(
    "query", ["includefield=StudyDescription", "includefield=00081030,00080060", "includefield=all"]
)
def test_more_is_told_when_asked_for(web: Web, query: str) -> None:
    [study] = found(web, "/studies", f"PatientID=P-1&{query}")

    assert study["00081030"] == {"vr": "LO", "Value": ["Chest PA"]}


def test_attributes_of_a_lower_level_are_not_told(web: Web) -> None:
    [study] = found(web, "/studies", "PatientID=P-1&includefield=Modality,SOPInstanceUID")

    assert not {"00080060", "00080018"} & set(study)


def test_a_page_warns_of_what_is_left(web: Web) -> None:
    with web.client() as client:
        answer = client.get("/studies?limit=2")

    assert answer.headers["Warning"] == '299 pandok: "There are 1 additional results that can be requested"'


@pytest.mark.parametrize(
    ("path", "level", "remaining"),
    [
        ("/studies", Level.STUDY, 1),
        ("/series", Level.SERIES, 2),
        ("/instances", Level.INSTANCE, 3),
        (f"/studies/{KIM}/instances", Level.INSTANCE, 1),
    ],
)
@pytest.mark.parametrize("limit", ["", "limit=3"])
def test_no_answer_is_longer_than_the_services_own_page(
    web: Web, monkeypatch: pytest.MonkeyPatch, path: str, level: Level, remaining: int, limit: str
) -> None:
    whole = found(web, path)
    monkeypatch.setattr(qido, "MAX_RESULTS", {**dict.fromkeys(Level, 1_000), level: 2})

    with web.client() as client:
        first, next_ = client.get(f"{path}?{limit}"), client.get(f"{path}?offset=2&{limit}")

    words = f"There are {remaining} additional results that can be requested"
    assert first.headers["Warning"] == f'299 pandok: "{words}"'
    assert first.json() == whole[:2]
    assert next_.json() == whole[2:4]


def test_the_services_own_page_is_no_smaller_than_it_says() -> None:
    longest = {level: parse_search(level, None, [("limit", "10000000")]).limit for level in Level}

    assert longest == {Level.STUDY: 1_000, Level.SERIES: 5_000, Level.INSTANCE: 5_000}
    assert {level: parse_search(level, None, []).limit for level in Level} == longest


def test_a_whole_answer_warns_of_nothing(web: Web) -> None:
    with web.client() as client:
        assert "Warning" not in client.get("/studies").headers


@pytest.mark.parametrize("query", ["fuzzymatching=true", "Manufacturer=Phantom", "Modality=CR",
                                   "RequestAttributesSequence.RequestedProcedureID=7", "ViewPosition=PA"])  # fmt: skip
def test_what_was_not_searched_by_is_told(web: Web, query: str) -> None:
    with web.client() as client:
        assert client.get(f"/studies?{query}").headers["Warning"].startswith('299 pandok: "')


def test_nothing_found_is_204(web: Web) -> None:
    with web.client() as client:
        answer = client.get("/studies?PatientID=nobody")

    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize(
    "query",
    [
        "Foo=1", "StudyDate=yesterday", "StudyDate=2026-01-02-03", "StudyDate=-", "StudyTime=99", "limit=-1", "limit=x",
        "offset=1e3", "limit=99999999999", "StudyInstanceUID=../../etc", "StudyInstanceUID=%27%20OR%201=1",
        "PatientID=a&PatientID=b", "PatientID=a&00100020=b", "fuzzymatching=maybe", "includefield=Foo",
        "00100020.Foo=1", "SeriesNumber=one", "PatientID=%00", "ZZZZZZZZ=1", "PatientID=" + "x" * 1100,
        "=1", "99999999=1",
        "PatientID=a*,b&multiplevaluematching=true",
    ],
)  # fmt: skip
def test_a_query_that_cannot_be_is_400(web: Web, query: str) -> None:
    with web.client() as client:
        path = "/series" if "SeriesNumber" in query else "/studies"
        answer = client.get(f"{path}?{query}")

    assert answer.status_code == 400
    assert set(answer.json()) == {"error", "message"}


@pytest.mark.parametrize("accept", ["application/dicom+json", "application/json", "*/*", "application/*", ""])
def test_json_is_given(web: Web, accept: str) -> None:
    with web.client() as client:
        answer = client.get("/studies", headers={"Accept": accept})

    assert answer.headers["Content-Type"] == "application/dicom+json"


def test_another_type_is_406(web: Web) -> None:
    with web.client() as client:
        assert client.get("/studies", headers={"Accept": "text/html"}).status_code == 406


def test_studies_are_told_in_xml_when_asked(web: Web) -> None:
    accept = 'multipart/related; type="application/dicom+xml"'
    with web.client() as client:
        answer = client.get("/studies?PatientID=P-1", headers={"Accept": accept})

    body = answer.content.decode()
    assert answer.headers["Content-Type"].startswith('multipart/related; type="application/dicom+xml"')
    document = Xml.fromstring(body[body.index("<NativeDicomModel") : body.index("</NativeDicomModel>") + 19])
    values = {node.get("keyword"): [v.text for v in node.findall("Value")] for node in document}
    assert values["ModalitiesInStudy"] == ["CR", "CT"]
    assert document.find(".//Ideographic/GivenName").text == "민준"  # type: ignore[union-attr]  # missing fails too


def test_a_site_finds_its_own_only(web: Web) -> None:
    assert uids(found(web, "/studies", "PatientID=P-1", "south")) == [SOUTHERN]
    assert uids(found(web, "/instances", f"StudyInstanceUID={KIM}", "south")) == []
    assert uids(found(web, f"/studies/{KIM}/series", "", "south")) == []


def test_a_site_cannot_name_another(web: Web) -> None:
    with web.client("south") as client:
        assert client.get("/studies?site=north").status_code == 404
        assert client.get("/studies?site=south").status_code == 200


def test_a_person_finds_every_site_or_the_one_named(web: Web) -> None:
    with web.person() as client:
        everywhere = client.get("/studies?PatientID=P-1").json()
        in_south = client.get("/studies?PatientID=P-1&site=south").json()

    assert sorted(uids(everywhere)) == [KIM, SOUTHERN]
    assert uids(in_south) == [SOUTHERN]


def test_a_stranger_finds_nothing(web: Web) -> None:
    import httpx

    assert httpx.get(f"{web.address}/dicomweb/studies").status_code == 401


_NAMES = st.sampled_from(
    ["PatientName", "PatientID", "StudyDate", "StudyTime", "StudyInstanceUID", "ModalitiesInStudy", "limit", "offset",
     "includefield", "fuzzymatching", "emptyvaluematching", "multiplevaluematching", "SeriesNumber", "00080020"]
) | st.text(max_size=12)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(_NAMES, st.text(max_size=20)), max_size=4), st.sampled_from(["studies", "series", "instances"])
)
def test_no_query_breaks_the_service(web: Web, query: list[tuple[str, str]], what: str) -> None:
    pairs = [(name.encode("utf-8", "replace"), value.encode("utf-8", "replace")) for name, value in query]
    from urllib.parse import urlencode

    with web.client() as client:
        answer = client.get(f"/{what}?{urlencode(pairs)}")

    assert answer.status_code in (200, 204, 400, 404)


def test_a_study_that_nobody_has_has_no_series(web: Web) -> None:
    assert found(web, f"/studies/{generate_uid()}/series") == []


def test_a_search_that_reads_too_much_is_refused_and_holds_nobody_else_up(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    begun, seated = threading.Semaphore(0), threading.Semaphore(0)
    take = web.app.state.search_seats.take

    def take_seat(origin: str) -> bool:
        is_taken: bool = take(origin)
        if is_taken:
            seated.release()
        return is_taken

    def search(rx: Connection, *_query: object) -> None:
        begun.release()
        rx.exec_driver_sql(endless)

    def ask() -> httpx.Response:
        with web.client() as client:
            return client.get("/studies?StudyDescription=nowhere")

    most = 2 * web.settings.search_threads
    with ThreadPoolExecutor(64) as asking, monkeypatch.context() as patch:
        patch.setattr(records, "search", search)
        patch.setattr(web.app.state.search_seats, "take", take_seat)
        patch.setattr(web.app.state, "settings", web.settings.model_copy(update={"search_s": 2.0}))
        slow = [asking.submit(ask) for _ in range(most)]
        for _ in range(web.settings.search_threads):
            begun.acquire()
        for _ in range(most):
            seated.acquire()
        poll(lambda: ask().status_code == 503)  # no more of this caller wait
        with web.client() as client:
            assert client.get(f"/studies/{KIM}/metadata").status_code == 200
        assert not any(one.done() for one in slow)
        answers = [one.result() for one in slow]

    assert {answer.status_code for answer in answers} == {413}
    assert answers[0].json()["error"] == "too_broad"
    assert "name a patient" in answers[0].json()["message"]
