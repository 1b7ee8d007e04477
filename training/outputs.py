"""What each channel of the chest radiograph package may do, from how it did on val and on test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from models.package import Evidence, Output
from training.calibrate import Calibrated
from training.cases import NIH_FINDINGS
from training.evaluate_figures import FindingEvaluation
from training.output_texts import TEXTS, OutputText

LEAST_AUROC_LOW = 0.7
"""Below this lower bound on val an output is experimental: it may be looked at, and never moves a case."""

URGENT, ROUTINE = 2, 3


def make_outputs(
    readings: Sequence[Calibrated], auroc_low: Mapping[str, float], evidence: Mapping[str, Evidence]
) -> tuple[Output, ...]:
    """Return the records of configs/outputs.json; what an output may do follows from how it did on val.

    Args:
        readings: Calibration and points per channel.
        auroc_low: Lower end of the AUROC interval on val, per finding; a finding that is not there is experimental.
        evidence: What was measured on test films, per finding.
    """
    outputs = []
    for channel, (text, reading) in enumerate(zip(TEXTS, readings, strict=True)):
        if text.finding != reading.finding:
            raise ValueError(f"channel {channel} is {text.finding}, but {reading.finding} was calibrated")
        outputs.append(
            make_output(
                text,
                reading,
                channel=channel,
                experimental=is_experimental(reading, auroc_low),
                evidence=evidence.get(text.finding),
            )
        )
    return tuple(outputs)


def make_output(
    text: OutputText, reading: Calibrated, *, channel: int, experimental: bool, evidence: Evidence | None
) -> Output:
    """Return one record: an experimental output has no raise point, so that it never moves a case."""
    return Output(
        channel=channel,
        finding=text.finding,
        code_value=text.code_value,
        code_scheme=text.code_scheme,
        code_meaning=text.code_meaning,
        names=text.names,
        calibration=reading.calibration,
        operating_point=reading.operating_point,
        raise_point=None if experimental else reading.raise_point,
        priority_class=ROUTINE if experimental else URGENT,
        min_age_years=text.min_age_years,
        max_age_years=text.max_age_years,
        experimental=experimental,
        evidence=evidence,
    )


def is_experimental(reading: Calibrated, auroc_low: Mapping[str, float]) -> bool:
    """Return whether an output is kept from readers until a release shows it.

    The fourteen findings always are: their words were mined from reports, and most have a handful of test films.
    """
    if reading.finding in NIH_FINDINGS or reading.calibration.method == "none":
        return True
    return auroc_low.get(reading.finding, 0.0) < LEAST_AUROC_LOW


def evidence_of(rows: Sequence[FindingEvaluation]) -> dict[str, Evidence]:
    """Return what an evaluation on test films measured, per finding over all its films."""
    return {
        row.finding: Evidence(
            auroc=row.auroc.value,
            low=row.auroc.low,
            high=row.auroc.high,
            films=row.films,
            positives=row.positives,
            data=f"test films of {' and '.join(row.data_sets)}",
        )
        for row in rows
        if row.group == "all"
    }
