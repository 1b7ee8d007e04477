"""Trial 40: the machine's clock jumps and drifts while readers hold cases; the service's time does not.

Clock and seconds are made up here, in one process, and the worker's duty is called each second: `alarm_s_max` tells
that one call is enough. How soon a running service tells people is tried by `tests/test_set_clock.py`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import func, select

from service import tables
from service.archive import Archive
from service.audit.verify import Broken, verify
from service.clock import ClockWatch
from service.pipeline import Parts
from service.roles import Role
from service.rounds import Rounds
from service.worklist.claims import LEASE_S
from service.workspace import Workspace
from tests.service.house import House, open_house
from tests.service.test_clock import Machine
from tests.trials.trial import Counts, Trial

STUDIES, READERS, JUMPS = 12, 4, 16
STEPS_S = (5, 60, 300, 900, 1_200, 1_750, 1_860)
JUMPS_S = (3_600, -3_600, 86_400, -86_400, 1, -1, 0)
"""Hours, days, leap seconds, and none: then the clock drifts on by a little with every step."""
DRIFT = 0.002


class Told:
    """What scoring would say of itself, were there any."""

    provider = "CPUExecutionProvider"
    alarm = None


@dataclass
class Ward:
    """Readers, the cases they hold, and by an independent count until when."""

    house: House
    machine: Machine
    rounds: Rounds
    readers: Sequence[httpx.Client]
    cases: Sequence[str]
    order: Sequence[str]
    told_off_s: float = 0.0
    """How far the clock was off when people were last told."""
    held: dict[str, tuple[int, int, float]] = field(default_factory=dict)
    """By case: reader, token, and the real second at which the lease ends."""
    counts: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(
            ("jumps", "claims", "stolen", "eternal", "order_changes", "alarms", "missed_alarms", "false_alarms",
             "broken_audit", "alarm_s_max"), 0.0
        )
    )  # fmt: skip

    def step(self, seconds: float) -> None:
        """Let time pass, the clock drift, and the worker's rounds go; people must hear of what has come together."""
        self.machine.seconds += seconds
        self.machine.set_by += DRIFT * seconds
        before = self.told()
        self.rounds.watch_clock()
        self.rounds.end_claims()
        is_told, is_due = self.told() > before, abs(self.machine.set_by - self.told_off_s) > 5
        self.counts["alarms"] += is_told
        self.counts["false_alarms"] += is_told and not is_due
        self.counts["missed_alarms"] += is_due and not is_told
        if is_told:
            self.told_off_s = self.machine.set_by

    def claim(self, reader: int, case: str) -> None:
        """Try to take a case, and hold the answer against the independent count."""
        answer = self.readers[reader].post(f"/api/worklist/{case}/claim")
        owner, _, ends_at = self.held.get(case, (reader, 0, 0.0))
        is_others = owner != reader and ends_at > self.machine.seconds
        self.counts["claims"] += 1
        if answer.status_code == 200:
            self.counts["stolen"] += is_others
            self.held[case] = (reader, answer.json()["token"], self.machine.seconds + LEASE_S)
        else:
            self.counts["eternal"] += not is_others

    def renew(self, case: str) -> None:
        """Send an open case's heartbeat."""
        reader, token, ends_at = self.held[case]
        answer = self.readers[reader].put(f"/api/worklist/{case}/claim", headers={"X-Pandok-Claim": str(token)})
        is_live = ends_at > self.machine.seconds
        self.counts["stolen"] += is_live and answer.status_code != 200
        self.counts["eternal"] += not is_live and answer.status_code == 200
        if answer.status_code == 200:
            self.held[case] = (reader, token, self.machine.seconds + LEASE_S)

    def jump(self, seconds: float) -> None:
        """Set the clock and look how soon people are told."""
        before = self.told()
        self.machine.set_by += seconds
        self.counts["jumps"] += 1
        waited = 0
        while waited < 6 and self.told() == before:
            self.step(1.0)
            waited += 1
        if abs(seconds) > 5:
            self.counts["alarm_s_max"] = max(self.counts["alarm_s_max"], waited)
            with self.house.database.reading() as rx:
                kinds = rx.execute(select(tables.problem.c.kind)).scalars().all()
            self.counts["missed_alarms"] += list(kinds) != ["clock"]

    def told(self) -> int:
        """Count the audit's events of the clock."""
        with self.house.database.reading() as rx:
            return rx.execute(select(func.count()).where(tables.audit_event.c.action == "clock_jumped")).scalar_one()

    def look(self) -> None:
        """Hold the list's order and the audit's sequence against what they were."""
        items = self.readers[0].get("/api/worklist").json()["items"]
        self.counts["order_changes"] += [item["public_id"] for item in items] != list(self.order)
        with self.house.database.reading() as rx:
            times = rx.execute(select(tables.audit_event.c.at).order_by(tables.audit_event.c.id)).scalars().all()
        self.counts["broken_audit"] += list(times) != sorted(times)


def run(seed: int, folder: Path) -> Counts:
    """Let readers work while the clock jumps."""
    chance, machine = random.Random(seed), Machine()
    clock = machine.clock()
    with open_house(folder, clock=clock, session_idle_minutes=100_000, session_hours=10_000) as house:
        studies = [house.add_study(center_priority=chance.choice([1, 2, 3])) for _ in range(STUDIES)]
        readers = [house.signed_in(Role.RADIOLOGIST) for _ in range(READERS)]
        order = [item["public_id"] for item in readers[0].get("/api/worklist").json()["items"]]
        assert len(order) == len(studies)
        rounds = Rounds(_parts(house, folder), None, Told(), "trial", ClockWatch(clock))  # type: ignore[arg-type]
        ward = Ward(house, machine, rounds, readers, order, order)
        for _ in range(JUMPS):
            for _ in range(chance.randint(1, 4)):
                ward.claim(chance.randrange(READERS), chance.choice(order))
            ward.jump(chance.choice(JUMPS_S))
            for case in chance.sample(sorted(ward.held), k=len(ward.held) // 2):
                ward.renew(case)
            ward.claim(chance.randrange(READERS), chance.choice(order))
            ward.step(chance.choice(STEPS_S))
            ward.claim(chance.randrange(READERS), chance.choice(order))
            ward.look()
        with house.database.reading() as rx:
            ward.counts["broken_audit"] += isinstance(verify(rx), Broken)
    return ward.counts


def _parts(house: House, folder: Path) -> Parts:
    archive, workspace = Archive(folder / "archive"), Workspace(folder / "work")
    nothing: Any = None
    return Parts(house.settings, house.database, archive, workspace, {}, nothing, house.clock)


TRIAL = Trial(
    number="40",
    title="the machine's clock jumps by hours and days, leaps and drifts while readers hold cases",
    run=run,
    counted="jumps",
    full=800,
    never=("stolen", "eternal", "order_changes", "missed_alarms", "false_alarms", "broken_audit"),
    at_most={"alarm_s_max": 5.0},
    at_least={"claims": 1},
)
