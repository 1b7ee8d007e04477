"""Who calls on a service that stops and starts again: a reader, an upload that goes on, a searcher."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
from pydicom import Dataset
from pydicom.uid import CTImageStorage

from tests.factories import part10
from tests.trials.place import Place, sha256_of

PASSING = frozenset({502, 503, 507})
"""HTTP statuses that say: not now."""
CHUNK_BYTES = 200_000
CHUNK_PAUSE_S = 0.05
LOOK_S = 0.3
"""A reader looks before it signs."""
_TUS = {"Tus-Resumable": "1.0.0"}


class Away(Exception):
    """The service gave no answer, or said that it has none just now."""


class Caller(threading.Thread):
    """Does one thing after the other until told to stop, each to its end, whatever breaks off meanwhile."""

    pause_s = 0.1
    """Between one thing and the next."""

    def __init__(self, place: Place) -> None:
        super().__init__(daemon=True)
        self._place = place
        self.done = 0
        self.counts: Counter[str] = Counter()
        self.broken_off = 0
        """How often it was left without an answer."""
        self.is_stopping = threading.Event()
        self.is_through = False
        """It came to its end, and met nothing that it does not know."""

    def run(self) -> None:
        is_away = False
        while not (self.is_stopping.is_set() and self.done):
            try:
                self.done += self.once()
                is_away = False
            except Away:
                self.broken_off += not is_away
                is_away = True
            time.sleep(self.pause_s)
        self.is_through = True

    def once(self) -> bool:
        """Do one thing, or go on with it; tell whether it is done. Raises Away."""
        raise NotImplementedError

    def _ask(self, client: httpx.Client, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            answer = client.request(method, path, **more)
        except httpx.HTTPError as error:
            raise Away from error
        if answer.status_code >= 500:
            self.counts["wrong_answers"] += answer.status_code not in PASSING
            raise Away
        return answer


class Reading(Caller):
    """A radiologist who claims a case, gives an impression and signs, and whose claims must outlive a restart."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.signed: set[str] = set()
        self._case = ""
        self._token = 0

    def once(self) -> bool:
        """Read one case. Raises Away: the next call goes on with the same case and the same claim."""
        if not self._case:
            self._claim()
        elif self._is_signed():
            self._end()  # the answer was lost, and the report stands
            return True
        elif self._ask_case("PUT", f"/api/worklist/{self._case}/claim").status_code != 200:
            self.counts["claims_lost"] += 1
            self._case = ""
        else:
            self.counts["claims_kept"] += 1
        return bool(self._case) and self._read()

    def _claim(self) -> None:
        reader = self._place.reader
        rows = self._ask(reader, "GET", "/api/worklist", params={"limit": 50, "claim": "free"}).json()["items"]
        for row in rows:
            if row["state"] in ("scored", "unscored"):
                answer = self._ask(reader, "POST", f"/api/worklist/{row['public_id']}/claim")
                if answer.status_code == 200:
                    self._case, self._token = row["public_id"], answer.json()["token"]
                    return

    def _read(self) -> bool:
        """Read the case to its signature; one that a later revision is coming for is left to be read later."""
        case = f"/api/cases/{self._case}"
        revision = self._ask_case("GET", case).json()["item"]["revision"]
        said = {"revision": revision, "impression": "normal", "seconds": 4.5}
        given = self._ask_case("POST", f"{case}/impression", json=said)
        if given.status_code not in (200, 409):  # 409: it was given before the break
            return self._leave()
        view = self._ask_case("GET", case).json()["ai"] or {"runs": []}
        against = [
            {"finding_id": one["finding_id"], "code": one["code"], "judgement": "rejected"}
            for run in view["runs"]
            for one in run["shown_findings"]
        ]
        verdicts = {"revision": revision, "verdicts": against, "quality": None, "ai_visible": True, "seconds": 9.0}
        if against and self._ask_case("PUT", f"{case}/verdicts", json=verdicts).status_code != 200:
            return self._leave()
        time.sleep(LOOK_S)
        answer = self._place.sign(self._case, self._token, revision=revision)
        if answer is None or answer >= 500:
            self.counts["wrong_answers"] += answer is not None and answer not in PASSING
            raise Away
        if answer != 200:
            return self._leave()
        self._end()
        return True

    def _end(self) -> None:
        self.signed.add(self._case)
        self._case = ""

    def _leave(self) -> bool:
        self._ask_case("DELETE", f"/api/worklist/{self._case}/claim")
        self._case = ""
        return False

    def _is_signed(self) -> bool:
        versions = self._ask_case("GET", f"/api/cases/{self._case}/report").json()["versions"]
        return any(version["status"] == "final" for version in versions)

    def _ask_case(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self._ask(self._place.reader, method, path, headers={"X-Pandok-Claim": str(self._token)}, **more)


class Uploading(Caller):
    """A center whose upload goes on where it broke off; what was said to stand must not be sent again."""

    pause_s = 0.5

    def __init__(self, place: Place, films: Iterator[Dataset]) -> None:
        super().__init__(place)
        self.acknowledged: dict[str, str] = {}
        self._films = films
        self._film: Dataset | None = None
        self._content = b""
        self._address = ""
        self._stands = 0

    def once(self) -> bool:
        """Bring one film. Raises Away: the next call asks how much stands and goes on there."""
        if self._film is None:
            self._film = next(self._films)
            self._content, self._address, self._stands = part10(self._film), "", 0
        if not self._address:
            told = {**_TUS, "Upload-Length": str(len(self._content))}
            self._address = self._send("POST", "/api/uploads/resumable", headers=told).headers["Location"]
        at = int(self._send("HEAD", self._address, headers=_TUS).headers["Upload-Offset"])
        self.counts["uploads_lost"] += at < self._stands
        while at < len(self._content):
            told = {**_TUS, "Upload-Offset": str(at), "Content-Type": "application/offset+octet-stream"}
            chunk = self._content[at : at + CHUNK_BYTES]
            at = self._stands = int(
                self._send("PATCH", self._address, headers=told, content=chunk).headers["Upload-Offset"]
            )
            time.sleep(CHUNK_PAUSE_S)
        taken = self._send("POST", f"{self._address}/take", headers={"X-File-Name": "film.dcm"}).json()
        uid = str(self._film.SOPInstanceUID)
        is_kept = any(one["sop_instance_uid"] == uid and one["kept"] for one in taken["files"])
        self.counts["uploads_lost"] += not is_kept
        if is_kept:
            self.acknowledged[uid] = sha256_of(self._film)
        self._film = None
        return is_kept

    def _send(self, method: str, path: str, **more: Any) -> httpx.Response:
        answer = self._ask(self._place.http, method, path, **more)
        if answer.status_code == 409:  # what was sent stands, and its answer was lost
            raise Away
        if answer.status_code >= 400:
            self.counts["wrong_answers"] += 1
            self._address = ""
            raise Away
        return answer


class Searching(Caller):
    """Somebody who searches, turns pages of the worklist and looks at pictures."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._turns = itertools.count()

    def once(self) -> bool:
        """Ask for one thing. Raises Away."""
        reader = self._place.reader
        turn = next(self._turns) % 3
        if turn == 0:
            answer = self._ask(reader, "GET", "/api/worklist?limit=20")
        else:
            answer = self._ask(self._place.http, "GET", f"/dicomweb/instances?limit=5&SOPClassUID={CTImageStorage}")
        if turn == 2 and answer.status_code == 200:
            one = answer.json()[0]
            study, series, uid = (one[tag]["Value"][0] for tag in ("0020000D", "0020000E", "00080018"))
            path = f"/dicomweb/studies/{study}/series/{series}/instances/{uid}/rendered"
            answer = self._ask(self._place.http, "GET", path, headers={"Accept": "image/jpeg"})
        self.counts["wrong_answers"] += answer.status_code not in (200, 204)
        return True
