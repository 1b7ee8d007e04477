"""Who may do what: the roles of people and of programs, and the permissions of each."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Role(StrEnum):
    """What a caller is here for. An account has one role: who runs the service does not read films with it."""

    SITE_UPLOADER = "site_uploader"
    SITE_PHYSICIAN = "site_physician"
    RADIOLOGIST = "radiologist"
    CHIEF_RADIOLOGIST = "chief_radiologist"
    ML_ENGINEER = "ml_engineer"
    ADMINISTRATOR = "administrator"
    AUDITOR = "auditor"
    GATEWAY = "gateway"
    """A site's key: its PACS or the program at its edge."""


class Permission(StrEnum):
    """One thing that a route asks for before it does anything."""

    OWN_ACCOUNT = "own_account"
    """See and change what belongs to the caller's own account."""
    SEND_STUDIES = "send_studies"
    """Upload, STOW-RS, say that a study is done, give its clinical question and the center's priority."""
    SEE_OWN_STUDIES = "see_own_studies"
    """The center's view: what arrived, its state in plain words, and its signed reports."""
    SEE_WORKLIST = "see_worklist"
    RETRIEVE = "retrieve"
    """DICOMweb search and retrieval. What a reader gets of results waits for the first impression."""
    READ_CASES = "read_cases"
    """Claim, give a first impression and verdicts, write a report and sign it."""
    TAKE_CLAIMS = "take_claims"
    """Take a case from a colleague, with a reason."""
    CORRECT_REPORTS = "correct_reports"
    """Addend, amend or retract what a colleague signed; one's own needs READ_CASES only."""
    SEE_PROBLEMS = "see_problems"
    RUN_SERVICE = "run_service"
    """Restart and cancel studies, resolve problems."""
    MANAGE_RULES = "manage_rules"
    """See, change and try the routing rules of the installation."""
    SEE_METRICS = "see_metrics"
    MANAGE_ACCOUNTS = "manage_accounts"
    READ_AUDIT = "read_audit"


_P = Permission
PERMISSIONS: Mapping[Role, frozenset[Permission]] = MappingProxyType(
    {
        Role.SITE_UPLOADER: frozenset({_P.OWN_ACCOUNT, _P.SEND_STUDIES, _P.SEE_OWN_STUDIES, _P.SEE_PROBLEMS}),
        Role.SITE_PHYSICIAN: frozenset(
            {_P.OWN_ACCOUNT, _P.SEND_STUDIES, _P.SEE_OWN_STUDIES, _P.SEE_PROBLEMS, _P.RETRIEVE}
        ),
        Role.RADIOLOGIST: frozenset({_P.OWN_ACCOUNT, _P.SEE_WORKLIST, _P.RETRIEVE, _P.READ_CASES}),
        Role.CHIEF_RADIOLOGIST: frozenset(
            {
                _P.OWN_ACCOUNT,
                _P.SEE_WORKLIST,
                _P.RETRIEVE,
                _P.READ_CASES,
                _P.TAKE_CLAIMS,
                _P.CORRECT_REPORTS,
                _P.SEE_PROBLEMS,
            }
        ),
        Role.ML_ENGINEER: frozenset({_P.OWN_ACCOUNT, _P.SEE_METRICS}),
        Role.ADMINISTRATOR: frozenset(
            {
                _P.OWN_ACCOUNT,
                _P.SEND_STUDIES,
                _P.SEE_WORKLIST,
                _P.RETRIEVE,
                _P.SEE_PROBLEMS,
                _P.RUN_SERVICE,
                _P.SEE_METRICS,
                _P.MANAGE_ACCOUNTS,
                _P.MANAGE_RULES,
                _P.READ_AUDIT,
            }
        ),
        Role.AUDITOR: frozenset({_P.OWN_ACCOUNT, _P.READ_AUDIT, _P.SEE_PROBLEMS}),
        Role.GATEWAY: frozenset({_P.SEND_STUDIES, _P.SEE_OWN_STUDIES, _P.SEE_WORKLIST, _P.RETRIEVE, _P.SEE_PROBLEMS}),
    }
)

READERS = frozenset({Role.RADIOLOGIST, Role.CHIEF_RADIOLOGIST})
"""Who must not be led: nothing that the AI found reaches them before their first impression of the case."""
KOREAN_SIDE = frozenset({Role.RADIOLOGIST, Role.CHIEF_RADIOLOGIST, Role.ML_ENGINEER, Role.ADMINISTRATOR, Role.AUDITOR})
"""Roles that may stand above the sites; the others always belong to one."""
