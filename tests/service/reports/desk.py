"""A radiologist who writes and signs reports over HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

from service.roles import Role
from tests.service.house import PASSWORD
from tests.service.reading.room import Reader, Room, shown

NORMAL: dict[str, Any] = {
    "template": "chest_normal",
    "technique": {"code": "chest_pa", "text": ""},
    "comparison": {"kind": "none"},
    "findings": [],
    "recommendations": ["none"],
    "quality": {"grade": "good", "reasons": []},
    "language": "ko",
}
NODULE: dict[str, Any] = {
    **NORMAL,
    "findings": [{"code": "nodule", "side": "right", "zones": ["upper"], "size_mm": 12}],
    "recommendations": ["ct_chest"],
    "departments": ["pulmonology"],
    "critical_category": 3,
}


@dataclass
class Writer(Reader):
    """A radiologist at work."""

    room: Room

    def read(self, public_id: str) -> int:
        """Claim, give the first impression, and reject everything that the AI shows; returns the claim's token."""
        token = self.has_read(public_id)
        view = self.case(public_id)["ai"] or {"runs": []}
        verdicts = [
            {"finding_id": found["finding_id"], "code": found["code"], "judgement": "rejected"}
            for run in view["runs"]
            for found in run["shown_findings"]
            if found["presence"] == "present"
        ]
        assert self.verdicts(public_id, token, *verdicts).status_code == 200
        return token

    def report(self, public_id: str) -> dict[str, Any]:
        answer = self.get(f"/api/cases/{public_id}/report")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def sign(
        self, public_id: str, token: int | None, content: dict[str, Any], status: str = "final", **more: Any
    ) -> httpx.Response:
        body = {"content": content, "status": status, "revision": self.revision(public_id), **more}
        return self.client.post(f"/api/cases/{public_id}/report/sign", json=body, headers=shown(token))

    def signed(self, public_id: str, content: dict[str, Any] = NORMAL) -> str:
        """Read a case and sign its report; returns the report's public id."""
        self.confirm()
        answer = self.sign(public_id, self.read(public_id), content)
        assert answer.status_code == 200, answer.text
        return str(self.report(public_id)["public_id"])

    def correct(self, report_id: str, what: str, **body: Any) -> httpx.Response:
        return self.client.post(f"/api/reports/{report_id}/{what}", json=body)

    def confirm(self) -> None:
        """Prove who it is once more."""
        assert self.client.post("/api/me/confirm", json={"password": PASSWORD}).status_code == 204


def writer(room: Room, role: Role = Role.RADIOLOGIST, site_id: int | None = None, policy: str | None = None) -> Writer:
    client, account_id = room.house.account(role, site_id=site_id, policy=policy)
    return Writer(client, account_id, room)
