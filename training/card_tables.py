"""The tables of the chest radiograph package's card, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from models.package import OperatingPoint, Output
from training.cases import NIH_FINDINGS
from training.evaluate_cross_set import ALL_SETS, CrossSet, Elsewhere, matrices
from training.evaluate_figures import LEAST_IN_A_GROUP, FindingEvaluation
from training.evaluate_intervals import Interval
from training.evaluate_published import CHEXNET, Outcome
from training.evaluate_record import Evaluation, SetCount
from training.pointing import Pointing
from training.proofs import Occlusion
from training.wording import difference, figure, finding_title, group_title, percent, short

ALL_SETS_HEAD, OWN_SET_HEAD = "thumbnail model, all sets", "thumbnail model, this set alone"
PARTS = {"train": "learned from", "val": "validation", "test": "test"}


def outputs_table(outputs: Sequence[Output]) -> str:
    """Return which outputs there are, for whom, and where their lines were drawn; without the fourteen findings."""
    rows = []
    for output in outputs:
        if output.finding in NIH_FINDINGS:
            continue
        low, high = output.min_age_years or 0, output.max_age_years
        rows.append(
            (
                finding_title(output.finding),
                f"{low:g} to under {high:g}" if high else f"{low:g} and older",
                _point(output.operating_point),
                _point(output.raise_point) if output.raise_point else "never",
                output.operating_point.chosen_on,
                "**yes**" if output.experimental else "no",
            )
        )
    return _table(
        "output", "ages in years", "flagged from", "raised to urgent from", "lines drawn on", "experimental", rows=rows
    )


def figures_table(rows: Sequence[FindingEvaluation]) -> str:
    """Return AUROC over all films of the main findings, beside the thumbnail models."""
    return _table(
        "finding", "with / without", "AUROC", ALL_SETS_HEAD, OWN_SET_HEAD, "difference from the better one",
        rows=[
            (
                finding_title(row.finding),
                f"{row.positives} / {row.films - row.positives}",
                figure(row.auroc),
                figure(row.thumbnail_auroc),
                figure(row.own_thumbnail_auroc) if row.own_thumbnail_auroc else "–",
                _gain(row.auroc_gain),
            )
            for row in rows
        ],
    )  # fmt: skip


def lines_table(rows: Sequence[FindingEvaluation]) -> str:
    """Return what happens at both lines, and calibration."""
    return _table(
        "finding", "of films with it, flagged", "of films without it, flagged", "of films with it, raised",
        "of films without it, raised", "calibration error",
        rows=[
            (
                finding_title(row.finding),
                percent(row.sensitivity),
                percent(_rest(row.specificity)),
                percent(row.raise_sensitivity),
                percent(_rest(row.raise_specificity)),
                f"{row.calibration_error:.3f}",
            )
            for row in rows
        ],
    )  # fmt: skip


def targets_table(outcomes: Sequence[Outcome]) -> str:
    """Return what was aimed at, reached, and stated by others for the same films."""
    rows: list[tuple[str, ...]] = []
    for outcome in outcomes:
        aim, ours = f"{outcome.wanted:.3f}, at least {outcome.least:.3f}", "measured by us"
        result = f"**{outcome.reached}**{'' if outcome.beats_thumbnail else ', not shown to be better than thumbnails'}"
        rows.append((outcome.title, "this model", figure(outcome.auroc), ours, aim, result))
        rows.append(("", ALL_SETS_HEAD, figure(outcome.thumbnail_auroc), ours, "", ""))
        if outcome.own_thumbnail_auroc:
            rows.append(("", OWN_SET_HEAD, figure(outcome.own_thumbnail_auroc), ours, "", ""))
        rows += [("", stated.model, f"{stated.auroc:.3f}", stated.source, "", "") for stated in outcome.stated]
    return _table("films", "model", "AUROC", "whose figure", "target", "result", rows=rows)


def group_table(rows: Sequence[FindingEvaluation]) -> str:
    """Return AUROC by group of films."""
    return _table(
        "finding", "films", "with / without", "AUROC", ALL_SETS_HEAD, OWN_SET_HEAD, "difference from the better one",
        rows=[
            (
                finding_title(row.finding),
                group_title(row.group),
                f"{row.positives} / {row.films - row.positives}",
                short(row.auroc),
                f"{row.thumbnail_auroc.value:.3f}",
                f"{row.own_thumbnail_auroc.value:.3f}" if row.own_thumbnail_auroc else "–",
                _gain(row.auroc_gain),
            )
            for row in rows
        ],
    )  # fmt: skip


def fourteen_table(evaluation: Evaluation, outputs: Sequence[Output]) -> str:
    """Return the fourteen findings beside CheXNet's published figures."""
    over_all = evaluation.over_all()
    points = {output.finding: output.operating_point for output in outputs}
    rows = [
        (
            finding_title(finding) + ("\\*" if row.positives < LEAST_IN_A_GROUP else ""),
            f"{row.positives} / {row.films - row.positives}",
            short(row.auroc),
            f"{row.thumbnail_auroc.value:.3f}",
            f"{CHEXNET[finding]:.3f}",
            f"{points[finding].threshold:.3f}",
            percent(row.sensitivity),
            percent(row.specificity),
        )
        for finding in NIH_FINDINGS
        if (row := over_all.get(finding)) is not None
    ]
    return _table(
        "finding", "with / without", "AUROC", "thumbnail model", "CheXNet, its paper", "flagged from", "sensitivity",
        "specificity",
        rows=rows,
    )  # fmt: skip


def occlusion_table(rows: Sequence[Occlusion]) -> str:
    """Return AUROC by what of the film is seen."""
    return _table(
        "AUROC, by what is seen", "whole film", "middle only", "lungs covered, black", "lungs covered, grey",
        "border model", "corner model", "allowed", "proof",
        rows=[
            (
                finding_title(row.finding),
                f"{row.whole.value:.3f}",
                f"{row.middle_only.value:.3f}",
                short(row.blanked_black),
                short(row.blanked_grey),
                short(row.border_model),
                short(row.corner_model),
                f"{row.allowed:.3f}",
                "passed" if row.passed else "**not passed**",
            )
            for row in rows
        ],
    )  # fmt: skip


def cross_set_table(rows: Sequence[CrossSet]) -> str:
    """Return what was learned on one set, judged on others; one table for each task."""
    tables = []
    for matrix in matrices(rows):
        lines = [
            (
                reading if learned_from != ALL_SETS else f"**this network: {finding_title(reading)}**",
                group_title(learned_from),
                *(f"{figure(cell.auroc)}, {cell.positives} of {cell.films}" if cell else "–" for cell in cells),
            )
            for reading, learned_from, cells in matrix.lines
        ]
        heads = [f"judged on {group_title(name)}" for name in matrix.judged_on]
        tables.append(_table(finding_title(matrix.task), "learned from", *heads, rows=lines))
    return "\n\n".join(tables)


def elsewhere_table(rows: Sequence[Elsewhere]) -> str:
    """Return how often films of ill patients of other hospitals are flagged; nothing where there were none."""
    if not rows:
        return ""
    head = (
        "**Films of another hospital.** All its patients had COVID-19, many in intensive care; a single film may look "
        "normal, and there are no films of well people, so only this can be told:\n\n"
    )
    return head + _table(
        "output", "films", "patients", "flagged", "raised",
        rows=[
            (
                f"{finding_title(row.finding)}, {group_title(row.data_set)}",
                str(row.films),
                str(row.patients),
                percent(row.flagged),
                percent(row.raised),
            )
            for row in rows
        ],
    ) + "\n"  # fmt: skip


def pointing_table(rows: Sequence[Pointing]) -> str:
    """Return how often the maps point into the boxes."""
    return _table(
        "boxes of", "heat map of", "films", "in the box", "random", "middle", "usual place",
        rows=[
            (
                finding_title(row.finding),
                "each finding itself" if row.heat_map == "own" else finding_title(row.heat_map),
                str(row.films),
                percent(row.accuracy),
                f"{100 * row.chance:.0f} %",
                f"{100 * row.centre.value:.0f} %",
                f"{100 * row.usual_place.value:.0f} %",
            )
            for row in rows
        ],
    )  # fmt: skip


def data_table(rows: Sequence[SetCount]) -> str:
    """Return how much of each set was used for what."""
    return _table(
        "set", "part", "films", "patients",
        rows=[
            (group_title(row.data_set), PARTS.get(row.split, row.split), str(row.films), str(row.patients))
            for row in rows
        ],
    )  # fmt: skip


def _gain(interval: Interval) -> str:
    verdict = "better" if interval.low > 0 else "worse" if interval.high < 0 else "not shown to be better"
    return f"{difference(interval)}, {verdict}"


def _rest(interval: Interval) -> Interval:
    return Interval(1 - interval.value, 1 - interval.high, 1 - interval.low)


def _point(point: OperatingPoint) -> str:
    def rate(value: float | None) -> str:
        return "unknown" if value is None else f"{value:.2f}"

    return f"{point.threshold:.3f} (sensitivity {rate(point.sensitivity)}, specificity {rate(point.specificity)})"


def _table(*heads: str, rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
