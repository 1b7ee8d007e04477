"""Sentences of coded findings: what matters for the patient stands in every language."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.catalogue import LANGUAGES, Language, findings
from service.reports.content import CodedFinding
from service.reports.particles import with_particle
from service.reports.sentences import decimal, sentence

DENIES = {
    "en": r"^No ",
    "ko": r"관찰되지 않음\.",
    "vi": r"^Không thấy ",
    "ru": r" не выявлено\.",
}
RIGHT = {"en": r"\b[Rr]ight\b", "ko": "우측", "vi": r"\bphải\b", "ru": r"[Сс]права|правого|вправо"}
LEFT = {"en": r"\b[Ll]eft\b", "ko": "좌측", "vi": r"\btrái\b", "ru": r"[Сс]лева|левого|влево"}
BOTH = {
    "en": r"[Bb]ilateral|both|either side",
    "ko": "양측",
    "vi": r"hai (bên|phổi)",
    "ru": r"[Сс] обеих сторон|обоих",
}
SURE = {
    1: {"en": r"unlikely", "ko": "가능성은 낮음", "vi": "^Ít nghĩ đến", "ru": "маловероятно"},
    2: {"en": r"cannot be excluded", "ko": "배제할 수 없음", "vi": "^Chưa loại trừ", "ru": "ельзя исключить"},
    3: {"en": r"^Possible", "ko": "가능성이 있음", "vi": "^Có thể có", "ru": "озможно наличие"},
    4: {"en": r"^Probable", "ko": "의심됨", "vi": "^Nghĩ nhiều đến", "ru": "ероятно наличие"},
    5: {"en": r"", "ko": "관찰됨", "vi": "^Có ", "ru": "пределяе?ю?тся"},
}
CODES = sorted(code for code, entry in findings().items() if entry.is_reportable)


@st.composite
def coded(draw: st.DrawFn) -> CodedFinding:
    """Return any finding that a report may hold."""
    code = draw(st.sampled_from(CODES))
    entry = findings()[code]
    presence = draw(st.sampled_from(["present", "absent", "uncertain"]))
    zones = ["upper", "middle", "lower", "apical", "perihilar", "basal", "retrocardiac"]
    values = {
        "side": draw(st.sampled_from([None, *entry.allowed_sides])),
        "zones": draw(st.lists(st.sampled_from(zones), unique=True, max_size=3)) if entry.has_zones else [],
    }
    if presence != "absent":
        values["certainty"] = draw(st.sampled_from([None, 3, 4, 5] if presence == "present" else [None, 1, 2, 3, 4]))
        if entry.is_measurable:
            values["size_mm"] = draw(st.none() | st.integers(1, 9990).map(lambda tenths: tenths / 10))
        if entry.is_countable:
            values["count"] = draw(st.none() | st.integers(1, 99))
        if entry.severity:
            values["severity"] = draw(st.sampled_from([None, "mild", "moderate", "severe"]))
    return CodedFinding(code=code, presence=presence, **values)


@settings(max_examples=600, deadline=None)
@given(coded())
def test_negation_is_in_every_language_or_in_none(finding: CodedFinding) -> None:
    for language in LANGUAGES:
        denied = re.search(DENIES[language], sentence(finding, language)) is not None
        assert denied == (finding.presence == "absent"), (language, sentence(finding, language))


@settings(max_examples=600, deadline=None)
@given(coded())
def test_the_side_is_in_every_language_and_no_other_side(finding: CodedFinding) -> None:
    for language in LANGUAGES:
        said = sentence(finding, language)
        assert (re.search(RIGHT[language], said) is not None) == (finding.side == "right"), (language, said)
        assert (re.search(LEFT[language], said) is not None) == (finding.side == "left"), (language, said)
        assert (re.search(BOTH[language], said) is not None) == (finding.side == "both"), (language, said)


@settings(max_examples=600, deadline=None)
@given(coded())
def test_size_with_its_unit_and_count_are_in_every_language(finding: CodedFinding) -> None:
    for language in LANGUAGES:
        said = sentence(finding, language)
        numbers = [float(number.replace(",", ".")) for number in re.findall(r"\d+(?:[.,]\d+)?", said)]
        expected = [number for number in (finding.size_mm, finding.count) if number is not None]
        assert sorted(numbers) == sorted(expected), (language, said)
        unit = "мм" if language == "ru" else "mm"
        if finding.size_mm is not None:
            assert f"{decimal(finding.size_mm, language)} {unit}" in said
        else:
            assert unit not in said


@settings(max_examples=600, deadline=None)
@given(coded())
def test_the_level_of_certainty_is_the_same_in_every_language(finding: CodedFinding) -> None:
    if finding.presence == "absent":
        return
    for language in LANGUAGES:
        said = sentence(finding, language)
        levels = {level for level, words in SURE.items() if words[language] and re.search(words[language], said)}
        if language == "vi" and 3 in levels:
            levels -= {5}  # "Có thể có" opens with the "Có" of certainty
        assert levels == ({finding.sureness} if language != "en" or finding.sureness < 5 else set()), (language, said)


@settings(max_examples=600, deadline=None)
@given(coded())
def test_a_sentence_is_well_formed(finding: CodedFinding) -> None:
    for language in LANGUAGES:
        said = sentence(finding, language)
        assert said[0] == said[0].upper()
        assert said.endswith(".")
        assert not re.search(r"  | ,|\.\.|[{}]|None", said), said


@settings(max_examples=300, deadline=None)
@given(coded(), st.sampled_from(["mild", "moderate", "severe"]))
def test_two_degrees_never_read_the_same(finding: CodedFinding, other: str) -> None:
    if not findings()[finding.code].severity or finding.presence == "absent" or finding.severity == other:
        return
    changed = finding.model_copy(update={"severity": other})
    for language in LANGUAGES:
        assert sentence(changed, language) != sentence(finding, language)


READS: list[tuple[CodedFinding, dict[Language, str]]] = [
    (
        CodedFinding(code="effusion", side="right", severity="mild"),
        {
            "en": "Small right pleural effusion.",
            "ko": "우측에 소량의 흉막삼출이 관찰됨.",
            "vi": "Có tràn dịch màng phổi bên phải, lượng ít.",
            "ru": "Справа определяется плевральный выпот небольшого объёма.",
        },
    ),
    (
        CodedFinding(code="nodule", side="both", zones=["upper", "middle"], count=3, size_mm=8.5),
        {
            "en": "Lung nodules in the upper and middle zones of both lungs, 3 in number,"
            " the largest measuring 8.5 mm.",
            "ko": "양측 상폐야 및 중폐야에 최대 8.5 mm 크기의 폐결절 3개가 관찰됨.",
            "vi": "Có 3 nốt mờ phổi ở vùng trên và vùng giữa hai phổi, kích thước lớn nhất 8,5 mm.",
            "ru": "В верхних и средних отделах обоих лёгких определяются очаговые тени размером до 8,5 мм"
            " (количество: 3).",
        },
    ),
    (
        CodedFinding(code="opacity", side="both", zones=["perihilar"]),
        {
            "en": "Lung opacities in the perihilar zones of both lungs.",
            "ko": "양측 폐문 주위에 폐음영 증가가 관찰됨.",
            "vi": "Có đám mờ phổi ở vùng quanh rốn phổi hai bên.",
            "ru": "В прикорневых отделах обоих лёгких определяются затемнения.",
        },
    ),
    (
        CodedFinding(code="opacity", side="right", zones=["basal", "perihilar"]),
        {
            "en": "Lung opacity in the right perihilar and basal zones.",
            "ko": "우측 폐문 주위 및 폐저부에 폐음영 증가가 관찰됨.",
            "vi": "Có đám mờ phổi ở vùng quanh rốn phổi và vùng đáy phổi phải.",
            "ru": "В прикорневом и базальном отделах правого лёгкого определяется затемнение.",
        },
    ),
    (
        CodedFinding(code="pneumothorax", presence="absent", side="both"),
        {
            "en": "No pneumothorax on either side.",
            "ko": "양측 모두에서 기흉은 관찰되지 않음.",
            "vi": "Không thấy tràn khí màng phổi ở cả hai bên.",
            "ru": "С обеих сторон пневмоторакса не выявлено.",
        },
    ),
    (
        CodedFinding(code="free_air", side="right", certainty=2, presence="uncertain"),
        {
            "en": "Free air under the right diaphragm cannot be excluded.",
            "ko": "우측 횡격막하 유리공기를 배제할 수 없음.",
            "vi": "Chưa loại trừ liềm hơi dưới vòm hoành bên phải.",
            "ru": "Справа нельзя исключить наличие свободного газа под куполом диафрагмы.",
        },
    ),
    (
        CodedFinding(code="mediastinal_shift", side="left", severity="severe"),
        {
            "en": "Severe mediastinal shift to the left.",
            "ko": "좌측으로 고도의 종격동 편위가 관찰됨.",
            "vi": "Có đẩy lệch trung thất sang trái, mức độ nặng.",
            "ru": "Определяется смещение средостения выраженной степени влево.",
        },
    ),
    (
        CodedFinding(code="rib_fracture", presence="absent", side="left"),
        {
            "en": "No left rib fractures.",
            "ko": "좌측 늑골 골절은 관찰되지 않음.",
            "vi": "Không thấy gãy xương sườn bên trái.",
            "ru": "Слева переломов рёбер не выявлено.",
        },
    ),
    (
        CodedFinding(code="consolidation", side="right", certainty=4),
        {
            "en": "Probable right-sided consolidation.",
            "ko": "우측 폐경화가 의심됨.",
            "vi": "Nghĩ nhiều đến đông đặc phổi bên phải.",
            "ru": "Справа вероятно наличие консолидации лёгочной ткани.",
        },
    ),
    (
        CodedFinding(code="cardiomegaly", change="increased"),
        {
            "en": "Cardiomegaly. Increased since the prior examination.",
            "ko": "심비대가 관찰됨. 이전 검사에 비해 증가함.",
            "vi": "Có hình ảnh bóng tim to. Tăng so với lần chụp trước.",
            "ru": "Определяется расширение тени сердца. По сравнению с предыдущим исследованием — увеличение.",
        },
    ),
]


@pytest.mark.parametrize(("finding", "read"), READS)
def test_sentences_read_as_written_by_hand(finding: CodedFinding, read: dict[Language, str]) -> None:
    assert {language: sentence(finding, language) for language in LANGUAGES} == read


@pytest.mark.parametrize(
    ("word", "said"),
    [("흉막삼출", "흉막삼출이"), ("심비대", "심비대가"), ("잡음(참고)", "잡음(참고)이"), ("CT", "CT가"), ("", "가")],
)
def test_a_particle_follows_the_last_syllable_that_is_spoken(word: str, said: str) -> None:
    assert with_particle(word, "이", "가") == said
