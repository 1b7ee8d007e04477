"""Trial 42: when a study counts as complete, over generated arrivals, against a model that knows no table."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, insert, select, update

from preprocessing.header import InstanceHeader, from_json
from service import tables
from service.access.account_records import add_account
from service.access.accounts import NewAccount
from service.intake.dimse.listener import PUT_OFF_S, Listener
from service.intake.outcomes import Door, Sender
from service.intake.records import Arrival, Rules, keep
from service.intake.settling import mark_done
from service.pipeline import Parts as PipelineParts
from service.roles import Role
from service.rounds import Rounds
from service.routing.records import RuleBook
from service.settings import Settings
from service.worklist.records import update_item
from service.workspace import Workspace
from tests.factories import Clock, Parts, open_parts
from tests.service.routing.makers import put, rule
from tests.trials.trial import Counts, Trial

PATTERNS = 50
GAPS_S = (0.0, 0.5, 3.0, 20.0, 59.0, 60.0, 61.0, 150.0, 299.0, 301.0, 900.0, 2_000.0)
WORKER_LOOKS_S = 7.0
"""A worker that looks seldom, so that images come between a study's time and its look."""
LISTENER_LOOKS_S = 2.0
"""A listener that looks half as often as it should."""
ON_WIRE_S = (2.0, 8.0, 44.0, 130.0, 1_900.0)
"""How long an image is under way; once in a while past the limit."""
QUIET_S = {"CT": 300.0, "default": 60.0}
RULE_QUIET_S = 11.0
LIMIT_S = 1_800.0

Kind = Literal["on_wire", "image", "again", "other_content", "aborted", "done", "done_of", "sign"]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happens to a study.

    `on_wire` is a sign of an association that sends the study's next image. An open association that sends nothing says
    nothing of a study.
    """

    at: float
    study: int
    kind: Kind
    image: int = 0
    modality: str = "CR"
    door: Door = Door.DIMSE
    expected: int | None = None


@dataclass
class Model:
    """What should come of one study, as RELIABILITY 5.5 says it."""

    images: set[int] = field(default_factory=set)
    expected: int | None = None
    since: float | None = None
    """When the open revision's first image came; None while nothing is open."""
    settles: tuple[float, str] | None = None
    revisions: list[tuple[str, float, int]] = field(default_factory=list)
    """Why and when each settled, and with how many images."""
    signed: int | None = None
    under_way: list[tuple[float, float]] = field(default_factory=list)
    """From when to when an image was on the wire while a revision was open, and its limit not near."""

    def take(self, event: Event, quiet_s: Mapping[str, float]) -> None:
        """Let an event happen."""
        if event.kind == "on_wire":
            self._wait(event.at)
        elif event.kind == "image":
            if self.since is None:
                self.since = event.at
            self.images.add(event.image)
            quiet = event.at + quiet_s.get(event.modality, quiet_s["default"])
            limit = self.since + LIMIT_S
            self.settles = (quiet, "quiet") if quiet <= limit else (limit, "limit")
            if len(self.images) == self.expected:
                self.settles = (event.at, "count")
        elif event.kind in ("done", "done_of") and self.images:
            self.expected = event.expected
            if self.since is not None and (event.expected is None or len(self.images) >= event.expected):
                self.settles = (event.at, "done")
        elif event.kind == "sign" and self.revisions and self.since is None:
            self.signed = len(self.revisions)

    def _wait(self, now: float) -> None:
        """Let no quiet time end while an image comes, but the limit stay."""
        if self.since is None or self.settles is None or now + PUT_OFF_S >= self.since + LIMIT_S:
            return
        if self.under_way and now - self.under_way[-1][1] <= LISTENER_LOOKS_S:
            self.under_way[-1] = (self.under_way[-1][0], now)
        else:
            self.under_way.append((now, now))
        at, by = self.settles
        if by == "quiet" and at < now + PUT_OFF_S / 2:
            self.settles = (now + PUT_OFF_S, by)

    def look(self, now: float) -> None:
        """Let the worker look."""
        if self.settles is not None and self.settles[0] <= now:
            at, by = self.settles
            self.revisions.append((by, at, len(self.images)))
            self.settles = self.since = None

    @property
    def waits(self) -> bool:
        """A reader is wanted: nothing was signed yet, or not of all images."""
        return self.signed is None or len(self.revisions) > self.signed


def pattern(chance: random.Random, study: int) -> list[Event]:
    """Return what happens to one study, in the order in which it happens."""
    at, events, known = chance.uniform(0, 3_000), [], 0
    modality = chance.choice(["CR", "CT", "DX"])
    for _ in range(chance.randint(1, 9)):
        at += chance.choice(GAPS_S)
        on_wire_s = chance.choices(ON_WIRE_S, [8, 8, 4, 4, 1])[0] if known and chance.random() < 0.2 else 0.0
        for _ in range(int(on_wire_s / LISTENER_LOOKS_S)):
            events.append(Event(at, study, "on_wire"))
            at += LISTENER_LOOKS_S
        kind: Kind = chance.choices(
            ["image", "again", "other_content", "aborted", "done", "done_of", "sign"], [8, 1, 1, 1, 1, 2, 2]
        )[0]
        if kind in ("again", "other_content") and not known:
            kind = "image"
        image = known if kind == "image" else chance.randrange(max(known, 1))
        known += kind == "image"
        expected = chance.randint(1, 5) if kind == "done_of" else None
        events.append(Event(at, study, kind, image, modality, chance.choice([Door.DIMSE, Door.STOW]), expected))
    return events


class NoEngine:
    """Takes what is queued; nothing is scored here."""

    def enqueue(self, *_: object, **__: object) -> None:
        """Take one."""

    def cancel(self, *_: object) -> None:
        """Nothing is canceled."""


@dataclass
class Real:
    """The same studies in the service's own tables."""

    parts: Parts
    clock: Clock
    rules: Rules
    rounds: Rounds
    account_id: int
    listener: Listener
    signed: dict[int, Mapping[str, Any]] = field(default_factory=dict)

    def take(self, event: Event) -> None:
        """Let an event happen."""
        self.clock.now = event.at
        if event.kind == "aborted":
            self.parts.intake.aborted(self.parts.sender(door=event.door))
            return
        uid = f"1.2.{event.study}"
        if event.kind == "on_wire":
            self.listener._look({(self.parts.site_id, uid)})
            return
        with self.parts.database.transaction() as tx:
            if event.kind in ("image", "again", "other_content"):
                keep(tx, _arrival(self.parts.site_id, event), self.rules, event.at)
            elif event.kind == "sign":
                self._sign(tx, event)
            else:
                mark_done(
                    tx, site_id=self.parts.site_id, study_instance_uid=uid, expected_instances=event.expected,
                    now=event.at,
                )  # fmt: skip

    def look(self, now: float) -> None:
        """Let the worker look."""
        self.clock.now = now
        self.rounds.settle_and_queue()

    def _sign(self, tx: Connection, event: Event) -> None:
        """Put a signed report of the study as it stands, as signing leaves it."""
        s = tables.study.c
        row = tx.execute(
            select(s.id, s.revision, s.state).where(s.study_instance_uid == f"1.2.{event.study}")
        ).one_or_none()
        if row is None or row.state == "arriving":
            return
        ids = {"site_id": self.parts.site_id}
        report = tx.execute(select(tables.report.c.id).where(tables.report.c.study_id == row.id)).scalar_one_or_none()
        if report is None:
            made = {"study_id": row.id, "public_id": f"{row.id:032x}", "created_at": event.at}
            report = tx.execute(insert(tables.report).values(**ids, **made).returning(tables.report.c.id)).scalar_one()
        number = len([one for one in self.signed.values() if one["report_id"] == report]) + 1
        version = {
            **ids, "report_id": report, "number": number, "status": "final", "study_revision": row.revision,
            "content": {"text": f"revision {row.revision}"}, "content_sha256": "0" * 64, "language": "en",
            "account_id": self.account_id, "signer_name": "x", "signed_at": event.at, "previous_sha256": "0" * 64,
            "sha256": f"{len(self.signed):064x}",
        }  # fmt: skip
        t = tables.report_version
        made_id = tx.execute(insert(t).values(**version).returning(t.c.id)).scalar_one()
        self.signed[made_id] = version
        item = tables.worklist_item
        tx.execute(update(item).where(item.c.study_id == row.id).values(state="completed", completed_at=event.at))


def _arrival(site_id: int, event: Event) -> Arrival:
    content = f"{event.study}.{event.image}" + (".other" if event.kind == "other_content" else "")
    return Arrival(Sender(site_id, event.door, "TRIAL"), _header(event), f"{hash_of(content)}", 1)


def hash_of(content: str) -> str:
    """Return a stand-in for a content's hash."""
    return content.encode().hex().rjust(64, "0")[-64:]


def _header(event: Event) -> InstanceHeader:
    uid = f"1.2.{event.study}"
    return from_json(
        {
            "transfer_syntax_uid": "1.2.840.10008.1.2.1", "sop_class_uid": "1.2.840.10008.5.1.4.1.1.1",
            "sop_instance_uid": f"{uid}.1.{event.image}", "study_instance_uid": uid, "series_instance_uid": f"{uid}.1",
            "modality": event.modality, "has_pixel_data": True,
        }
    )  # fmt: skip


def run(seed: int, folder: Path) -> Counts:
    """Let many studies arrive at once, in the tables and in the model, and compare."""
    chance, clock = random.Random(seed), Clock()
    started = clock.now
    events = sorted((e for study in range(1, PATTERNS + 1) for e in pattern(chance, study)), key=lambda e: e.at)
    models = {study: Model() for study in range(1, PATTERNS + 1)}
    is_ruled = bool(seed % 2)
    quiet_s = {**QUIET_S, "DX": RULE_QUIET_S} if is_ruled else QUIET_S
    with open_parts(folder, clock, quiet_s=QUIET_S, partial_after_s=LIMIT_S) as parts:
        if is_ruled:
            put(parts.database, rule(f"quiet_s = {RULE_QUIET_S}", 'modality = "DX", sender = "TRIAL"'))
        real = _real(parts, clock, folder)
        for event in _with_looks(events):
            if isinstance(event, Event):
                moved = Event(**{**_fields(event), "at": event.at + started})
                models[event.study].take(moved, quiet_s)
                real.take(moved)
            else:
                for model in models.values():
                    model.look(event + started)
                real.look(event + started)
        return _compare(real, models)


def _with_looks(events: list[Event]) -> Iterator[Event | float]:
    look = 0.0
    for event in events:
        while look <= event.at:
            yield look
            look += WORKER_LOOKS_S if event.at - look < 3_000 else 100.0
        yield event
    yield events[-1].at + 10_000.0


def _fields(event: Event) -> dict[str, Any]:
    return {name: getattr(event, name) for name in Event.__dataclass_fields__}


def _real(parts: Parts, clock: Clock, folder: Path) -> Real:
    def tell_list(tx: Connection, study_id: int, now: float) -> None:
        update_item(tx, study_id=study_id, now=now, settings=parts.settings)

    settings: Settings = parts.settings
    nothing: Any = None
    worker = PipelineParts(settings, parts.database, parts.archive, Workspace(folder / "work"), {}, nothing, clock)
    rules = Rules(settings.quiet_s, settings.partial_after_s, settings.max_instances_per_study, tell_list, RuleBook())
    with parts.database.transaction() as tx:
        account = add_account(tx, NewAccount("x", "X", Role.RADIOLOGIST, None, "en", "UTC"), now=clock())
    rounds = Rounds(worker, NoEngine(), nothing, "trial")  # type: ignore[arg-type]
    return Real(parts, clock, rules, rounds, account.id, Listener(settings, parts.database, parts.intake, clock))


def _compare(real: Real, models: Mapping[int, Model]) -> Counts:
    t, s, i = tables.revision.c, tables.study.c, tables.instance.c
    different = unlisted = too_soon = 0
    with real.parts.database.reading() as rx:
        rows = rx.execute(
            select(s.study_instance_uid, t.number, t.settled_by, t.settled_at, s.id)
            .join(tables.study, s.id == t.study_id)
            .order_by(t.study_id, t.number)
        ).all()
        images = rx.execute(select(i.study_id, i.revision)).all()
        items = dict(
            rx.execute(
                select(s.study_instance_uid, tables.worklist_item.c.state).join(
                    tables.worklist_item, tables.worklist_item.c.study_id == s.id
                )
            )
            .tuples()
            .all()
        )
        kept = {row["id"]: dict(row) for row in rx.execute(select(tables.report_version)).mappings()}
    for number, model in models.items():
        own = [row for row in rows if row.study_instance_uid == f"1.2.{number}"]
        found = [
            (row.settled_by, row.settled_at, sum(x.study_id == row.id and x.revision <= row.number for x in images))
            for row in own
        ]
        different += found != model.revisions
        too_soon += sum(
            row.settled_by == "quiet" and start < row.settled_at < end for row in own for start, end in model.under_way
        )
        if model.images:
            unlisted += (items.get(f"1.2.{number}") != "completed") != model.waits
    changed = sum({name: kept.get(key, {}).get(name) for name in was} != was for key, was in real.signed.items())
    return {
        "patterns": len(models),
        "revisions": len(rows),
        "late_after_signature": sum(bool(m.signed and len(m.revisions) > m.signed) for m in models.values()),
        "different": different,
        "settled_under_way": too_soon,
        "put_off": sum(len(model.under_way) for model in models.values()),
        "not_listed_as_it_should_be": unlisted,
        "signed_reports_changed": changed,
    }


TRIAL = Trial(
    number="42",
    title="studies arrive late, slowly, shuffled, twice, broken off, after their report; a model tells which are whole",
    run=run,
    counted="patterns",
    full=5_000,
    never=("different", "settled_under_way", "not_listed_as_it_should_be", "signed_reports_changed"),
    at_least={"late_after_signature": 1, "put_off": 1},
    quick=tuple(range(100)),
)
