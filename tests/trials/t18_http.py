"""Trial 18: every operation of the OpenAPI document with made-up values, and clients that hold on or shout.

A seed asks each operation a few times as one of three callers, against the real web process, and checks every answer
against the document. Then many clients send their headers by drops and others send far too many, while somebody else
goes on asking: how long that one waits is counted.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import hypothesis
from hypothesis.errors import Unsatisfiable
from pydicom import Dataset

from service.access import new_key, new_sign_in_link
from service.access.account_records import add_account, change_account
from service.access.accounts import NewAccount
from service.access.passwords import hash_password
from service.database import Database
from service.roles import Role
from service.settings import Settings
from tests.driver import free_port, is_open, wait_until
from tests.factories import add_site, make_radiograph, part10
from tests.trials.trial import Counts, Missing, Trial

EXAMPLES = 4
"""Of each operation in one seed; each third seed is the same caller's."""
CALLERS = ("key", Role.ADMINISTRATOR, Role.RADIOLOGIST)
MEANT = frozenset({503, 507})
"""Statuses of 500 and above that say what they mean: busy or not ready, and full."""
NOT_ASKED = {
    ("GET", "/api/worklist/events"): "a stream without an end",
    ("POST", "/api/sign-out"): "it would end the caller's session; the access matrix asks it",
    ("PUT", "/api/me/password"): "as above",
}
SCHEMA_CHECKS = (
    "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance",
)  # fmt: skip
OTHER_CHECKS = (
    "negative_data_rejection", "missing_required_header", "unsupported_method", "ignored_auth", "use_after_free",
    "ensure_resource_availability",
)  # fmt: skip
LENIENT = ("negative_data_rejection", "/dicomweb")
"""A key of a search may be empty, a list or a range, and an Accept may hold nonsense: more than a schema tells."""
OTHER_VERSION = ("negative_data_rejection", 412)
"""What tus answers first to who does not speak its version: refused all the same."""
DRIPPERS, SHOUTERS = 200, 4
FLOOD_S, LEAST_WAITS = 4.0, 20
PASSWORD = "eleven quiet radiographs"


def run(seed: int, folder: Path) -> Counts:
    """Ask everything, then flood; return what was counted."""
    counts: Counter[str] = Counter(
        dict.fromkeys(("examples", "server_errors", "schema_breaks", "other_breaks", "lost_sessions"), 0)
    )
    with serving(folder) as (settings, database):
        key = make_key(settings, database)
        film = store_film(settings, key)
        role = CALLERS[seed % len(CALLERS)]
        caller = key if isinstance(role, str) else sign_in(settings, database, role)
        with httpx.Client(base_url=address_of(settings), headers=caller, timeout=30) as client:
            document = client.get("/openapi.json").json()
            Asking(settings, caller, real_values(client, film), counts).everything(document, seed)
            counts["lost_sessions"] += client.get("/api/sign-in/options").status_code != 200
            counts["lost_sessions"] += client.get("/openapi.json").status_code != 200
        waits = flooded(settings, key)
    return {**counts, "waits": len(waits), "p99_s_max": sorted(waits)[int(len(waits) * 0.99)]}


@contextmanager
def serving(folder: Path) -> Iterator[tuple[Settings, Database]]:
    """Run the web process alone over a folder with one site and one study."""
    settings = Settings(data_folder=folder / "data", web_port=free_port(), min_free_bytes=0)
    database = Database(settings.sqlalchemy_url)
    database.migrate()
    environment = {
        **os.environ,
        "PANDOK_DATA_FOLDER": str(settings.data_folder),
        "PANDOK_WEB_PORT": str(settings.web_port),
        "PANDOK_MIN_FREE_BYTES": "0",
    }
    with (folder / "web.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "service.cli", "serve", "--only", "web"], env=environment, stdout=log, stderr=log
        )
    try:
        wait_until("the web process answers", lambda: is_open(settings.web_port))
        yield settings, database
        assert process.poll() is None, "the service died"
        assert "part died" not in (folder / "web.log").read_text(errors="replace"), "the web process died"
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)
        process.kill()
        database.close()


def address_of(settings: Settings) -> str:
    return f"http://127.0.0.1:{settings.web_port}"


def make_key(settings: Settings, database: Database) -> dict[str, str]:
    """Return the headers of a site's key."""
    site_id = add_site(database, "one")
    with database.transaction() as tx:
        return {"Authorization": f"Bearer {new_key(tx, site_id=site_id, name='trial', now=time.time()).text}"}


def store_film(settings: Settings, key: dict[str, str]) -> Dataset:
    film = make_radiograph()
    body = b"--b\r\n\r\n" + part10(film) + b"\r\n--b--\r\n"
    headers = {**key, "Content-Type": 'multipart/related; type="application/dicom"; boundary=b'}
    answer = httpx.post(f"{address_of(settings)}/dicomweb/studies", content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return film


def sign_in(settings: Settings, database: Database, role: Role) -> dict[str, str]:
    """Return the headers of a new person's browser."""
    now = time.time()
    with database.transaction() as tx:
        account_id = add_account(tx, NewAccount("trial", "Trial", role, None, "en", "UTC"), now=now).id
        change_account(tx, account_id, password_hash=hash_password(PASSWORD), password_set_at=now)
        link = new_sign_in_link(tx, settings, account_id=account_id, now=now)
    sent = {"token": link.partition("#token=")[2]}
    answer = httpx.post(f"{address_of(settings)}/api/sign-in", json=sent, headers={"X-Pandok": "1"})
    assert answer.status_code == 204
    cookie = "; ".join(f"{name}={value}" for name, value in answer.cookies.items())
    return {"X-Pandok": "1", "Cookie": cookie}


def real_values(client: httpx.Client, film: Dataset) -> dict[str, str]:
    """Return what addresses may name so that there is something behind them."""
    known = {
        "study_instance_uid": film.StudyInstanceUID, "series_instance_uid": film.SeriesInstanceUID,
        "sop_instance_uid": film.SOPInstanceUID, "numbers": "1", "path": "7FE00010",
    }  # fmt: skip
    page = client.get("/api/worklist")
    items = page.json().get("items", []) if page.status_code == 200 else []
    return {**known, **({"public_id": items[0]["public_id"]} if items else {})}


@dataclass
class Asking:
    """Asks the operations of a document as one caller and checks each answer against it."""

    settings: Settings
    headers: dict[str, str]
    real: dict[str, str]
    counts: Counter[str]

    def everything(self, document: dict[str, Any], seed: int) -> None:
        try:
            import schemathesis
            from schemathesis import GenerationMode
        except ImportError as error:
            raise Missing("schemathesis (the extra `test`)") from error
        schemathesis.serializer("multipart/related")(_as_multipart)
        schemathesis.serializer("application/offset+octet-stream")(_as_bytes)
        schema = schemathesis.openapi.from_dict(document)
        schema.config.update(base_url=address_of(self.settings), headers=self.headers)
        for result in schema.get_all_operations():
            operation = result.ok()
            if (operation.method.upper(), operation.path) not in NOT_ASKED:
                for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                    self.some(operation.as_strategy(generation_mode=mode), seed, mode is GenerationMode.POSITIVE)

    def some(self, cases: Any, seed: int, is_positive: bool) -> None:
        """Ask one operation a few times, with values that fit its description or with spoilt ones."""

        @hypothesis.seed(seed)
        @hypothesis.settings(
            max_examples=EXAMPLES // 2, database=None, deadline=None, phases=[hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        )  # fmt: skip
        @hypothesis.given(case=cases)
        def ask(case: Any) -> None:
            self.once(case, is_positive=is_positive)

        with contextlib.suppress(Unsatisfiable):  # where nothing can be spoilt there is no negative example
            ask()

    def once(self, case: Any, *, is_positive: bool) -> None:
        """Ask once; of valid questions every second one names what is really there."""
        if is_positive and case.path_parameters and self.counts["examples"] % 2:
            case.path_parameters.update({k: v for k, v in self.real.items() if k in case.path_parameters})
        is_multipart = getattr(case, "media_type", None) == "multipart/related"
        own = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=b'} if is_multipart else {}
        response = case.call(headers={**self.headers, **own}, timeout=30)
        self.counts["examples"] += 1
        self.counts[f"status_{response.status_code // 100}xx"] += 1
        if response.status_code >= 500 and response.status_code not in MEANT:
            self.fault("server_errors", case, response, "")
        self.check(case, response, SCHEMA_CHECKS, "schema_breaks")
        self.check(case, response, OTHER_CHECKS, "other_breaks")

    def check(self, case: Any, response: Any, names: tuple[str, ...], kind: str) -> None:
        import schemathesis.checks as known

        for check in known.CHECKS.get_all():
            name = check.__name__
            is_lenient = (name, case.path[:9]) == LENIENT or (name, response.status_code) == OTHER_VERSION
            if name in names and not is_lenient:
                try:
                    case.validate_response(response, checks=[check], headers=self.headers)
                except BaseExceptionGroup as group:
                    for fault in group.exceptions:
                        self.fault(kind, case, response, f"{name} {str(fault).splitlines()[:3]}")

    def fault(self, kind: str, case: Any, response: Any, words: str) -> None:
        self.counts[kind] += 1
        print(f"18 {kind}: {case.method} {case.path} {response.status_code} {words}", flush=True)


def _as_multipart(context: Any, value: Any) -> bytes:
    return b"--b\r\n\r\n" + _as_bytes(context, value) + b"\r\n--b--\r\n"


def _as_bytes(_context: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def flooded(settings: Settings, headers: dict[str, str]) -> list[float]:
    """Return how long each request of an honest client took while others held on and shouted."""
    command = [sys.executable, "-m", "tests.trials.t18_http", str(settings.web_port)]
    attackers = subprocess.Popen(command, stdout=subprocess.PIPE)
    waits = []
    try:
        assert attackers.stdout is not None
        assert attackers.stdout.readline()
        with httpx.Client(base_url=address_of(settings), headers=headers, timeout=30) as client:
            while len(waits) < LEAST_WAITS or sum(waits) < FLOOD_S:
                started = time.monotonic()
                assert client.get("/dicomweb/studies?limit=10").status_code in (200, 204)
                waits.append(time.monotonic() - started)
    finally:
        attackers.kill()
        attackers.communicate()
    return waits


def attack(port: int) -> None:
    """Hold many connections by dripping headers into them (slowloris), and send headers without end; until killed."""
    threads = [threading.Thread(target=_drip, args=(port,), daemon=True)]
    threads += [threading.Thread(target=_shout, args=(port,), daemon=True) for _ in range(SHOUTERS)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    print("attacking", flush=True)
    threading.Event().wait()


def _drip(port: int) -> None:
    held: list[socket.socket] = []
    while True:
        while len(held) < DRIPPERS:
            with contextlib.suppress(OSError):
                held.append(socket.create_connection(("127.0.0.1", port), timeout=5))
                held[-1].sendall(b"GET /dicomweb/studies HTTP/1.1\r\nHost: x\r\n")
        time.sleep(0.5)
        for each in list(held):
            try:
                each.sendall(b"X-Drop: 1\r\n")
            except OSError:
                held.remove(each)


def _shout(port: int) -> None:
    line = b"".join(b"X-%d: %s\r\n" % (number, b"a" * 500) for number in range(2_000))
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as each:
            each.sendall(b"GET /dicomweb/studies HTTP/1.1\r\nHost: x\r\n")
            while True:
                each.sendall(line)
        time.sleep(0.02)


TRIAL = Trial(
    number="18",
    title="Every operation of the OpenAPI document with made-up values; slow and shouting clients beside an honest one",
    run=run,
    counted="examples",
    full=51_600,  # 200 of each operation, as each caller
    never=("server_errors", "schema_breaks", "other_breaks", "lost_sessions"),
    quick=(0,),
    at_most={"p99_s_max": 1.0},
)

if __name__ == "__main__":
    attack(int(sys.argv[1]))
