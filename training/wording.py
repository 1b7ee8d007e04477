"""How findings, groups of films and figures are written where people read of them."""

from __future__ import annotations

from training.cases import ADULT_OPACITY, ANY_FINDING
from training.evaluate_cross_set import OPACITY
from training.evaluate_intervals import Interval
from training.output_texts import TEXTS
from training.pointing import ALL_BOXES

SET_TITLES = {
    "kermany_pneumonia": "Kermany: children, Guangzhou",
    "nih_cxr14_subset": "NIH, pneumonia set",
    "nih_cxr14_more": "NIH, fourteen-findings set",
    "hannover_covid": "Hannover: adults with COVID-19",
}
GROUP_TITLES = {
    "all": "All films",
    "adults, PA": "PA films (standing, as a rule)",
    "adults, AP": "AP films (at the bedside, as a rule)",
    "adults, sex F": "Women",
    "adults, sex M": "Men",
}
TITLES = {
    **{text.finding: text.names.en for text in TEXTS},
    ANY_FINDING: "Any finding (adults)",
    ADULT_OPACITY: "Pneumonia-like opacity (adults)",
    OPACITY: "Pneumonia-like opacity, any age",
    ALL_BOXES: "All boxes together",
}


def finding_title(finding: str) -> str:
    """Return a finding's English name, with its ages where another output would be mistaken for it."""
    return TITLES.get(finding, finding)


def group_title(group: str) -> str:
    """Return a group of films in words."""
    name = group.removesuffix(", era matched")
    title = SET_TITLES.get(name) or GROUP_TITLES.get(name) or name.removeprefix("adults, ")
    return title if name == group else f"{title}, same years only"


def figure(interval: Interval) -> str:
    """Return `0.960 (0.946–0.973)`."""
    return f"{interval.value:.3f} ({interval.low:.3f}–{interval.high:.3f})"


def short(interval: Interval) -> str:
    """Return `0.96 (0.95–0.97)`, for tables with many columns."""
    return f"{interval.value:.2f} ({interval.low:.2f}–{interval.high:.2f})"


def difference(interval: Interval) -> str:
    """Return `+0.028 (+0.011 to +0.048)`."""
    return f"{interval.value:+.3f} ({interval.low:+.3f} to {interval.high:+.3f})".replace("-", "\N{MINUS SIGN}")


def percent(interval: Interval) -> str:
    """Return `97 % (94–99)`."""
    return f"{100 * interval.value:.0f} % ({100 * interval.low:.0f}–{100 * interval.high:.0f})"


def of_100(value: float) -> str:
    """Return a share as a count out of 100, never rounded to none or to all where it is neither."""
    count = round(100 * value)
    if count == 100 and value < 1:
        return "more than 99"
    return "fewer than 1" if count == 0 and value > 0 else str(count)
