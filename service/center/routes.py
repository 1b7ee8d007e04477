"""The center over HTTP: its studies in plain words, and the question that it asks of one."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection, RowMapping

from service import audit
from service.access import Caller, may
from service.catalogue import Language
from service.center import records
from service.center.answers import CenterPage, CenterStudy, study_answer
from service.center.records import Asked
from service.center.stages import Stage
from service.errors import Invalid, NotFound
from service.roles import Permission

router = APIRouter(prefix="/api/center", tags=["center"])

Sender = Annotated[Caller, Depends(may(Permission.SEND_STUDIES))]
Center = Annotated[Caller, Depends(may(Permission.SEE_OWN_STUDIES))]
LONGEST_WORDS = 4_000


class QuestionAsked(BaseModel):
    """What a center wants to know of a study, which may not have arrived yet."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    study_instance_uid: Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)*$", max_length=64)]
    question: Annotated[str, Field(max_length=LONGEST_WORDS)] = ""
    history: Annotated[str, Field(max_length=LONGEST_WORDS)] = ""
    language: Language


@router.post("/questions", status_code=204)
def ask(request: Request, asked: QuestionAsked, who: Sender) -> None:
    """Keep the clinical question of a study; a later one takes the place of this one."""
    if who.site_id is None:
        raise Invalid("A question belongs to a center; sign in as one of its people.", code="no_site")
    if not (asked.question.strip() or asked.history.strip()):
        raise Invalid("Write a question or the history.", code="empty_question")
    parts = request.app.state
    now = parts.clock()
    with parts.database.transaction() as tx:
        own = {"site_id": who.site_id, "account_id": who.account_id, "made_at": now}
        records.add_question(tx, {**asked.model_dump(), **own})
        audit.note(
            tx, who, "question_stored", now=now, site_id=who.site_id, object_type="study",
            object_id=asked.study_instance_uid,
        )  # fmt: skip


@router.get("/studies")
def list_studies(
    request: Request,
    who: Center,
    state: Stage | None = None,
    q: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
) -> CenterPage:
    """List the center's own studies, the newest first, each with where it stands."""
    parts = request.app.state
    now = parts.clock()
    with parts.database.reading() as rx:
        asked = Asked(stage=state, text=(q or "").strip() or None, before_id=cursor, limit=limit + 1)
        rows = records.list_studies(rx, who, asked, now=now)
        shown = rows[:limit]
        return CenterPage(
            now=now,
            counts=records.count_stages(rx, who, now=now),
            items=_answers(rx, who, shown),
            next_cursor=str(shown[-1]["id"]) if len(rows) > limit else None,
        )


@router.get("/studies/{public_id}")
def get_study(request: Request, public_id: str, who: Center) -> CenterStudy:
    """Return one of the center's own studies."""
    parts = request.app.state
    with parts.database.reading() as rx:
        row = records.get_study(rx, who, public_id, now=parts.clock())
        if row is None:
            raise NotFound
        return _answers(rx, who, [row])[0]


def _answers(rx: Connection, who: Caller, rows: list[RowMapping]) -> list[CenterStudy]:
    problems, questions = records.open_problems(rx, rows), records.questions_of(rx, rows)
    read = records.versions_read(rx, who, [row["version_id"] for row in rows if row["version_id"] is not None])
    faults = records.faults_of(rx, rows)
    return [
        study_answer(
            row,
            problems=problems.get(key, []),
            question=questions.get(key),
            read=read,
            faults=faults.get(row["id"], {}),
        )
        for row in rows
        for key in [(row["site_id"], row["study_instance_uid"])]
    ]
