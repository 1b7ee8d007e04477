"""The load of a soak: senders, broken senders, searchers and a reader, each at its own steady pace."""

from __future__ import annotations

import io
import itertools
import random
import threading
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
from pydicom import Dataset

from tests.benchmarks.films import chest_film
from tests.driver import Service
from tests.factories import part10
from tests.trials.place import Place, sha256_of, slices

SHRUNK = 2
SLICES = 6
RECENT = 20
"""Studies that are looked at again."""


class Refused(Exception):
    """A request was answered otherwise than it should have been."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request: of which kind, when (since the start), for how long, and whether it was answered as it should be."""

    kind: str
    at_s: float
    took_s: float
    is_answered: bool


@dataclass
class Load:
    """Everybody who calls on the service, until told to stop."""

    place: Place
    service: Service
    pace: float = 1.0
    """How many times as fast as usual."""
    acknowledged: dict[str, str] = field(default_factory=dict)
    """SOP Instance UID → SHA-256 of its data set, of what was said to be stored."""
    requests: list[Request] = field(default_factory=list)
    signed: int = 0
    started_at: float = field(default_factory=time.monotonic)
    _recent: list[Dataset] = field(default_factory=list)
    _seeds: Any = field(default_factory=itertools.count)
    _dice: random.Random = field(default_factory=lambda: random.Random(1))
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Let everybody begin, each with a part of its own period between."""
        kinds: tuple[tuple[str, float, Callable[[], None]], ...] = (
            ("C-STORE film", 4.0, self.c_store),
            ("C-STORE film, second sender", 6.0, self.c_store),
            ("C-STORE series", 15.0, self.c_store_series),
            ("STOW film", 5.0, self.stow),
            ("upload of a file", 8.0, self.upload),
            ("upload of a zip", 30.0, self.upload_zip),
            ("broken file", 6.0, self.broken),
            ("QIDO", 1.0, self.qido),
            ("WADO instance", 2.0, self.wado),
            ("WADO rendered", 9.0, self.rendered),
            ("worklist page", 1.0, self.worklist),
            ("reading and signing", 12.0, self.sign),
        )
        self.started_at = time.monotonic()
        for number, (kind, every_s, act) in enumerate(kinds):
            pause_s = 1 + number / len(kinds)
            words = (kind.partition(",")[0], every_s / self.pace, act, pause_s)
            self._threads.append(threading.Thread(target=self._keep_pace, args=words))
            self._threads[-1].start()

    def stop(self) -> None:
        """Let everybody end what they are at."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _keep_pace(self, kind: str, every_s: float, act: Callable[[], None], pause_s: float) -> None:
        due = time.monotonic() + pause_s
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            started = time.monotonic()
            is_answered = True
            try:
                act()
            except (httpx.HTTPError, OSError, RuntimeError, AssertionError, Refused):
                is_answered = False
            now = time.monotonic()
            self.requests.append(Request(kind, started - self.started_at, now - started, is_answered))
            due = max(due + every_s, now)

    # ------------------------------------------------------------ senders

    def _film(self) -> Dataset:
        return chest_film(next(self._seeds), shrunk=SHRUNK)

    def _keep(self, *datasets: Dataset) -> None:
        self.acknowledged.update({str(one.SOPInstanceUID): sha256_of(one) for one in datasets})
        self._recent = [*self._recent, *datasets][-RECENT:]

    def c_store(self) -> None:
        """Send a film over an association of its own."""
        dataset = self._film()
        if self.place.c_store(dataset) != 0:
            raise Refused
        self._keep(dataset)

    def c_store_series(self) -> None:
        """Send a series, slice by slice, over one association."""
        datasets = slices(SLICES, next(self._seeds))
        answers = self.place.associate(lambda one: [one.send_c_store(each) for each in datasets], tuple(datasets)) or []
        stored = [each for each, answer in zip(datasets, answers, strict=False) if answer.get("Status") == 0]
        self._keep(*stored)
        if len(stored) < len(datasets):
            raise Refused

    def stow(self) -> None:
        """Send a film by STOW-RS."""
        dataset = self._film()
        _, stored = self.place.stow(dataset)
        if str(dataset.SOPInstanceUID) not in stored:
            raise Refused
        self._keep(dataset)

    def upload(self) -> None:
        """Send a film as the upload page does."""
        dataset = self._film()
        self._upload(part10(dataset), "film.dcm", dataset)

    def upload_zip(self) -> None:
        """Send a zip of films as the upload page does."""
        datasets = [self._film() for _ in range(3)]
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as into:
            for number, dataset in enumerate(datasets):
                into.writestr(f"folder/{number}.dcm", part10(dataset))
        self._upload(packed.getvalue(), "films.zip", *datasets)

    def _upload(self, content: bytes, name: str, *datasets: Dataset) -> None:
        answer = self.place.http.post("/api/uploads", content=content, headers={"X-File-Name": name})
        kept = {one["sop_instance_uid"] for one in answer.json().get("files", []) if one["kept"]}
        stored = [one for one in datasets if one.SOPInstanceUID in kept]
        self._keep(*stored)
        if len(stored) < len(datasets):
            raise Refused

    def broken(self) -> None:
        """Send what cannot be kept: cut off, or no DICOM at all; it is refused, and that is the right answer."""
        content = part10(self._film())
        cut = [content[: len(content) // 2], self._dice.randbytes(20_000), b"PK\x03\x04" + self._dice.randbytes(5_000)]
        answer = self.place.http.post("/api/uploads", content=self._dice.choice(cut), headers={"X-File-Name": "x"})
        if not 400 <= answer.status_code < 500:
            raise Refused

    # ------------------------------------------------------------ readers

    def _ask(self, path: str, **headers: str) -> httpx.Response:
        answer = self.place.http.get(f"/dicomweb{path}", headers=headers)
        if answer.status_code not in (200, 204):
            raise Refused
        return answer

    def _instance(self) -> str:
        one = self._dice.choice(self._recent) if self._recent else self._film()
        return f"/studies/{one.StudyInstanceUID}/series/{one.SeriesInstanceUID}/instances/{one.SOPInstanceUID}"

    def qido(self) -> None:
        """Search for the newest studies."""
        self._ask("/studies?limit=50")

    def wado(self) -> None:
        """Fetch an instance that was stored a while ago."""
        self._ask(self._instance(), Accept='multipart/related; type="application/dicom"; transfer-syntax=*')

    def rendered(self) -> None:
        """Fetch the picture of one."""
        self._ask(self._instance() + "/rendered", Accept="image/jpeg")

    def worklist(self) -> None:
        """Look at the first page, as an administrator does."""
        self.service.get("/api/worklist", limit=100)

    def sign(self) -> None:
        """Read one case that waits: impression, verdicts against every finding, and a normal report."""
        reader = self.place.reader
        waiting = reader.get("/api/worklist", params={"limit": 50, "claim": "free"}).json()["items"]
        ended = [row["public_id"] for row in waiting if row["state"] in ("scored", "unscored")]
        if not ended:
            return
        token = self._answer(reader.post(f"/api/worklist/{ended[0]}/claim"))["token"]
        case, shown = f"/api/cases/{ended[0]}", {"X-Pandok-Claim": str(token)}
        said = {"revision": 1, "impression": "normal", "seconds": 4.5}
        ai = self._answer(reader.post(f"{case}/impression", json=said, headers=shown)).get("ai") or {"runs": []}
        against = [
            {"finding_id": one["finding_id"], "code": one["code"], "judgement": "rejected"}
            for run in ai["runs"]
            for one in run["shown_findings"]
        ]
        verdicts = {"revision": 1, "verdicts": against, "quality": None, "ai_visible": True, "seconds": 9.0}
        if against:
            self._answer(reader.put(f"{case}/verdicts", json=verdicts, headers=shown))
        status = self.place.sign(ended[0], token)
        if status == 403 and self.place.confirm():
            status = self.place.sign(ended[0], token)
        if status not in (200, 201):
            raise Refused
        self.signed += 1

    def _answer(self, answer: httpx.Response) -> Any:
        if answer.status_code != 200:
            raise Refused
        return answer.json()
