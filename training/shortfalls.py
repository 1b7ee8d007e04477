"""What a model did not reach, and why: the sentences that card and page put where nobody can miss them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from training.cases import ANY_FINDING, CHILD_OPACITY
from training.evaluate_figures import MAIN_FINDINGS, FindingEvaluation
from training.evaluate_published import Outcome
from training.evaluate_record import Evaluation
from training.pointing import ALL_BOXES, Pointing
from training.proofs import Occlusion
from training.wording import difference, figure, finding_title, group_title, of_100

REASONS: Mapping[tuple[str, str], str] = {
    (CHILD_OPACITY, "all"): (
        "The test films were taken or prepared differently from those learned from (a thumbnail model falls from 0.99 "
        "on the validation films to 0.93 on them; the source does not say why), while on films like those learned from "
        "next to nothing is left to gain (see the curve). More such films would not help; films of other hospitals "
        "would."
    ),
    (ANY_FINDING, "nih_cxr14_subset"): (
        "Normal and abnormal films of this set come partly from different years, which a thumbnail tells too; and with "
        "so few test films a small difference cannot be told from chance."
    ),
    (ANY_FINDING, "nih_cxr14_more"): (
        "There were few films of adults to learn from, a hundredth of what published networks had, and each doubling "
        "still adds about a hundredth (see the curve). A program found the labels in reports, and it errs. What a "
        "thumbnail tells of these films is how they were taken; that was worth as much here as all that was learned."
    ),
}
"""Why a figure of a target stayed behind; the learning curves beside it are the evidence."""


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Something that was aimed at and not reached.

    Attributes:
        what: In a few words.
        why: Figures and reason, in sentences.
    """

    what: str
    why: str


def shortfalls(evaluation: Evaluation) -> list[Shortfall]:
    """Return all that an evaluation did not reach: targets, the thumbnail models, covered lungs, heat maps."""
    found = [_target(outcome) for outcome in evaluation.outcomes]
    found.append(_worse([row for row in evaluation.findings if row.finding in MAIN_FINDINGS]))
    found += [_covered(row) for row in evaluation.occlusion if row.finding in MAIN_FINDINGS]
    found.append(_fourteen_covered([row for row in evaluation.occlusion if row.finding not in MAIN_FINDINGS]))
    found += [_pointing(row) for row in evaluation.pointing if (row.finding, row.heat_map) == (ALL_BOXES, "own")]
    return [shortfall for shortfall in found if shortfall is not None]


def _target(outcome: Outcome) -> Shortfall | None:
    if outcome.reached == "target reached" and outcome.beats_thumbnail:
        return None
    target = f"AUROC {figure(outcome.auroc)}; {outcome.wanted:.3f} was aimed at, at least {outcome.least:.3f}"
    said = [f"{target}: {outcome.reached}."]
    if not outcome.beats_thumbnail:
        said.append(
            "Not shown to be better than the better thumbnail model: the difference is "
            f"{difference(outcome.auroc_gain)}."
        )
    said.append(REASONS.get((outcome.finding, outcome.group), ""))
    return Shortfall(outcome.title, " ".join(said).strip())


def _worse(rows: Sequence[FindingEvaluation]) -> Shortfall | None:
    worse = [
        f"{finding_title(row.finding)} on {group_title(row.group)}, {row.auroc.value:.3f} against "
        f"{row.better_thumbnail.value:.3f}"
        for row in rows
        if row.auroc_gain.high < 0
    ]
    return Shortfall("Worse than a thumbnail model", f"{'; '.join(worse)}. See the groups.") if worse else None


def _covered(row: Occlusion) -> Shortfall | None:
    if row.passed:
        return None
    reached = max(row.blanked_black.value, row.blanked_grey.value)
    return Shortfall(
        f"{finding_title(row.finding)}, lungs covered",
        f"With the lungs covered the AUROC is still {reached:.3f}; {row.allowed:.3f} was allowed, 0.05 more than a "
        "linear model reaches that sees the border alone. So a part of what the whole film gives, "
        f"{row.whole.value:.3f}, is not read in the lungs: shoulders, abdomen and tubes lie outside, and so does how "
        "a film was taken.",
    )


def _fourteen_covered(rows: Sequence[Occlusion]) -> Shortfall | None:
    failed = [finding_title(row.finding) for row in rows if not row.passed]
    if not failed:
        return None
    words = f"With the lungs covered, more than allowed is left of {', '.join(failed)}. These outputs are experimental."
    return Shortfall("Experimental findings, lungs covered", words)


def _pointing(row: Pointing) -> Shortfall | None:
    if row.accuracy.low > row.usual_place.value:
        return None
    return Shortfall(
        "Heat maps",
        f"In {of_100(row.accuracy.value)} of 100 films the strongest place lies in the radiologist's box; always "
        f"pointing at the usual place of that finding would hit {of_100(row.usual_place.value)}. The grid is coarse, "
        "and the network never learned from a box. A heat map is a hint at best, and no location.",
    )
