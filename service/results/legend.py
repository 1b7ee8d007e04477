"""The words beside an overlay's film."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

from models.package import ModelPackage
from service.results.findings import Finding, Presence

NOT_FOR_DIAGNOSIS = "AI - not for diagnosis"
_LINE_CHARACTERS = 46
"""So many letters of the font fit beside the film."""
_DASHES = str.maketrans({"\N{EN DASH}": "-", "\N{EM DASH}": "-", "\N{NON-BREAKING HYPHEN}": "-"})
_PRESENCE_WORDS = {
    Presence.PRESENT: "present",
    Presence.ABSENT: "not flagged",
    Presence.UNDETERMINED: "undetermined",
    Presence.NOT_EVALUATED: "not evaluated",
}
"""A model's "absent" is a probability below a chosen line, which must not be read as "not there"."""


def legend(package: ModelPackage, findings: Sequence[Finding], shown: Finding | None) -> list[str]:
    """Return the lines beside the film, in English and ASCII: words in a picture cannot be translated.

    Args:
        package: Of kind `findings`.
        findings: One for each output that readers see; experimental ones get one line each, or share it.
        shown: The finding whose activation is drawn; None when none is.
    """
    names = {output.channel: output.names.en for output in package.outputs}
    lines = [NOT_FOR_DIAGNOSIS, f"{package.name} {package.version}", "", "Where the network looked, not where a"]
    lines += ["lesion ends. Read the original image.", ""]
    for finding in findings:
        if not finding.experimental:
            lines += _entry(names[finding.channel], finding)
    lines += [*_experiments(names, [finding for finding in findings if finding.experimental]), ""]
    if shown is not None:
        mark = " (experimental)" if shown.experimental else ""
        lines += ["Class activation drawn for:", f"   {names[shown.channel]}{mark}"]
    elif any(finding.probability is not None for finding in findings):
        lines += [
            "No finding at or above its operating point:",
            "no activation is drawn.",
            "This does not mean normal.",
        ]
    else:
        lines.append("Nothing was evaluated.")
    plain = [line.translate(_DASHES).encode("ascii", "replace").decode() for line in lines]
    return [part for line in plain for part in _wrapped(line)]


def _entry(name: str, finding: Finding) -> list[str]:
    lines = [f"{name}:", f"   {_outcome(finding)}"]
    if finding.probability is not None:
        lines.append(f"   probability {finding.probability:.3f}, operating point {finding.threshold:.3f}")
    return lines


def _experiments(names: Mapping[int, str], findings: Sequence[Finding]) -> list[str]:
    present = [finding for finding in findings if finding.presence is Presence.PRESENT]
    lines = ["Experimental, present:"] if present else []
    for finding in present:
        value = "uncalibrated " if not finding.calibrated else ""
        tested = f"AUROC {finding.evidence.low:.2f}-{finding.evidence.high:.2f}" if finding.evidence else "not tested"
        lines.append(f"   {names[finding.channel]} {value}{finding.probability:.2f} ({tested})")
    together: dict[str, list[str]] = {}
    for finding in findings:
        if finding not in present:
            together.setdefault(_outcome(finding), []).append(names[finding.channel])
    for outcome, others in together.items():
        lines += [f"Experimental, {outcome}:", f"   {', '.join(others)}"]
    return lines


def _outcome(finding: Finding) -> str:
    why = f": {finding.reason.value.replace('_', ' ')}" if finding.reason else ""
    return f"{_PRESENCE_WORDS[finding.presence]}{why}"


def _wrapped(line: str) -> list[str]:
    """Break a line that would run out of the picture: half a word could turn a sense round."""
    indent = " " * (len(line) - len(line.lstrip()))
    return textwrap.wrap(line, _LINE_CHARACTERS, subsequent_indent=indent) or [""]
