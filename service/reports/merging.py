"""A finding that the reader coded by hand beside the AI's same one is told once."""

from __future__ import annotations

from collections.abc import Iterator

from service.catalogue import findings
from service.reports.content import CodedFinding, Content

ATTRIBUTES = ("size_mm", "count", "severity", "certainty", "change")


def merged(content: Content) -> Content:
    """Return the content with every finding that follows from the AI told with the reader's own words of it.

    The same finding of the same side and zones is one; on another side or in another zone it is another one. One that
    follows from the AI and has no place yet is the one that the reader placed. Findings whose attributes contradict one
    another stay apart: `clashes` names them.
    """
    kept: list[CodedFinding] = []
    for finding in content.findings:
        for index, other in enumerate(kept):
            if is_same(other, finding) and not contradiction(other, finding):
                kept[index] = _joined(other, finding)
                break
        else:
            kept.append(finding)
    return content if len(kept) == len(content.findings) else content.model_copy(update={"findings": kept})


def clashes(content: Content) -> Iterator[str]:
    """Give the field of each finding that says again, or says otherwise, what an earlier one says of the same place."""
    for index, finding in enumerate(content.findings):
        for other in content.findings[:index]:
            if not has_same_place(other, finding):
                continue
            if not is_same(other, finding):  # two by hand: one of them was meant for another place
                yield f"findings.{index}.side" if findings()[finding.code].allowed_sides else f"findings.{index}"
                break
            if field := contradiction(other, finding):
                yield f"findings.{index}.{field}"
                break


def has_same_place(one: CodedFinding, other: CodedFinding) -> bool:
    """Tell whether two findings have the same code, side and zones, and neither is denied where the other is said."""
    is_denied = (one.presence == "absent", other.presence == "absent")
    return (one.code, one.side, set(one.zones)) == (other.code, other.side, set(other.zones)) and len({*is_denied}) == 1


def is_same(one: CodedFinding, other: CodedFinding) -> bool:
    """Tell whether two findings are one: of the same place, or one of them without any, and one follows from the AI."""
    if one.finding_id is None and other.finding_id is None:
        return False
    return has_same_place(one, other) or _is_placed_by(one, other) or _is_placed_by(other, one)


def contradiction(one: CodedFinding, other: CodedFinding) -> str | None:
    """Return the attribute of which two findings say different things; None: each only adds to the other."""
    if one.presence != other.presence:
        return "presence"
    for name in ATTRIBUTES:
        values = {getattr(one, name), getattr(other, name)} - {None}
        if len(values) > 1:
            return name
    return None


def _is_placed_by(of_ai: CodedFinding, by_hand: CodedFinding) -> bool:
    has_no_place = of_ai.side is None and not of_ai.zones
    return of_ai.finding_id is not None and by_hand.finding_id is None and has_no_place and of_ai.code == by_hand.code


def _joined(one: CodedFinding, other: CodedFinding) -> CodedFinding:
    """Return two findings as one: the place of the one that has one, what either says, the AI's finding it is of."""
    placed = one if one.side or one.zones else other
    texts = dict.fromkeys(text.strip() for text in (one.text, other.text) if text.strip())
    values = {
        name: getattr(one, name) if getattr(one, name) is not None else getattr(other, name) for name in ATTRIBUTES
    }
    values |= {"side": placed.side, "zones": placed.zones, "text": "\n".join(texts)}
    return one.model_copy(update={**values, "finding_id": one.finding_id or other.finding_id})
