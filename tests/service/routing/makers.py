"""Facts and rules for the tests of routing."""

from __future__ import annotations

import dataclasses
from typing import Any

from preprocessing.header import InstanceHeader, from_json
from service.database import Database
from service.routing import Facts, Origin, RuleSet, facts_of
from service.routing.records import Revision, newest_revision, set_rules
from service.routing.text import read_rules

ORIGIN = Origin("hanoi-1", "HANOI_ER2", "dimse", 3)


def header(**values: Any) -> InstanceHeader:
    return from_json({"transfer_syntax_uid": "1.2.840.10008.1.2.1", "modality": "DX", **values})


def facts(origin: Origin = ORIGIN, **values: Any) -> Facts:
    return facts_of(header(**values), origin)


def rules(text: str, revision: int = 7) -> RuleSet:
    return read_rules(text, revision)


def rule(then: str, when: str = "", name: str = "a rule") -> str:
    return f'[[rule]]\nname = "{name}"\nwhen = {{ {when} }}\nthen = {{ {then} }}\n'


def put(database: Database, text: str, now: float = 1.0) -> Revision:
    """Set rules as the command line does."""
    with database.transaction() as tx:
        return set_rules(tx, text, base=newest_revision(tx), changed_by="system", now=now, note="")


def asked(site: str = "hanoi-1", priority: int = 3) -> Origin:
    return dataclasses.replace(ORIGIN, site=site, requested_priority=priority)
