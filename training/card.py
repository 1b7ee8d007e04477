"""The chest radiograph package's model card, docs/README.md, written from what was measured on test films."""

from __future__ import annotations

from collections.abc import Sequence

from models.package import Output
from training.attributions import NOT_A_DEVICE
from training.card_tables import (
    cross_set_table,
    data_table,
    elsewhere_table,
    figures_table,
    fourteen_table,
    group_table,
    lines_table,
    occlusion_table,
    outputs_table,
    pointing_table,
    targets_table,
)
from training.cases import NIH_FINDINGS
from training.evaluate_figures import MAIN_FINDINGS
from training.evaluate_record import Evaluation, LearningCurve
from training.shortfalls import shortfalls
from training.wording import finding_title, group_title

WORDS = """## Words used here

* **Flagged**: the probability reaches the *operating point*, a line drawn beforehand on validation films so that at
  least 95 % of the children's films and 90 % of the adults' films with the finding lie above it there.
* **Raised**: the probability reaches the stricter *raise point*, above which a case may move up in the worklist. It
  was drawn so that at least 90 % of the validation films without the finding stay where they are.
* **AUROC**: the chance that of two films, one with and one without the finding, the one with it gets the higher
  score; 0.5 is a coin, 1.0 is perfect.
* **Sensitivity**: share of films with the finding that are flagged. **Specificity**: share of films without it that
  are not flagged.
* **(a–b)**: the 95 % interval. Had other patients of the same kind come, the figure would most likely have fallen in
  it. Few films give a wide one.
* **Thumbnail model**: a linear model that sees only a 32 x 32 pixel thumbnail. It cannot see disease in any detail;
  what it reaches is mostly how films of ill and of well people were taken. A model that is not better has learned
  nothing about lungs. *All sets* learned from the films of all collections together, as this model did; *this set
  alone* only from the collection on whose films it is judged, whose habits it can therefore know better (a dash where
  the films come from several). The difference is taken from the better of the two on those very films: the harder
  comparison.
* **Same years only**: in the NIH films, normal and abnormal films come partly from different years, so that the
  patient number alone tells much of the answer. These rows keep the years in which both occur.
"""


def findings_card(
    outputs: Sequence[Output],
    evaluation: Evaluation,
    learning: Sequence[LearningCurve],
    *,
    version: str,
    how_it_works: str,
) -> str:
    """Return the card.

    Args:
        outputs: The package's outputs.
        evaluation: On test films.
        learning: Learning curves with the reasons for what was missed; empty where there are none.
        version: Of the package.
        how_it_works: The network in a few sentences.
    """
    return "\n".join(
        (
            f"# Chest radiograph, version {version}\n\n{NOT_A_DEVICE}",
            _purpose(outputs),
            _figures(outputs, evaluation, learning),
            WORDS,
            _shortcuts(evaluation),
            _heat_maps(evaluation),
            f"## How it works\n\n{how_it_works.strip()}\n",
            _data(evaluation),
            _limits(evaluation),
        )
    )


def _purpose(outputs: Sequence[Output]) -> str:
    fourteen = ", ".join(finding_title(finding).lower() for finding in NIH_FINDINGS)
    return f"""## What it is for

It looks at one frontal chest radiograph and tells how likely each of these is. A center's worklist can use it to
show the radiologist likely abnormal films earlier. It never lowers a film's priority.

{outputs_table(outputs)}

*Flagged* and *raised* are explained under "Words used here". The numbers are probabilities, each with the sensitivity
and specificity that it had on the films on which the line was drawn.

Besides, as experimental outputs for adults: {fourteen}.

An output speaks only for the ages in the table. **Ages 6 to 17 are covered by no output**: such films, films of
unknown age (unless the site has them scored as adults) and films that the scope gate refuses get no score, and say
why. Scored are images of modality CR or DX; PA and AP.

An output is **experimental** when its label is one of the fourteen that a program found in reports, or when the lower
end of its AUROC interval on validation films is under 0.7. It is hidden until a center switches it on, and it never
raises a case.
"""


def _figures(outputs: Sequence[Output], evaluation: Evaluation, learning: Sequence[LearningCurve]) -> str:
    rows = evaluation.over_all()
    main = [rows[finding] for finding in MAIN_FINDINGS if finding in rows]
    looks = "once" if evaluation.looks_at_test == 1 else f"on look {evaluation.looks_at_test}"
    return f"""## How well it does

Measured {looks} at the test films, whose patients took no part in training or in drawing lines.

{figures_table(main)}

At the two lines (sensitivity is the first column; specificity is what is missing to 100 in the second):

{lines_table(main)}

*Calibration error*: how far, on average, a stated probability lies from the share of films that had the finding.

### What was aimed at

{targets_table(evaluation.outcomes)}

{_shortfalls(evaluation)}{_reasons(learning)}### By group of films

Groups with at least ten films with and ten without the finding.

{group_table([row for row in evaluation.findings if row.finding in MAIN_FINDINGS and row.group != "all"])}

### The fourteen findings, experimental

{fourteen_table(evaluation, outputs)}

CheXNet's figures are from its paper (Rajpurkar et al. 2017). It learned from about 98,000 films of the same hospital
and was judged on **another test set**, so they cannot be compared film by film. Rows marked \\* stand on fewer than
ten films with the finding: read them as anecdotes, whatever the interval says.
"""


def _shortfalls(evaluation: Evaluation) -> str:
    lines = [f"* **{shortfall.what}**: {shortfall.why}" for shortfall in shortfalls(evaluation)]
    return "### What was not reached, and why\n\n" + "\n".join(lines) + "\n\n" if lines else ""


def _reasons(learning: Sequence[LearningCurve]) -> str:
    if not learning:
        return ""
    lines = []
    for curve in learning:
        points = ", ".join(f"{point.auroc:.3f} after {point.train_films:,} films" for point in curve.points)
        where = f"{finding_title(curve.finding)}, {group_title(curve.group)}"
        on = "test" if curve.judged_on == "test" else "validation"
        lines.append(f"* **{where}** (AUROC on {on} films: {points}). {curve.reason}")
    return "### What learning from more films brought\n\n" + "\n".join(lines) + "\n\n"


def _shortcuts(evaluation: Evaluation) -> str:
    passed = [finding_title(row.finding) for row in evaluation.occlusion if row.passed]
    failed = [finding_title(row.finding) for row in evaluation.occlusion if not row.passed]
    verdict = f"Passed: {', '.join(passed) or 'none'}. **Not passed**: {', '.join(failed) or 'none'}."
    return f"""## Shortcuts, and what was done about them

Films of ill and of well people differ in things that are not disease: letters in the corner, edges, picture size, the
machine, the year. A model that uses them looks good here and fails elsewhere.

* In the children's films, aspect ratio, cropping and burned-in letters tell the label. Training therefore changes the
  geometry at random, blanks borders and corners, and changes brightness, contrast and sharpness.
* In the adult films, normal and abnormal films come partly from different years: see the rows "same years only".
* The thumbnail models stand beside every figure, with the paired difference from the better of them.

**With the lungs covered** (15 to 85 % of the width, 10 to 80 % of the height), the network may be at most 0.05 better
than a *border model*: a linear model on 32 x 32 thumbnails that learned from films covered the same way, and can
therefore use only the border (or than a coin, where that model is worse than one). {verdict}

{occlusion_table(evaluation.occlusion)}

**Learned in one place, judged in another.** Two cheap readings show how much of a set's answer holds elsewhere; the
last rows are this network's outputs. AUROC with its interval, and how many of how many films have the finding; a dash
means fewer than ten films of either kind.

{cross_set_table(evaluation.cross_set)}

{elsewhere_table(evaluation.elsewhere)}"""


def _heat_maps(evaluation: Evaluation) -> str:
    if not evaluation.pointing:
        return "## Heat maps\n\nNot checked: none of the judged films has a radiologist's box.\n"
    return f"""## Heat maps

A heat map shows which places spoke for a finding, on a coarse grid: a place of interest, not an outline. On films
on which radiologists drew a box, and of whose patients nothing was learned, its strongest place lies in the box this
often:

{pointing_table(evaluation.pointing)}

*Random*: the share of the film that the boxes cover. *Middle*: a blob in the middle of the film. *Usual place*: always
pointing where the other films' boxes of that finding overlap most.
"""


def _data(evaluation: Evaluation) -> str:
    return f"""## Data

{data_table(evaluation.sets)}

Validation films chose when to stop, calibration and both lines; test films chose nothing. No patient is in two parts.
Labels: in children, pneumonia as read by two physicians (Kermany). In adults, found by a program in radiology reports
(NIH; its authors estimate that more than 90 % are right): "any finding" is every film without the label No Finding;
"pneumonia-like opacity" is the label Pneumonia against films without Pneumonia, Consolidation and Infiltration (films
with one of the latter two and without Pneumonia count as unknown, because the words overlap in reports).

Scores become probabilities by Platt's method: one curve for each finding, fitted to validation films. Findings with
fewer than ten of them share one slope, and their operating point is set by specificity (0.80). The mix of films here is
not that of your patients: read a probability as an order, not as a risk.
"""


def _limits(evaluation: Evaluation) -> str:
    unsure = [finding_title(row.finding) for row in evaluation.over_all().values() if row.auroc_gain.low <= 0]
    listed = ", ".join(unsure) or "none"
    return f"""## Limits

* **Not shown to be better than the thumbnail model** on these test films: {listed}.
* Children 1 to 5 years are from one hospital, AP. The validation films are much like the training films; the test
  films differ, and specificity there is lower.
* Adults are from one American hospital, converted to 8 bits by its publishers; other films may look different.
* A finding that is not in the table is not looked for by name: fracture, tubes in wrong places, free air.
* Lateral films, films of the chest in other projections, and ages outside the table are not scored.
* Not tested: films of phones, digitised film, implants that cover a lung, right-sided hearts.
* The Korean, Vietnamese and Russian names of findings have not been reviewed by a physician of that language yet.

## Licences

The weights are Apache-2.0 (LICENSE). ATTRIBUTIONS.md names the data and their authors, whom you must name when you
pass the weights on.
"""
