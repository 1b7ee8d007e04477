"""What each channel of the shipped packages is called, coded, and for whom it speaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from models.package import Names, Output
from training.calibrate import Calibrated
from training.cases import ADULT_OPACITY, ANY_FINDING, CHILD_OPACITY

LEAST_SPECIFICITY_TO_RAISE = 0.5
"""A finding raises a case only where, on val, more normal films stay in place than move: below that nearly everything
would be urgent, and an order in which everything is urgent is no order."""

LEAST_AUROC_LOW = 0.7
"""Below this lower bound on val an output is experimental: it may be looked at, and never moves a case."""

URGENT, ROUTINE = 2, 3


@dataclass(frozen=True, slots=True)
class OutputText:
    """The part of an output that does not come from training. Codes: STANDARDS 3.6."""

    finding: str
    code_value: str
    code_scheme: str
    code_meaning: str
    names: Names
    min_age_years: float
    max_age_years: float | None


TEXTS = (
    OutputText(
        finding=CHILD_OPACITY,
        code_value="112001",
        code_scheme="DCM",
        code_meaning="Opacity",
        names=Names(
            en="Pneumonia-like opacity (children 1–5 years)",
            ko="폐렴 의심 음영 (1–5세 소아)",
            vi="Đám mờ dạng viêm phổi (trẻ 1–5 tuổi)",
            ru="Затемнение, похожее на пневмонию (дети 1–5 лет)",
        ),
        min_age_years=1.0,
        max_age_years=6.0,
    ),
    OutputText(
        finding=ANY_FINDING,
        code_value="263654008",
        code_scheme="SCT",
        code_meaning="Abnormal",
        names=Names(en="Any finding", ko="이상 소견", vi="Có bất thường", ru="Отклонения от нормы"),
        min_age_years=18.0,
        max_age_years=None,
    ),
    OutputText(
        finding=ADULT_OPACITY,
        code_value="112001",
        code_scheme="DCM",
        code_meaning="Opacity",
        names=Names(
            en="Pneumonia-like opacity",
            ko="폐렴 의심 음영",
            vi="Đám mờ dạng viêm phổi",
            ru="Затемнение, похожее на пневмонию",
        ),
        min_age_years=18.0,
        max_age_years=None,
    ),
)


def make_outputs(readings: Sequence[Calibrated], auroc_low: Mapping[str, float]) -> tuple[Output, ...]:
    """Return the records of configs/outputs.json; what an output may do follows from how it did on val.

    Args:
        readings: Calibration and operating point per channel.
        auroc_low: Lower end of the AUROC interval on val, per finding.
    """
    outputs = []
    for channel, (text, reading) in enumerate(zip(TEXTS, readings, strict=True)):
        if text.finding != reading.finding:
            raise ValueError(f"channel {channel} is {text.finding}, but {reading.finding} was calibrated")
        experimental = auroc_low[text.finding] < LEAST_AUROC_LOW
        raises = not experimental and reading.operating_point.specificity > LEAST_SPECIFICITY_TO_RAISE
        outputs.append(
            Output(
                channel=channel,
                finding=text.finding,
                code_value=text.code_value,
                code_scheme=text.code_scheme,
                code_meaning=text.code_meaning,
                names=text.names,
                calibration=reading.calibration,
                operating_point=reading.operating_point,
                min_age_years=text.min_age_years,
                max_age_years=text.max_age_years,
                raises_priority=raises,
                priority_class=URGENT if raises else ROUTINE,
                experimental=experimental,
            )
        )
    return tuple(outputs)
