"""A reading room: the real web application over studies that a real pipeline scored with tiny packages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from pydicom import Dataset
from sqlalchemy import select, update

from service import tables
from service.roles import Role
from tests.factories import Parts, make_radiograph
from tests.service.house import House, open_house
from tests.service.pipeline_bench import PIXELS, Bench, Tools

CASES = "/api/cases"
LIST = "/api/worklist"


@dataclass
class Reader:
    """A radiologist's browser."""

    client: httpx.Client
    account_id: int

    def get(self, path: str, **parameters: Any) -> httpx.Response:
        return self.client.get(path, params=parameters)

    def case(self, public_id: str) -> dict[str, Any]:
        answer = self.get(f"{CASES}/{public_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def revision(self, public_id: str) -> int:
        """Return the study's revision as a page that is opened now would have it; 1 of a study that is not there."""
        answer = self.get(f"{CASES}/{public_id}")
        return int(answer.json()["item"]["revision"]) if answer.status_code == 200 else 1

    def worklist(self, **parameters: Any) -> dict[str, Any]:
        answer = self.get(LIST, **parameters)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def claim(self, public_id: str) -> int:
        answer = self.client.post(f"{LIST}/{public_id}/claim")
        assert answer.status_code == 200, answer.text
        return int(answer.json()["token"])

    def impression(self, public_id: str, token: int | None, said: str = "abnormal", **more: Any) -> httpx.Response:
        body = {"revision": self.revision(public_id), "impression": said, "seconds": 4.5, **more}
        return self.client.post(f"{CASES}/{public_id}/impression", json=body, headers=shown(token))

    def verdicts(self, public_id: str, token: int | None, *verdicts: dict[str, Any], **more: Any) -> httpx.Response:
        body = {"verdicts": list(verdicts), "quality": None, "ai_visible": True, "seconds": 9.0}
        body |= {"revision": self.revision(public_id), **more}
        return self.client.put(f"{CASES}/{public_id}/verdicts", json=body, headers=shown(token))

    def has_read(self, public_id: str, said: str = "abnormal") -> int:
        """Claim a case and give its first impression; returns the claim's token."""
        token = self.claim(public_id)
        assert self.impression(public_id, token, said).status_code == 200
        return token


def shown(token: int | None) -> dict[str, str]:
    return {} if token is None else {"X-Pandok-Claim": str(token)}


@dataclass
class Room:
    """A house whose first site has a pipeline."""

    house: House
    bench: Bench

    def reader(self, policy: str | None = None, role: Role = Role.RADIOLOGIST, site_id: int | None = None) -> Reader:
        return Reader(*self.house.account(role, site_id=site_id, policy=policy))

    def send(self, *, study: Dataset | None = None, seed: int = 0, **attributes: Any) -> tuple[str, Dataset]:
        """Let a film arrive; returns its study's public id and the film."""
        film = make_radiograph(PIXELS + seed, **attributes)
        if study is not None:
            film.StudyInstanceUID = study.StudyInstanceUID
        assert self.bench.parts.send(film).is_kept
        with self.house.database.reading() as rx:
            where = tables.study.c.study_instance_uid == str(film.StudyInstanceUID)
            return str(rx.execute(select(tables.study.c.public_id).where(where)).scalar_one()), film

    def score(self, *packages: str) -> None:
        """Settle what arrived and score it with these packages; what was released before is no more."""
        with self.house.database.transaction() as tx:
            tx.execute(update(tables.release).values(until=self.house.clock()))
        self.bench.release(*packages)
        self.bench.settle_and_score()

    def scored(self, *packages: str, **attributes: Any) -> str:
        """Let a film arrive and be scored; returns its study's public id."""
        public_id, _ = self.send(**attributes)
        self.score(*(packages or ("findings",)))
        return public_id

    def rows(self, table: Any) -> list[dict[str, Any]]:
        with self.house.database.reading() as rx:
            return [dict(row) for row in rx.execute(select(table).order_by(table.c.id)).mappings()]

    def sign(
        self, public_id: str, account_id: int, *, status: str = "final", revision: int = 1, content: Any = None
    ) -> None:
        """Put a signed version of a report into the tables, as the reports room would."""
        now = self.house.clock()
        with self.house.database.transaction() as tx:
            study = tx.execute(select(tables.study).where(tables.study.c.public_id == public_id)).mappings().one()
            where = tables.report.c.study_id == study["id"]
            report_id = tx.execute(select(tables.report.c.id).where(where)).scalar_one_or_none()
            if report_id is None:
                row = {"site_id": study["site_id"], "study_id": study["id"], "public_id": f"r{public_id[1:]}"}
                made = tx.execute(tables.report.insert().values(**row, created_at=now))
                report_id = made.inserted_primary_key[0]
            versions = tables.report_version
            of_it = select(versions.c.id).where(versions.c.report_id == report_id)
            number = len(tx.execute(of_it).all()) + 1
            tx.execute(
                versions.insert().values(
                    site_id=study["site_id"], report_id=report_id, number=number, status=status,
                    study_revision=revision, content=content or {}, content_sha256="0" * 64, language="ko",
                    account_id=account_id, signer_name="Signer", signed_at=now, previous_sha256="0" * 64,
                    sha256=f"{report_id:032x}{number:032x}",
                )
            )  # fmt: skip


@contextmanager
def open_room(folder: Path, tools: Tools, **settings: Any) -> Iterator[Room]:
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "work").symlink_to(tools.workspace.folder, target_is_directory=True)
    models = tools.packages["findings"].folder.parent
    with open_house(
        folder, **{"models_folder": models, "session_idle_minutes": 6_000, "session_hours": 240, **settings}
    ) as house:
        state = house.app.state
        parts = Parts(house.settings, house.database, state.archive, state.intake, house.site_id, house.clock)
        yield Room(house, Bench(parts, tools, house.clock))
