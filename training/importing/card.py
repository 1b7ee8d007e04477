"""The model card of an imported package: what is known of it, and that nothing was measured here."""

from __future__ import annotations

from collections.abc import Sequence

from models.package import Output

NOT_MEASURED = """\
> **Not a medical device, and not measured here.** Pandok imported these weights; it did not train them, and it has
> tested them on no film. Nothing on this page says how well they do. No output may move a case, and a film that is not
> flagged is not thereby normal.
"""

LIMITS = """\
* The recipe `chest_radiograph/1` leaves borders out, letter-boxes, and sets the 0.5 and 99.5 percentile of the film to
  the ends of the range. Most networks were trained on pictures made otherwise (cropped to a square, for instance):
  scores and thresholds move with that, by how much nobody has measured.
* Without calibration a score only ranks; it is no probability of disease.
* Before an output is shown to anybody, measure it on films of known outcome from the site that will see it.
* Korean, Vietnamese and Russian names of findings have not been reviewed by a physician of that language; names that
  were not told stand in English.
"""


def import_card(
    title: str,
    outputs: Sequence[Output],
    *,
    version: str,
    origin: str,
    notes: Sequence[str],
    how_it_works: str,
    readme: str = "",
) -> str:
    """Return the card.

    Args:
        title: Heading.
        outputs: The package's outputs.
        version: Of the package.
        origin: Where the weights come from, a paragraph.
        notes: What was taken from where, a sentence each.
        how_it_works: What the graph does, a paragraph.
        readme: What the weights' own makers wrote, put below as it is.
    """
    parts = [
        f"# {title}, version {version}",
        NOT_MEASURED,
        "## Where it comes from",
        origin,
        "\n".join(f"* {note}" for note in notes),
        "## What it gives",
        _table(outputs),
        "An experimental output is kept from readers until a site's release shows it; then it is marked as such.",
        "## How it works",
        how_it_works,
        "## Limits",
        LIMITS,
    ]
    if readme:
        parts += ["## What its makers say", "None of the following was checked here.", readme.replace("\n#", "\n###")]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _table(outputs: Sequence[Output]) -> str:
    lines = ["| finding | ages | flagged from | measured | experimental |", "| --- | --- | ---: | --- | --- |"]
    lines += [
        f"| {output.names.en} | {_ages(output)} | {output.operating_point.threshold:.4g} "
        f"({output.operating_point.chosen_on}) | {_measured(output)} | {'yes' if output.experimental else 'no'} |"
        for output in outputs
    ]
    return "\n".join(lines)


def _ages(output: Output) -> str:
    low, high = output.min_age_years, output.max_age_years
    if low is None and high is None:
        return "all"
    if high is None:
        return f"{low:g} and older"
    return f"under {high:g}" if low is None else f"{low:g} to under {high:g}"


def _measured(output: Output) -> str:
    evidence = output.evidence
    if evidence is None:
        return "no"
    return (
        f"as told by who imported it: AUROC {evidence.auroc:.3f} ({evidence.low:.3f}–{evidence.high:.3f}) on "
        f"{evidence.films} films, {evidence.data}"
    )
