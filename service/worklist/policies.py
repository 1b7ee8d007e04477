"""Reading policies, by reader, site and rule: how a list is ordered, and which class and due time it shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from service.access import Caller
from service.results.visibility import Rule, sight_of
from service.roles import READERS

ReadingPolicy = Literal["triage", "blind"]


@dataclass(frozen=True, slots=True)
class Policies:
    """Under which policy a caller sees the studies of each site, where no routing rule says otherwise of a study.

    Attributes:
        follows_rules: A study's own policy, which a rule set, stands above these.
    """

    blind_sites: frozenset[int]
    other_sites: frozenset[int]
    follows_rules: bool

    def of(self, site_id: int, by_rule: str | None) -> ReadingPolicy:
        """Return the policy for a study of a site; `by_rule` is what a routing rule says of it."""
        if self.follows_rules and by_rule is not None:
            return "blind" if by_rule == "blind" else "triage"
        return "blind" if site_id in self.blind_sites else "triage"


def policy_of(caller: Caller, site_policy: Mapping[str, object]) -> ReadingPolicy:
    """Return the policy for one caller and one site's studies: the reader's own, else the site's, else `triage`.

    Who runs the service sees the list as it is worked off; a center's staff see nothing of the AI's in it.
    """
    if caller.role not in READERS:
        return "triage" if sight_of(caller).rule is Rule.ALWAYS else "blind"
    chosen = caller.reading_policy or site_policy.get("reading_policy")
    return "blind" if chosen == "blind" else "triage"


def policies_of(caller: Caller, site_policies: Mapping[int, Mapping[str, object]]) -> Policies:
    """Return the policies for a caller, from the policies of the sites that the caller sees, by their ids."""
    blind = frozenset(site for site, policy in site_policies.items() if policy_of(caller, policy) == "blind")
    # Who reads blind reads everything blind, and what the others of the service see is no reading.
    follows_rules = caller.role in READERS and caller.reading_policy != "blind"
    return Policies(blind, frozenset(site_policies) - blind, follows_rules)
