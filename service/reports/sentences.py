"""One coded finding → one sentence in each language, with its negation, side, size and number in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from service.catalogue import FindingEntry, Language, findings, table
from service.reports.content import CodedFinding
from service.reports.particles import with_particle


def sentence(finding: CodedFinding, language: Language) -> str:
    """Return what a coded finding says, in one language; a change since the prior examination follows it."""
    entry = findings()[finding.code]
    said = _WRITERS[language](finding, entry)
    said = said[0].upper() + said[1:] + "."
    if finding.change:
        said += " " + _words("change", finding.change, "text")[language]
    return said


def decimal(value: float, language: Language) -> str:
    """Return a number as the language writes it: at most one decimal, a comma in vi and ru."""
    text = f"{value:.1f}".rstrip("0").rstrip(".")
    return text.replace(".", ",") if language in ("vi", "ru") else text


def listed(words: Sequence[str], language: Language) -> str:
    """Return words as one enumeration."""
    join = {"en": " and ", "ko": " 및 ", "vi": " và ", "ru": " и "}[language]
    return join.join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _words(kind: str, code: str, *path: str) -> Any:
    found = table("words")[kind][code]
    for step in path:
        found = found[step]
    return found


def _is_plural(finding: CodedFinding) -> bool:
    return (finding.count or 1) > 1 or (finding.side == "both" and finding.presence != "absent")


def _is_denied_of_many(finding: CodedFinding, entry: FindingEntry) -> bool:
    """What could be several is denied in the plural: "No rib fractures"."""
    return finding.presence == "absent" and entry.is_countable


def _severity(finding: CodedFinding, entry: FindingEntry, language: Language) -> str:
    if finding.severity is None or entry.severity is None:
        return ""
    return str(_words("severity", entry.severity, finding.severity, language))


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _en(finding: CodedFinding, entry: FindingEntry) -> str:
    forms = entry.nouns["en"]
    is_many = "many" in forms and (_is_plural(finding) or _is_denied_of_many(finding, entry))
    noun = str(forms["many"] if is_many else forms["one"])
    where = _en_zones(finding)
    side = "" if where or finding.side is None else str(_words("side", finding.side, entry.sides or "on", "en"))
    if forms.get("sided") and side in ("right", "left"):
        side += "-sided"
    if finding.presence == "absent":
        return _joined("no", _en_absent(noun, side, finding), where)
    if entry.sides == "toward":
        noun, side = _joined(noun, side), ""
    elif "{side}" in noun:
        noun, side = noun.replace("{side}", f"{side} " if side else ""), ""
    elif "both" in noun:
        side = ""
    told = _joined(_severity(finding, entry, "en"), side, noun, where) + _en_size(finding)
    is_are = "are" if is_many or forms.get("plural") else "is"
    return {
        1: f"{told} {is_are} unlikely",
        2: f"{told} cannot be excluded",
        3: f"possible {told}",
        4: f"probable {told}",
        5: told,
    }[finding.sureness]


def _en_absent(noun: str, side: str, finding: CodedFinding) -> str:
    if finding.side == "both" and side:
        return _joined(noun.replace("{side}", ""), str(_words("side", "both", "absent", "en")))
    if "{side}" in noun:
        return noun.replace("{side}", f"{side} " if side else "")
    return _joined(noun, side) if side.startswith("to ") else _joined(side, noun)


def _en_zones(finding: CodedFinding) -> str:
    if not finding.zones:
        return ""
    zones = listed([str(_words("zone", zone, "en")) for zone in finding.zones], "en")
    is_many = len(finding.zones) > 1 or finding.side == "both"
    noun = "zones" if is_many else "zone"
    if finding.side == "both":
        return f"in the {zones} {noun} of both lungs"
    return _joined("in the", finding.side or "", zones, noun)


def _en_size(finding: CodedFinding) -> str:
    count = f", {finding.count} in number" if finding.count else ""
    if finding.size_mm is None:
        return count
    measure = "the largest measuring" if (finding.count or 1) > 1 else "measuring"
    return f"{count}, {measure} {decimal(finding.size_mm, 'en')} mm"


def _ko(finding: CodedFinding, entry: FindingEntry) -> str:
    noun = str(entry.nouns["ko"]["one"])
    where = _ko_place(finding, entry)
    size = f"{decimal(finding.size_mm, 'ko')} mm 크기의" if finding.size_mm is not None else ""
    if size and (finding.count or 1) > 1:
        size = f"최대 {size}"
    count = f"{finding.count}개" if finding.count else ""
    told = _joined(where, size, _severity(finding, entry, "ko"), noun, count)
    if finding.presence == "absent":
        return f"{with_particle(told, '은', '는')} 관찰되지 않음"
    subject = with_particle(told, "이", "가")
    return {
        1: f"{told}의 가능성은 낮음",
        2: f"{with_particle(told, '을', '를')} 배제할 수 없음",
        3: f"{told}의 가능성이 있음",
        4: f"{subject} 의심됨",
        5: f"{subject} 관찰됨",
    }[finding.sureness]


def _ko_place(finding: CodedFinding, entry: FindingEntry) -> str:
    side = ""
    if finding.side:
        is_denied_twice = finding.presence == "absent" and finding.side == "both" and not finding.zones
        side = str(_words("side", finding.side, "absent" if is_denied_twice else entry.sides or "on", "ko"))
    if finding.zones:
        return _joined(side, listed([str(_words("zone", zone, "ko")) for zone in finding.zones], "ko") + "에")
    is_apart = bool(finding.severity or finding.size_mm) and entry.sides == "on" and finding.presence != "absent"
    return f"{side}에" if side and is_apart else side


def _vi(finding: CodedFinding, entry: FindingEntry) -> str:
    forms = entry.nouns["vi"]
    noun = str(forms.get("counted", forms["one"]) if finding.count else forms["one"])
    count = f"{finding.count} " if finding.count else ""
    severity = _severity(finding, entry, "vi")
    told = _joined(count + noun, _vi_place(finding, entry)) + (f", {severity}" if severity else "")
    if finding.size_mm is not None:
        measure = "kích thước lớn nhất" if (finding.count or 1) > 1 else "kích thước"
        told += f", {measure} {decimal(finding.size_mm, 'vi')} mm"
    if finding.presence == "absent":
        return f"không thấy {told}"
    return {
        1: f"ít nghĩ đến {told}",
        2: f"chưa loại trừ {told}",
        3: f"có thể có {told}",
        4: f"nghĩ nhiều đến {told}",
        5: f"có {told}",
    }[finding.sureness]


def _vi_place(finding: CodedFinding, entry: FindingEntry) -> str:
    if finding.zones:
        zones = listed([str(_words("zone", zone, "vi")) for zone in finding.zones], "vi")
        lung = {"right": "phổi phải", "left": "phổi trái", "both": "hai phổi", None: ""}[finding.side]
        if zones.endswith("phổi"):  # "rốn phổi", the hilum, names the lung itself; "rốn" alone is the navel
            lung = {"phổi phải": "phải", "phổi trái": "trái", "hai phổi": "hai bên", "": ""}[lung]
        return _joined("ở", zones, lung)
    if finding.side is None:
        return ""
    is_denied_twice = finding.presence == "absent" and finding.side == "both"
    return str(_words("side", finding.side, "absent" if is_denied_twice else entry.sides or "on", "vi"))


def _ru(finding: CodedFinding, entry: FindingEntry) -> str:
    forms = entry.nouns["ru"]
    is_many = "noms" in forms and (_is_plural(finding) or _is_denied_of_many(finding, entry))
    nominative, genitive = (forms["noms"], forms["gens"]) if is_many else (forms["nom"], forms["gen"])
    where, tail = _ru_place(finding, entry), _ru_tail(finding, entry)
    if finding.presence == "absent":
        return _joined(where, genitive + tail, "не выявлено")
    is_plural_verb = (is_many and not forms.get("noms_are_one")) or forms.get("plural")
    verb = "определяются" if is_plural_verb else "определяется"
    return {
        1: _joined(where, "наличие", genitive + tail, "маловероятно"),
        2: _joined(where, "нельзя исключить наличие", genitive + tail),
        3: _joined(where, "возможно наличие", genitive + tail),
        4: _joined(where, "вероятно наличие", genitive + tail),
        5: _joined(where, verb, nominative + tail),
    }[finding.sureness]


def _ru_place(finding: CodedFinding, entry: FindingEntry) -> str:
    if finding.zones:
        is_many = len(finding.zones) > 1 or finding.side == "both"
        form = "many" if finding.side == "both" else "one"
        zones = listed([str(_words("zone", zone, "ru", form)) for zone in finding.zones], "ru")
        lung = {"right": "правого лёгкого", "left": "левого лёгкого", "both": "обоих лёгких", None: ""}[finding.side]
        return _joined("в", zones, "отделах" if is_many else "отделе", lung)
    if finding.side is None or entry.sides == "toward":
        return ""
    return str(_words("side", finding.side, "on", "ru"))


def _ru_tail(finding: CodedFinding, entry: FindingEntry) -> str:
    toward = str(_words("side", finding.side, "toward", "ru")) if finding.side and entry.sides == "toward" else ""
    severity = _severity(finding, entry, "ru")
    tail = "".join(f" {part}" for part in (severity, toward) if part)
    if finding.size_mm is not None:
        measure = "размером до" if (finding.count or 1) > 1 else "размером"
        tail += f" {measure} {decimal(finding.size_mm, 'ru')} мм"
    if finding.count:
        tail += f" (количество: {finding.count})"
    return tail


_WRITERS: Mapping[Language, Callable[[CodedFinding, FindingEntry], str]] = {"en": _en, "ko": _ko, "vi": _vi, "ru": _ru}
