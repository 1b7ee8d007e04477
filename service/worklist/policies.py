"""Reading policies: by what a reader's list is ordered, and which class and due time it shows."""

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
    """Under which policy a caller sees the studies of each site."""

    blind_sites: frozenset[int]
    other_sites: frozenset[int]

    def of(self, site_id: int) -> ReadingPolicy:
        """Return the policy for a site's studies."""
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
    return Policies(blind, frozenset(site_policies) - blind)
