"""What the person who imports a model says of it: a small JSON file, and the outputs that follow from it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from models.package import Calibration, Evidence, Names, OperatingPoint, Output
from training.importing import ImportRefused
from training.output_texts import TEXTS

FINDING = re.compile(r"[a-z][a-z0-9_]{1,63}")
ROUTINE = 3
ADULT_YEARS = 18.0
MAX_BYTES = 1024**2

UNCALIBRATED = Calibration(method="none", slope=1.0, intercept=0.0, version="1")
UNMEASURED = OperatingPoint(
    name="unmeasured", threshold=0.5, sensitivity=None, specificity=None, chosen_on="no film: the middle of the scale"
)

Scores = Literal["logits", "probabilities", "exclusive_logits"]


@dataclass(frozen=True, slots=True)
class Code:
    """A concept: what goes into an SR for a finding."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True, slots=True)
class OutputAnswer:
    """What is said of one output of the network. Only its channel and its finding's key have to be there.

    Attributes:
        channel: Place in the network's output, from 0; outputs that no answer names are left out.
        finding: Key such as `pleural_effusion`.
        code: Concept; without it that of the shipped package for the same key, or else one of our private scheme.
        names: Display names; without them those of the shipped package, or else the key in words, for every language.
        min_age_years: The output speaks for ages from here; adults unless told.
        max_age_years: To below here.
        calibration: Without it the score only ranks.
        operating_point: Without it 0.5.
        evidence: What was measured on films kept out of training.
        experimental: True unless calibration, operating point and evidence are told, and it is said to be false.
    """

    channel: int
    finding: str
    code: Code | None = None
    names: Names | None = None
    min_age_years: float | None = ADULT_YEARS
    max_age_years: float | None = None
    calibration: Calibration | None = None
    operating_point: OperatingPoint | None = None
    evidence: Evidence | None = None
    experimental: bool = True


@dataclass(frozen=True, slots=True)
class Answers:
    """Everything that may be said of a model; what a network's own files say need not be said again.

    Attributes:
        version: Of the package, such as 1.0.0.
        intended_use: One sentence.
        licence: Terms of the weights: the text of the package's LICENSE.
        outputs: The findings.
        scores: What leaves the graph: a logit for each finding, probabilities, or logits of classes of which one holds.
        scores_output: Name of the output with the scores, where a graph has several of that shape.
        heat_map_output: Name of an output (batch, outputs, h, w) of class activations.
        value_range: What black and white are in the picture that the network takes.
        columns_first: The network sees (columns, rows), as MONAI's LoadImage gives pictures to it.
    """

    version: str | None = None
    intended_use: str | None = None
    licence: str | None = None
    outputs: tuple[OutputAnswer, ...] | None = None
    scores: Scores | None = None
    scores_output: str | None = None
    heat_map_output: str | None = None
    value_range: tuple[float, float] | None = None
    columns_first: bool = False


def read_answers(path: Path | None) -> Answers:
    """Read the file of answers; without one nothing is said. Raises ImportRefused with the place of what is wrong."""
    if path is None:
        return Answers()
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ImportRefused(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise ImportRefused(f"{path.name} is larger than {MAX_BYTES} bytes")
    try:
        answers = TypeAdapter(Answers).validate_json(content, strict=True, extra="forbid")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ImportRefused(f"{path.name}: {place or 'answers'}: {first['msg']}") from error
    for output in answers.outputs or ():
        if not FINDING.fullmatch(output.finding):
            raise ImportRefused(f"{path.name}: finding {output.finding[:64]!r} is not of the form pleural_effusion")
        if not output.experimental and None in (output.calibration, output.operating_point, output.evidence):
            raise ImportRefused(
                f"{path.name}: {output.finding}: only an output with calibration, operating point and evidence may be "
                "other than experimental"
            )
    return answers


def finding_key(label: str) -> str:
    """Return the key of a label such as `Pleural_Thickening` or `Lung Opacity`. Raises ImportRefused."""
    key = re.sub(r"[^a-z0-9]+", "_", label.lower()).strip("_")
    if not FINDING.fullmatch(key):
        raise ImportRefused(f"output {label[:64]!r} has no usable name: name it in the answers")
    return key


def make_output(channel: int, answer: OutputAnswer) -> Output:
    """Return the record of one output; it never raises a priority, which takes an evaluation on the site's films.

    Args:
        channel: Place in the package's logits.
        answer: What is said of it.
    """
    words = answer.finding.replace("_", " ")
    code, names = KNOWN.get(answer.finding) or (
        Code(answer.finding, "99PANDOK", words[:64]),
        Names(*[words.capitalize()] * 4),
    )
    return Output(
        channel=channel,
        finding=answer.finding,
        code_value=(answer.code or code).value,
        code_scheme=(answer.code or code).scheme,
        code_meaning=(answer.code or code).meaning,
        names=answer.names or names,
        calibration=answer.calibration or UNCALIBRATED,
        operating_point=answer.operating_point or UNMEASURED,
        raise_point=None,
        priority_class=ROUTINE,
        min_age_years=answer.min_age_years,
        max_age_years=answer.max_age_years,
        experimental=answer.experimental,
        evidence=answer.evidence,
    )


KNOWN: Mapping[str, tuple[Code, Names]] = {
    **{
        text.finding: (Code(text.code_value, text.code_scheme, text.code_meaning), text.names)
        for text in TEXTS
        if text.min_age_years == ADULT_YEARS
    },
    "enlarged_cardiomediastinum": (
        Code("enlarged_cardiomediastinum", "99PANDOK", "Enlarged cardiomediastinum"),
        Names(
            en="Enlarged cardiomediastinum", ko="심종격동 확장", vi="Bóng tim – trung thất rộng",
            ru="Расширение тени сердца и средостения",
        ),
    ),
    "fracture": (
        Code("fracture", "99PANDOK", "Fracture"),
        Names(en="Fracture", ko="골절", vi="Gãy xương", ru="Перелом"),
    ),
    "lung_lesion": (
        Code("lung_lesion", "99PANDOK", "Lung lesion"),
        Names(en="Lung lesion", ko="폐 병변", vi="Tổn thương phổi", ru="Патологический очаг в лёгком"),
    ),
    "lung_opacity": (
        Code("112001", "DCM", "Opacity"),
        Names(en="Lung opacity", ko="폐 음영", vi="Đám mờ phổi", ru="Затемнение в лёгком"),
    ),
}  # fmt: skip
"""Codes and names of findings by key: those of the shipped package, and four more of TorchXRayVision. Where no code
is confirmed, our private scheme 99PANDOK stands (STANDARDS 3.6)."""


def template(answers: Mapping[str, object]) -> str:
    """Return the JSON of a file of answers that would do, for a person to correct."""
    return json.dumps(answers, indent=2, ensure_ascii=False)
