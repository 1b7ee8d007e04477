"""The instances of one request: kept side by side, so that syncs are shared, and answered in their order."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from service.intake.outcomes import IntakeReason, Outcome, Sender
from service.intake.part10 import Part10Splitter, Received, Turned
from service.intake.receive import Intake

IN_FLIGHT = 8
"""Instances of one request that wait for their sync at a time; each holds an open spool file."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one instance of a request, for its sender."""

    name: str
    """As the sender called it; only for the answer, never a path, never kept."""
    outcome: Outcome
    message: str
    """Plain words; empty when there is nothing to say."""


class Batch:
    """Takes files one after another; each ends in exactly one Answer.

    Args:
        intake: Keeps and refuses.
        sender: Who sends.
        study_instance_uid: The study that the address names, if it names one.
    """

    def __init__(self, intake: Intake, sender: Sender, *, study_instance_uid: str | None = None) -> None:
        self._intake = intake
        self._sender = sender
        self._study_instance_uid = study_instance_uid
        self._places = asyncio.Semaphore(IN_FLIGHT)
        self._keeping: list[asyncio.Task[Answer]] = []

    def __len__(self) -> int:
        return len(self._keeping)

    async def splitter(self) -> Part10Splitter:
        """Return a splitter for the next file, as soon as a place is free."""
        await self._places.acquire()
        self._places.release()
        return Part10Splitter(self._intake, self._sender)

    async def add(self, name: str, file: Received | Turned) -> None:
        """Begin to keep or to refuse a file that is wholly here."""
        await self._places.acquire()
        self._keeping.append(asyncio.create_task(self._end(name, file)))

    async def refuse(self, name: str, reason: IntakeReason, detail: str = "") -> None:
        """Refuse a file of which nothing reached a splitter."""
        await self.add(name, Turned(reason, detail))

    async def answers(self) -> list[Answer]:
        """Wait for every file and return the answers in the order of arrival. Call again after any add."""
        return list(await asyncio.gather(*self._keeping))

    async def _end(self, name: str, file: Received | Turned) -> Answer:
        try:
            if isinstance(file, Received):
                outcome = await self._intake.keep(
                    file.spooled,
                    sop_class_uid=None,
                    sop_instance_uid=None,
                    study_instance_uid=self._study_instance_uid,
                )
                return Answer(name, outcome, outcome.reason.comment if outcome.reason else "")
            outcome = await asyncio.to_thread(
                self._intake.refuse,
                self._sender,
                file.reason,
                door=self._sender.door,
                name=self._sender.name,
                detail=file.detail,
                sop_class_uid=file.sop_class_uid,
                sop_instance_uid=file.sop_instance_uid,
                study_instance_uid=self._study_instance_uid,
            )
            return Answer(name, outcome, file.detail or file.reason.comment)
        finally:
            self._places.release()
