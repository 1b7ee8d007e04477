"""An event of ours as FHIR R4 AuditEvent, coded by DICOM PS3.16 CID 400 and 401, shaped like IHE BALP."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from service.audit.records import every_event

DCM = "http://dicom.nema.org/resources/ontology/DCM"
OURS = "urn:pandok:audit-action"
IDS = "urn:pandok:id"


@dataclass(frozen=True, slots=True)
class Coded:
    """What kind of event an action is."""

    code: str
    display: str
    crud: str
    """FHIR's action: C, R, U, D or E."""


_SIGN = ("110114", "User Authentication", "E")
_READ = ("110103", "DICOM Instances Accessed", "R")
_REPORT = ("110110", "Patient Record", "U")
_CASE = ("110110", "Patient Record", "R")
_SECURITY = ("110113", "Security Alert", "U")
_LOG = ("110101", "Audit Log Used", "R")
_ORDER = ("110109", "Order Record", "U")
_EXPORT = ("110106", "Export", "R")

ACTIONS: Mapping[str, Coded] = {
    action: Coded(*kind)
    for kind, actions in {
        _SIGN: "sign_in sign_in_refused sign_out confirmed",
        _READ: "retrieved heat_map_seen",
        _CASE: "case_opened case_prefetched report_read worklist_seen searched",
        _REPORT: (
            "impression_stored verdicts_stored report_signed report_addended report_amended report_retracted "
            "question_stored"
        ),
        _ORDER: (
            "case_claimed case_released case_taken claim_expired priority_set study_restarted study_canceled "
            "problem_resolved upload_removed"
        ),
        _SECURITY: (
            "account_added account_changed account_disabled account_enabled account_reset link_made "
            "password_set totp_set totp_removed oidc_linked key_added key_revoked site_added site_changed peer_added "
            "peer_changed peer_disabled package_released release_ended rules_changed clock_jumped"
        ),
        _LOG: "audit_read audit_exported audit_verified",
        _EXPORT: "cases_exported",
    }.items()
    for action in actions.split()
}
"""Every action that is noted, and what FHIR and DICOM call that kind."""
_OTHER = Coded("110100", "Application Activity", "E")
_KEY = "gateway"
_PROGRAM = {"coding": [{"system": DCM, "code": "110150", "display": "Application"}]}
_PERSON = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP"}]}


def audit_event(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return one event as an AuditEvent resource."""
    coded = ACTIONS.get(row["action"], _OTHER)
    is_refused = row["outcome"] != "success"
    agent: dict[str, Any] = {
        "type": _PROGRAM if row["role"] in (None, _KEY) else _PERSON,
        "who": {"identifier": {"system": IDS, "value": row["actor"]}},
        "requestor": True,
    }
    if row["role"]:
        agent["role"] = [{"text": row["role"]}]
    resource: dict[str, Any] = {
        "resourceType": "AuditEvent",
        "id": row["sha256"],
        "type": {"system": DCM, "code": coded.code, "display": coded.display},
        "subtype": [{"system": OURS, "code": row["action"]}],
        "action": coded.crud,
        "recorded": datetime.fromtimestamp(row["at"], UTC).isoformat(timespec="milliseconds"),
        "outcome": "4" if is_refused else "0",
        "agent": [agent],
        "source": {"observer": {"display": "Pandok"}, "type": [{"system": DCM, "code": "110150"}]},
    }
    if row["site_id"] is not None:
        resource["source"]["site"] = str(row["site_id"])
    resource["entity"] = _entities(row)
    return resource


def export(rx: Connection) -> Iterator[str]:
    """Give every event as a line of JSON, the oldest first (FHIR's NDJSON)."""
    for row in every_event(rx):
        yield json.dumps(audit_event(row), ensure_ascii=False, separators=(",", ":")) + "\n"


def _entities(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Name what was touched, the request, and this event's place in the chain."""
    found: list[dict[str, Any]] = []
    if row["object_id"] is not None:
        touched: dict[str, Any] = {"what": {"identifier": {"system": IDS, "value": row["object_id"]}}}
        if row["object_type"]:
            touched["name"] = row["object_type"]
        if row["detail"]:
            touched["detail"] = [{"type": name, "valueString": _words(value)} for name, value in row["detail"].items()]
        found.append(touched)
    elif row["detail"]:
        details = [{"type": name, "valueString": _words(value)} for name, value in row["detail"].items()]
        found.append({"name": "detail", "detail": details})
    if row["request_id"]:
        request = {"identifier": {"system": "urn:pandok:request-id", "value": row["request_id"]}}
        found.append({"what": request, "name": "X-Request-Id"})
    chain = [{"type": name, "valueString": row[name]} for name in ("previous_sha256", "sha256")]
    found.append({"name": "chain", "detail": chain})
    return found


def _words(value: object) -> str:
    return (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)) or "-"
