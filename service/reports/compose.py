"""A report's content and the facts beside it → titled sections and notices in each language."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel

from service.catalogue import LANGUAGES, REGIONS, Language, findings, table
from service.reports.content import Addendum, Content, Facts, Quality
from service.reports.sentences import listed, sentence

Status = Literal["draft", "preliminary", "final", "appended", "amended", "cancelled"]


class Section(BaseModel):
    """One part of a report."""

    code: str
    title: str
    paragraphs: list[str]


class Composed(BaseModel):
    """A report in one language."""

    title: str
    sections: list[Section]
    notices: list[str]


class Standing(BaseModel):
    """Where a version stands in its report's life."""

    status: Status = "draft"
    reason: str | None = None
    """Why it was amended or retracted, in the words and the language of who did it."""
    reason_language: Language = "ko"
    has_new_images: bool = False
    """It replaces an earlier final report because images came after that one."""
    addenda: list[Addendum] = []


def compose_all(content: Content, facts: Facts, standing: Standing) -> dict[Language, Composed]:
    """Return a report in every language."""
    return {language: compose(content, facts, standing, language) for language in LANGUAGES}


def compose(content: Content, facts: Facts, standing: Standing, language: Language) -> Composed:
    """Return a report in one language. A retracted one keeps its head and says so; its findings are not repeated."""
    writer = _Writer(content, facts, standing, language)
    parts = [("retraction", writer.retraction())] if standing.status == "cancelled" else writer.parts()
    titles = table("report")["section"]
    return Composed(
        title=table("report")["title"]["radiograph"][language],
        sections=[
            Section(code=code, title=titles[code][language], paragraphs=paragraphs)
            for code, paragraphs in parts
            if paragraphs
        ],
        notices=writer.notices(),
    )


def day(value: datetime.date, language: Language) -> str:
    """Return a date as the language writes it."""
    if language == "ko":
        return f"{value.year}년 {value.month}월 {value.day}일"
    if language == "en":
        return f"{value.day} {_ENGLISH_MONTHS[value.month - 1]} {value.year}"
    return f"{value:%d/%m/%Y}" if language == "vi" else f"{value:%d.%m.%Y}"


_ENGLISH_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip


class _Writer:
    """Writes the parts of one report in one language."""

    def __init__(self, content: Content, facts: Facts, standing: Standing, language: Language) -> None:
        self._content, self._facts, self._standing, self._language = content, facts, standing, language

    def parts(self) -> list[tuple[str, list[str]]]:
        content = self._content
        return [
            ("question", self._question()),
            ("technique", [*self._coded("technique", content.technique.code), *self._own(content.technique.text)]),
            ("comparison", self._comparison()),
            ("findings", self._findings()),
            ("impression", self._impression()),
            (
                "recommendations",
                [
                    *(self._word("recommendation", code) for code in content.recommendations),
                    *self._own(content.recommendation_text),
                ],
            ),
            ("departments", self._departments()),
            ("critical", self._critical()),
            *(("addendum", self._addendum(note)) for note in self._standing.addenda),
        ]

    def notices(self) -> list[str]:
        """Return what stands at the foot of the report (STANDARDS REP-12), and whose words were not translated."""
        words = table("report")["notice"]
        foot = [words["second_opinion"][self._language], *self._models(words)]
        facts = self._facts
        if facts.is_lossy:
            foot.append(words["lossy"][self._language])
        if facts.is_radiograph and facts.images == 1:
            foot.append(words["single_view"][self._language])
        if facts.question is None:
            foot.append(words["no_clinical"][self._language])
        foreign = sorted(self._foreign())
        if foreign:
            names = listed([table("report")["language"][name][self._language] for name in foreign], self._language)
            foot.append(table("report")["free_text"]["notice"][self._language].format(language=names))
        return [*self._state(words), *foot]

    def retraction(self) -> list[str]:
        reason = self._own(self._standing.reason or "", self._standing.reason_language)
        return [table("report")["notice"]["cancelled"][self._language], *reason]

    def _addendum(self, note: Addendum) -> list[str]:
        when = datetime.datetime.fromisoformat(note.signed_on)
        told = f"{day(when.date(), self._language)} {when:%H:%M} (UTC{when:%z})"
        return [*self._own(note.text, note.language), f"— {note.signer}, {told}"]

    def _state(self, words: dict[str, Any]) -> list[str]:
        status = self._standing.status
        if status in ("final", "cancelled"):
            return []
        said = str(words[status][self._language])
        if status != "amended":
            return [said]
        if self._standing.has_new_images:
            return [" ".join([said, words["new_images"][self._language]])]
        return [" ".join([said, *self._own(self._standing.reason or "", self._standing.reason_language)])]

    def _models(self, words: dict[str, Any]) -> list[str]:
        models = self._facts.models
        if models is None:
            return []
        if not models:
            return [words["ai_not_used"][self._language]]
        named = ", ".join(f"{model.package} {model.version}" for model in models)
        research = words["ai_research"][self._language]  # no package is approved as a medical device anywhere yet
        return [words["ai_used"][self._language].format(models=f"{named} ({research})")]

    def _findings(self) -> list[str]:
        content, language = self._content, self._language
        said = [" ".join([sentence(f, language), *self._own(f.text)]) for f in content.abnormal]
        said += [sentence(f, language) for f in content.findings if f.presence == "absent"]
        said += self._own(content.findings_text)
        normal = self._normal()
        if normal:
            said.append(" ".join(normal))
        return [*self._quality(content.quality), *said]

    def _normal(self) -> list[str]:
        if self._content.template is None:
            return []
        lines = table("report")["template"][self._content.template]["region"]
        spoken = {findings()[finding.code].region for finding in self._content.abnormal}
        return [lines[region][self._language] for region in REGIONS if region in lines and region not in spoken]

    def _impression(self) -> list[str]:
        content, language = self._content, self._language
        own = self._own(content.impression_text)
        coded = [sentence(finding, language) for finding in content.abnormal]
        if len(coded) > 1:
            coded = [f"{number}. {said}" for number, said in enumerate(coded, start=1)]
        if coded or own:
            return [*coded, *own]
        words = table("report")
        if content.quality and content.quality.grade == "insufficient":
            return [words["impression"]["insufficient"][language]]
        if content.findings_text.strip():
            return []
        if content.template:
            return [words["template"][content.template]["impression"][language]]
        return [words["impression"]["nothing"][language]]

    def _comparison(self) -> list[str]:
        comparison, words = self._content.comparison, table("report")["comparison"]
        if comparison is None:
            return []
        if comparison.kind == "none":
            return [words["none"][self._language]]
        if comparison.date is None:
            return [words["prior_undated"][self._language]]
        return [words["prior"][self._language].format(date=day(comparison.date, self._language))]

    def _quality(self, quality: Quality | None) -> list[str]:
        if quality is None or quality.grade == "good":
            return []
        said = table("words")["quality"][quality.grade]["text"][self._language]
        reasons = [table("words")["quality_reason"][reason][self._language] for reason in quality.reasons]
        return [f"{said} ({', '.join(reasons)})." if reasons else f"{said}."]

    def _question(self) -> list[str]:
        asked = self._facts.question
        if asked is None:
            return []
        return [*self._own(asked.question, asked.language), *self._own(asked.history, asked.language)]

    def _departments(self) -> list[str]:
        names = [table("words")["department"][code]["name"][self._language] for code in self._content.departments]
        return [", ".join(names)] if names else []

    def _critical(self) -> list[str]:
        category = self._content.critical_category
        return [table("words")["critical"][str(category)]["text"][self._language]] if category else []

    def _coded(self, kind: str, code: str | None) -> Sequence[str]:
        return [self._word(kind, code)] if code else []

    def _word(self, kind: str, code: str) -> str:
        return str(table("words")[kind][code][self._language])

    def _own(self, text: str, language: Language | None = None) -> list[str]:
        """Return free text by lines; in a report of another language each is marked with the one it is written in."""
        written = language or self._content.language
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        if written == self._language:
            return lines
        return [f"[{table('report')['language'][written][self._language]}] {line}" for line in lines]

    def _foreign(self) -> set[Language]:
        asked, standing = self._facts.question, self._standing
        written = {note.language for note in standing.addenda}
        if self._content.free_texts:
            written.add(self._content.language)
        if asked and (asked.question.strip() or asked.history.strip()):
            written.add(asked.language)
        if standing.reason:
            written.add(standing.reason_language)
        return written - {self._language}
