"""No patient attribute reaches a log line or a metric, whatever fails."""

from __future__ import annotations

import ast
import io
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from service import logs
from service.logs import JsonLines, start_logs
from tests.service.house import House

NAME, PATIENT_ID, UID = "KANARIE^VOGEL", "KAN-4711", "1.2.826.0.1.4711.4711"
CANARIES = (NAME, PATIENT_ID, UID, "KANARIE")
SERVICE = Path(logs.__file__).parent


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What this process logs, as in a real start; the test run's own logging is put back afterwards."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    stream = io.StringIO()
    start_logs("DEBUG", stream)
    yield stream
    for handler in list(root.handlers):
        root.removeHandler(handler)
    for handler in before:
        root.addHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(False)


def one(lines: io.StringIO) -> dict[str, object]:
    value: dict[str, object] = json.loads(lines.getvalue().splitlines()[-1])
    return value


def test_a_record_is_one_line_with_its_fields(lines: io.StringIO) -> None:
    logging.getLogger("pandok.intake").info("stored", extra={"study_id": 7, "instances": 212, "spacing_mm": 0.7})

    line = one(lines)
    assert line["message"] == "stored"
    assert (line["study_id"], line["instances"], line["spacing_mm"]) == (7, 212, 0.7)


def test_a_field_that_is_not_known_is_dropped_by_name(lines: io.StringIO) -> None:
    logging.getLogger("pandok.intake").info("stored", extra={"patient_name": NAME, "study_id": NAME, "reason": 5})

    assert NAME not in lines.getvalue()
    assert one(lines)["dropped"] == ["patient_name", "study_id"]


def test_a_message_never_holds_its_arguments(lines: io.StringIO) -> None:
    logging.getLogger("pandok.intake").warning("stored %s", NAME)

    assert one(lines)["message"] == "stored %s"


def test_a_librarys_words_are_not_repeated(lines: io.StringIO) -> None:
    logging.getLogger("pydicom").critical(f"bad value {NAME}")
    logging.getLogger("some.library").error(f"bad value {NAME}")
    logging.getLogger("uvicorn.error").error(f"bad value {NAME}")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(f"bad value {NAME}", stacklevel=1)

    assert len(lines.getvalue().splitlines()) == 4
    assert NAME not in lines.getvalue()


def test_an_exception_tells_where_and_not_what(lines: io.StringIO) -> None:
    try:
        int(NAME)
    except ValueError:
        logging.getLogger("pandok.worker").exception("failed")

    line = one(lines)
    assert line["exception"] == "ValueError"
    assert "test_an_exception_tells" in str(line["frames"])
    assert NAME not in lines.getvalue()


def test_a_line_break_cannot_forge_a_record(lines: io.StringIO) -> None:
    logging.getLogger("pandok.intake").info("stored", extra={"reason": 'x"}\n{"level":"ERROR"}'})

    assert len(lines.getvalue().splitlines()) == 1


def test_nothing_of_a_patient_is_logged_or_measured(house: House, lines: io.StringIO) -> None:
    @house.app.get("/api/breaks/{name}")
    def breaks(name: str) -> None:
        with house.database.reading() as rx:
            rx.execute(text("SELECT * FROM nowhere WHERE name = :name"), {"name": name})

    house.add_scored(
        {"presence": "present", "probability": 0.9}, patient_name=NAME, patient_id=PATIENT_ID, study_instance_uid=UID
    )
    person, key, public_id = house.signed_in(), house.with_key(), f"{1:032x}"

    assert NAME in person.get("/api/worklist").text
    assert UID in person.get(f"/api/worklist/{public_id}").text
    assert person.get(f"/api/breaks/{NAME}").status_code == 500
    for client in (person, key, house.stranger):
        for path in (
            f"/dicomweb/studies/{UID}", f"/dicomweb/studies?PatientName={NAME}", f"/api/worklist/{PATIENT_ID}",
            f"/api/worklist?state={NAME}", f"/{NAME}", f"/api/studies/{UID}/done", f"/api/worklist?cursor={UID}",
        ):  # fmt: skip
            client.get(path)
            client.post(path, content=f"{NAME} {UID}", headers={"Content-Type": f"text/{PATIENT_ID}"})
    measured = person.get("/metrics").text

    assert len(lines.getvalue().splitlines()) > 40
    assert [canary for canary in CANARIES if canary in lines.getvalue()] == []
    assert [canary for canary in CANARIES if canary in measured] == []


def test_every_field_that_our_code_logs_is_known() -> None:
    unknown = {}
    for path in SERVICE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "extra" and isinstance(node.value, ast.Dict):
                for key in node.value.keys:
                    if isinstance(key, ast.Constant) and not is_known(str(key.value)):
                        unknown[f"{path.name}:{key.lineno}"] = key.value

    assert unknown == {}


def is_known(field: str) -> bool:
    return field in logs.WORDS or field in logs.NUMBERS or field.endswith(logs.NUMBER_ENDINGS)


def test_every_message_that_our_code_logs_is_fixed() -> None:
    made = []
    for path in SERVICE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
                continue
            target, message = node.func.value, node.args[0]
            if isinstance(target, ast.Name) and target.id == "log" and not isinstance(message, ast.Constant):
                made.append(f"{path.name}:{node.lineno}")

    assert made == []


def test_the_formatter_survives_anything() -> None:
    record = logging.makeLogRecord({"name": "pandok.x", "msg": object(), "levelname": "INFO", "reason": object()})

    assert json.loads(JsonLines().format(record))["dropped"] == ["reason"]
