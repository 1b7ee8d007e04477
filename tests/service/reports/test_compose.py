"""A whole report in four languages: what every report says, and whose words are whose."""

from __future__ import annotations

import datetime

import pytest

from service.catalogue import LANGUAGES
from service.reports.compose import Composed, Standing, compose, compose_all, day
from service.reports.content import (
    Addendum,
    CodedFinding,
    Comparison,
    Content,
    Facts,
    Model,
    Quality,
    Question,
    Technique,
)

FACTS = Facts(
    study_date="20260315",
    patient="VN-1",
    sex="F",
    age_years=56.0,
    accession_number="A-1",
    site_name="Center",
    time_zone="Asia/Ho_Chi_Minh",
    images=1,
    is_radiograph=True,
    is_lossy=False,
    models=[Model(package="chest_radiograph", version="0.2.0")],
    question=None,
)
NORMAL = Content(
    template="chest_normal",
    technique=Technique(code="chest_pa"),
    comparison=Comparison(kind="none"),
    recommendations=["none"],
    quality=Quality(grade="good"),
    language="ko",
)


def part(composed: Composed, code: str) -> list[str]:
    return next((section.paragraphs for section in composed.sections if section.code == code), [])


def everything(composed: Composed) -> str:
    return "\n".join([*(line for section in composed.sections for line in section.paragraphs), *composed.notices])


def test_a_normal_report_says_so_of_every_region_and_in_its_impression() -> None:
    told = compose_all(NORMAL, FACTS, Standing(status="final"))

    assert part(told["en"], "impression") == ["No abnormality of the heart or lungs is seen on this chest radiograph."]
    assert part(told["ko"], "impression") == ["흉부 X선상 심장 및 폐에 이상 소견 없음."]
    assert part(told["vi"], "impression") == ["Hiện tại không thấy bất thường tim phổi trên phim X quang ngực."]
    assert part(told["ru"], "impression") == ["Патологических изменений органов грудной клетки на снимке не выявлено."]
    for language in LANGUAGES:
        assert [section.code for section in told[language].sections] == [
            "technique", "comparison", "findings", "impression", "recommendations",
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("finding", "not_said", "still_said"),
    [
        (CodedFinding(code="nodule", side="right"), "Both lungs are clear", "No pleural effusion"),
        (CodedFinding(code="effusion", side="left"), "No pleural effusion", "Both lungs are clear"),
        (
            CodedFinding(code="cardiomegaly", presence="uncertain"),
            "The heart is of normal size",
            "Both lungs are clear",
        ),
        (CodedFinding(code="free_air"), "no free air", "Both lungs are clear"),
        (CodedFinding(code="rib_fracture", side="left"), "bones of the thorax appear intact", "No pleural effusion"),
    ],
)
def test_the_template_is_silent_on_a_region_that_a_finding_speaks_of(
    finding: CodedFinding, not_said: str, still_said: str
) -> None:
    told = compose(NORMAL.model_copy(update={"findings": [finding]}), FACTS, Standing(), "en")

    said = "\n".join(part(told, "findings"))
    assert not_said not in said
    assert still_said in said
    assert "No abnormality" not in everything(told)


def test_a_denied_finding_keeps_the_normal_statement_and_the_normal_impression() -> None:
    content = NORMAL.model_copy(update={"findings": [CodedFinding(code="pneumothorax", presence="absent")]})

    told = compose(content, FACTS, Standing(), "en")

    assert part(told, "findings")[0] == "No pneumothorax."
    assert part(told, "impression")[0].startswith("No abnormality")


@pytest.mark.parametrize("template", ["chest_normal", None])
def test_words_on_findings_are_never_beside_an_impression_that_nobody_wrote(template: str | None) -> None:
    content = NORMAL.model_copy(update={"template": template, "findings_text": "Large right pneumothorax."})

    assert part(compose(content, FACTS, Standing(), "en"), "impression") == []


def test_the_most_urgent_finding_opens_the_impression() -> None:
    found = [CodedFinding(code="scoliosis"), CodedFinding(code="nodule"), CodedFinding(code="free_air", side="right")]

    told = compose(NORMAL.model_copy(update={"findings": found}), FACTS, Standing(), "en")

    assert [line[:2] for line in part(told, "impression")] == ["1.", "2.", "3."]
    assert "Free air" in part(told, "impression")[0]
    assert "scoliosis" in part(told, "impression")[2]


def test_the_authors_own_words_stay_and_are_marked_in_other_languages() -> None:
    content = NORMAL.model_copy(
        update={"findings_text": "경계가 불분명함.\n\n침상 돌기.", "impression_text": "추적 필요."}
    )
    told = compose_all(content, FACTS, Standing())

    assert part(told["ko"], "impression") == ["추적 필요."]
    assert not any("표시된" in notice for notice in told["ko"].notices)
    marks = {"en": "[Korean]", "vi": "[tiếng Hàn]", "ru": "[корейский язык]"}
    for language in ("en", "vi", "ru"):
        assert part(told[language], "impression") == [f"{marks[language]} 추적 필요."]
        assert f"{marks[language]} 경계가 불분명함." in part(told[language], "findings")
        assert marks[language].strip("[]") in told[language].notices[-1]


def test_the_centers_question_stands_in_its_own_language() -> None:
    asked = FACTS.model_copy(update={"question": Question(question="Ho kéo dài?", history="", language="vi")})

    told = compose_all(NORMAL, asked, Standing())

    assert part(told["vi"], "question") == ["Ho kéo dài?"]
    assert part(told["ru"], "question") == ["[вьетнамский язык] Ho kéo dài?"]


@pytest.mark.parametrize(
    ("changes", "said", "unsaid"),
    [
        ({}, ["Only one view", "No clinical information", "chest_radiograph 0.2.0"], ["with loss"]),
        ({"is_lossy": True}, ["with loss"], []),
        ({"images": 2}, [], ["Only one view"]),
        ({"is_radiograph": False}, [], ["Only one view"]),
        ({"models": []}, ["No AI result"], ["chest_radiograph"]),
        ({"question": Question(question="?", history="", language="en")}, [], ["No clinical information"]),
    ],
)
def test_limits_and_the_use_of_ai_stand_on_every_report(
    changes: dict[str, object], said: list[str], unsaid: list[str]
) -> None:
    told = compose(NORMAL, FACTS.model_copy(update=changes), Standing(status="final"), "en")

    notices = "\n".join(told.notices)
    assert "remains responsible" in told.notices[0]
    assert all(words in notices for words in said)
    assert not any(words in notices for words in unsaid)


def test_what_is_not_final_says_so_first() -> None:
    assert compose(NORMAL, FACTS, Standing(status="preliminary"), "vi").notices[0].startswith("KẾT QUẢ SƠ BỘ")
    assert compose(NORMAL, FACTS, Standing(), "ru").notices[0].startswith("ЧЕРНОВИК")
    amended = Standing(status="amended", reason="좌우 정정", reason_language="ko")
    assert compose(NORMAL, FACTS, amended, "en").notices[0].endswith("Reason: [Korean] 좌우 정정")
    more = Standing(status="amended", has_new_images=True)
    assert compose(NORMAL, FACTS, more, "en").notices[0].endswith("Reason: further images arrived.")


def test_a_retracted_report_repeats_no_finding() -> None:
    content = NORMAL.model_copy(update={"findings": [CodedFinding(code="nodule")], "findings_text": "note"})

    for language, told in compose_all(content, FACTS, Standing(status="cancelled", reason="wrong")).items():
        assert [section.code for section in told.sections] == ["retraction"], language
        assert "nodule" not in everything(told)
        assert "note" not in part(told, "retraction")


def test_an_addendum_is_signed_and_dated_under_what_stood() -> None:
    note = Addendum(text="비교 결과 변화 없음.", language="ko", signer="Kim", signed_on="2026-03-16T09:00+07:00")

    told = compose(NORMAL, FACTS, Standing(status="appended", addenda=[note]), "ko")

    assert part(told, "addendum") == ["비교 결과 변화 없음.", "— Kim, 2026년 3월 16일 09:00 (UTC+0700)"]
    assert part(told, "impression")


def test_a_film_that_allows_no_conclusion_is_never_called_normal() -> None:
    content = Content(
        technique=Technique(code="chest_pa"),
        comparison=Comparison(kind="none"),
        recommendations=["repeat_radiograph"],
        quality=Quality(grade="insufficient", reasons=["motion", "cut_off"]),
        language="ko",
    )

    told = compose_all(content, FACTS, Standing())

    assert part(told["en"], "impression") == ["The image does not allow a conclusion."]
    assert part(told["en"], "findings") == [
        "Image quality: not sufficient for diagnosis (motion blur, part of the chest not included)."
    ]
    assert part(told["ru"], "impression") == ["Снимок не позволяет сделать заключение."]


def test_dates_are_written_as_each_language_writes_them() -> None:
    date = datetime.date(2024, 3, 5)

    assert [day(date, language) for language in LANGUAGES] == [
        "2024년 3월 5일", "5 March 2024", "05/03/2024", "05.03.2024",
    ]  # fmt: skip
