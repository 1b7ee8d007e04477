"""The evaluation page's drawings as inline SVG: small, sharp at any size, coloured by the page's style sheet."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

from training.evaluate_figures import CalibrationPart, FindingCurves, FindingEvaluation
from training.evaluate_intervals import Interval
from training.evaluate_record import CurvePoint

SIDE, LEFT, BOTTOM, TOP, RIGHT = 300, 52, 46, 12, 24
"""Of the square of a plot, and the room around it for words."""
STRIP_LOW, STRIP_HIGH = 0.4, 1.0
STRIP_WIDTH, STRIP_HEIGHT = 220, 22


def roc_plot(curves: FindingCurves, row: FindingEvaluation) -> Markup:
    """Return sensitivity against false alarms, for model and thumbnail model, with both points."""
    parts = [
        _path(curves.thumbnail_roc, "thumbnail"),
        _path(curves.roc, "model"),
        _dot(_x(1 - row.specificity.value), _y(row.sensitivity.value), 6),
        _diamond(_x(1 - row.raise_specificity.value), _y(row.raise_sensitivity.value)),
    ]
    words = "Of films without the finding, flagged", "Of films with the finding, flagged"
    return _square(parts, *words, f"ROC curve, AUROC {row.auroc.value:.3f}")


def calibration_plot(parts: Sequence[CalibrationPart]) -> Markup:
    """Return what was found against what was said, in equal groups of films."""
    drawn = []
    for part in parts:
        x = _x(part.said)
        drawn += [_line("whisker", x, x, _y(part.found.low), _y(part.found.high)), _dot(x, _y(part.found.value), 4)]
    return _square(drawn, "Probability that the model states", "Of these films, had the finding", "Calibration")


def strip(interval: Interval, *, ticks: Sequence[tuple[float, str]] = ()) -> Markup:
    """Return a figure with its interval on a scale from 0.4 to 1, and other figures as ticks of a class each."""

    def at(value: float) -> float:
        inside = min(max(value, STRIP_LOW), STRIP_HIGH)
        return (inside - STRIP_LOW) / (STRIP_HIGH - STRIP_LOW) * STRIP_WIDTH

    middle = STRIP_HEIGHT / 2
    parts = [
        _line("axis", 0, STRIP_WIDTH, middle, middle),
        _line("coin", at(0.5), at(0.5), 3, STRIP_HEIGHT - 3),
        _line("interval", at(interval.low), at(interval.high), middle, middle),
        *(_line(kind, at(value), at(value), 4, STRIP_HEIGHT - 4) for value, kind in ticks),
        _dot(at(interval.value), middle, 4.5),
    ]
    label = f"{interval.value:.2f}, from {interval.low:.2f} to {interval.high:.2f}"
    return Markup(  # noqa: S704 - numbers and our own class names only
        f'<svg class="strip" viewBox="-6 0 {STRIP_WIDTH + 12} {STRIP_HEIGHT}" role="img" aria-label="{label}">'
        f"{''.join(parts)}</svg>"
    )


def learning_plot(points: Sequence[CurvePoint], wanted: float | None) -> Markup:
    """Return AUROC against the films learned from; evenly spaced, so that doubling is a step."""
    width = SIDE + 120

    def at(number: int) -> float:
        return LEFT + 20 + number * (width - 40) / max(1, len(points) - 1)

    parts = []
    for tenth in range(5, 11):
        y = _strip_y(tenth / 10)
        parts += [_line("grid", LEFT, LEFT + width, y, y), _text("tick", LEFT - 8, y + 4, f"{tenth / 10:g}", "end")]
    if wanted is not None:
        y = _strip_y(wanted)
        parts += [
            _line("wanted", LEFT, LEFT + width, y, y),
            _text("words", LEFT + width, y + 14 if wanted > 0.95 else y - 6, f"target {wanted:g}", "end"),
        ]
    parts.append(_path_of([(at(number), _strip_y(point.auroc)) for number, point in enumerate(points)], "model"))
    for number, point in enumerate(points):
        x = at(number)
        if point.low is not None and point.high is not None:
            parts.append(_line("whisker", x, x, _strip_y(point.low), _strip_y(point.high)))
        parts.append(_dot(x, _strip_y(point.auroc), 4))
        parts.append(_text("tick", x, TOP + SIDE + 18, f"{point.train_films:,}"))
    return _svg(parts, width, "Films learned from", "AUROC", "Learning curve")


def _square(parts: Sequence[str], across: str, up: str, label: str) -> Markup:
    grid = [_line("diagonal", _x(0), _x(1), _y(0), _y(1))]
    for quarter in range(5):
        x, y, words = _x(quarter / 4), _y(quarter / 4), f"{25 * quarter} %"
        grid += [_line("grid", _x(0), _x(1), y, y), _line("grid", x, x, _y(0), _y(1))]
        grid += [_text("tick", LEFT - 8, y + 4, words, "end"), _text("tick", x, _y(0) + 18, words)]
    return _svg([*grid, *parts], SIDE, across, up, label)


def _svg(parts: Sequence[str], width: int, across: str, up: str, label: str) -> Markup:
    middle = TOP + SIDE / 2
    words = _text("words", LEFT + width / 2, TOP + SIDE + BOTTOM - 6, across) + (
        f'<text class="words" transform="translate(13 {middle}) rotate(-90)" text-anchor="middle">{escape(up)}</text>'
    )
    return Markup(  # noqa: S704 - numbers, our own class names and escaped words
        f'<svg class="plot" viewBox="0 0 {LEFT + width + RIGHT} {TOP + SIDE + BOTTOM}" role="img" '
        f'aria-label="{escape(label)}">{"".join(parts)}{words}</svg>'
    )


def _x(value: float) -> float:
    return LEFT + value * SIDE


def _y(value: float) -> float:
    return TOP + (1 - value) * SIDE


def _strip_y(value: float) -> float:
    """Return the height of an AUROC on a scale from 0.5 to 1."""
    return _y((min(max(value, 0.5), 1.0) - 0.5) / 0.5)


def _line(kind: str, x1: float, x2: float, y1: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" x2="{x2:.1f}" y1="{y1:.1f}" y2="{y2:.1f}"/>'


def _dot(x: float, y: float, radius: float) -> str:
    return f'<circle class="point" cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}"/>'


def _text(kind: str, x: float, y: float, words: str, anchor: str = "middle") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _path(points: Sequence[tuple[float, float]], kind: str) -> str:
    return _path_of([(_x(x), _y(y)) for x, y in points], kind)


def _path_of(points: Sequence[tuple[float, float]], kind: str) -> str:
    return f'<path class="{kind}" d="M{" L".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>'


def _diamond(x: float, y: float) -> str:
    turned = f"translate({x:.1f} {y:.1f}) rotate(45)"
    return f'<rect class="raise" x="-5" y="-5" width="10" height="10" transform="{turned}"/>'
