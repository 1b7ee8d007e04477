"""A package from a MONAI Bundle whose classifier is there as ONNX; what is not said is refused, never guessed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from models.files import METADATA, PackageRefused, json_object
from models.onnx_file import OnnxFileRefused, OnnxSummary, TensorSummary, summarize
from training.importing import ImportRefused
from training.importing.answers import Answers, OutputAnswer, Scores, finding_key, template
from training.importing.surgery import Fitting, last_operator

MAX_ONNX_BYTES = 2 * 1024**3
MAX_TEXT_BYTES = 4 * 1024**2
ABSENCES = frozenset({"normal", "no_finding", "nofinding", "no_findings", "healthy", "negative", "background"})
"""Outputs by these names speak of no finding, and nothing that we show may."""


class AnswersNeeded(ImportRefused):
    """A bundle that leaves something open.

    Args:
        words: What, in one sentence.
        draft: JSON of answers that a person would have to look over.
    """

    def __init__(self, words: str, draft: str) -> None:
        super().__init__(words)
        self.draft = draft


@dataclass(frozen=True, slots=True)
class OpenedBundle:
    """A bundle that can be imported.

    Attributes:
        content: Its ONNX file.
        metadata: Its configs/metadata.json.
        fitting: How its graph is fitted to ours.
        outputs: What the chosen outputs are.
        licence: Text of its LICENSE; empty when it has none.
        readme: Text of its docs/README.md; empty when it has none.
        notes: What was taken from where, a sentence each, for the card.
    """

    content: bytes
    metadata: Mapping[str, object]
    fitting: Fitting
    outputs: tuple[OutputAnswer, ...]
    licence: str
    readme: str
    notes: tuple[str, ...]


def open_bundle(folder: Path, answers: Answers, shape: tuple[int, int, int]) -> OpenedBundle:
    """Read a bundle's folder and settle how it becomes a package.

    Args:
        folder: Holds configs/metadata.json and models/model.onnx, or one other ONNX file in models.
        answers: What the person who imports it says.
        shape: (channels, rows, columns) of what the recipe makes.

    Raises:
        AnswersNeeded: Something about the outputs or the picture is said nowhere.
        ImportRefused: It is no bundle, or its network does not take what the recipe makes.
    """
    metadata = _metadata(folder)
    content = _read(_onnx_file(folder), MAX_ONNX_BYTES)
    try:
        summary = summarize(content)
    except OnnxFileRefused as refusal:
        raise ImportRefused(f"the ONNX file: {refusal}") from refusal
    told = _Told(metadata)
    _check_picture(summary, told, shape, columns_first=answers.columns_first)
    name, count = _scores_output(summary, answers)
    outputs, named = _name_outputs(told, answers, count)
    scores = _scores(content, name, answers)
    value_range = answers.value_range or told.value_range()
    if outputs is None or scores is None or value_range is None:
        raise _ask(told, count, {"outputs": outputs, "scores": scores, "value_range": value_range})
    heat_map = _heat_map_shape(summary, answers.heat_map_output, count)
    fitting = Fitting(
        shape=shape,
        value_range=value_range,
        columns_first=answers.columns_first,
        scores_output=name,
        scores=scores,
        channels=tuple(output.channel for output in outputs),
        heat_map_output=answers.heat_map_output,
        heat_map_shape=heat_map,
    )
    notes = (named, *_notes(fitting, answers))
    return OpenedBundle(
        content, metadata, fitting, outputs, _text(folder, "LICENSE"), _text(folder, "docs/README.md"), notes
    )


class _Told:
    """What a bundle's `network_data_format` says; anything of another form counts as not said."""

    def __init__(self, metadata: Mapping[str, object]) -> None:
        described = _mapping(metadata.get("network_data_format"))
        self.input = _mapping(next(iter(_mapping(described.get("inputs")).values()), None))
        self.output = _mapping(next(iter(_mapping(described.get("outputs")).values()), None))

    def value_range(self) -> tuple[float, float] | None:
        values = self.input.get("value_range")
        if not isinstance(values, list) or len(values) != 2:
            return None
        low, high = values
        if not (isinstance(low, int | float) and isinstance(high, int | float) and low < high):
            return None
        return float(low), float(high)

    def labels(self, count: int) -> list[str] | None:
        named = _mapping(self.output.get("channel_def"))
        labels = [named.get(str(channel)) for channel in range(count)]
        found = [label for label in labels if isinstance(label, str)]
        return found if len(found) == count == len(named) else None


def _metadata(folder: Path) -> Mapping[str, object]:
    if not (folder / METADATA).is_file():
        raise ImportRefused(f"{folder} is no MONAI Bundle: {METADATA} is missing")
    try:
        metadata = json_object(_read(folder / METADATA, MAX_TEXT_BYTES), METADATA)
    except PackageRefused as refusal:
        raise ImportRefused(str(refusal)) from refusal
    if "pandok" in metadata:
        raise ImportRefused(f"{folder} is a package of ours already: put it into the folder of models as it is")
    return metadata


def _onnx_file(folder: Path) -> Path:
    usual, found = folder / "models/model.onnx", sorted((folder / "models").glob("*.onnx"))
    if usual.is_file():
        return usual
    if len(found) != 1:
        raise ImportRefused(
            "models holds several ONNX files and none is called model.onnx"
            if found
            else "the bundle has no ONNX file: make models/model.onnx first (python -m monai.bundle onnx_export)"
        )
    return found[0]


def _check_picture(summary: OnnxSummary, told: _Told, shape: tuple[int, int, int], *, columns_first: bool) -> None:
    """Hold what the network takes against what the recipe makes."""
    if len(summary.inputs) != 1:
        raise ImportRefused(f"the network takes {len(summary.inputs)} inputs; only one picture can be given to it")
    [picture] = summary.inputs.values()
    if not picture.is_float32 or picture.shape is None or len(picture.shape) != 4:
        raise ImportRefused("the network's input must be float32 (batch, channels, rows, columns)")
    channels, *sides = picture.shape[1:]
    wanted = [shape[2], shape[1]] if columns_first else [shape[1], shape[2]]
    if channels != shape[0] or told.input.get("num_channels", channels) != channels:
        raise ImportRefused(f"the network takes {channels} channels, and the recipe makes {shape[0]}")
    said = told.input.get("spatial_shape")
    given = [side if side is not None else told_side for side, told_side in zip(sides, _sides(said), strict=True)]
    if given != wanted or (isinstance(said, list) and said != wanted):
        size = " x ".join("any" if side is None else str(side) for side in given)
        raise ImportRefused(
            f"the network is made for pictures of {size}, and the recipe makes {wanted[0]} x {wanted[1]}"
        )


def _sides(said: object) -> list[int | None]:
    if isinstance(said, list) and len(said) == 2:
        return [side if isinstance(side, int) else None for side in said]
    return [None, None]


def _scores_output(summary: OnnxSummary, answers: Answers) -> tuple[str, int]:
    """Return the name and the width of the output with the scores."""
    flat = {name: tensor for name, tensor in summary.outputs.items() if _width(tensor) is not None}
    if answers.scores_output is not None:
        flat = {name: tensor for name, tensor in flat.items() if name == answers.scores_output}
    if len(flat) != 1:
        raise ImportRefused(
            "the network has no output (batch, findings) of float32: it is no classifier that can be shown"
            if not flat
            else f"several outputs could be the scores ({', '.join(flat)}): name one in the answers as scores_output"
        )
    [(name, tensor)] = flat.items()
    return name, _width(tensor) or 0


def _width(tensor: TensorSummary) -> int | None:
    return tensor.shape[1] if tensor.is_float32 and tensor.shape is not None and len(tensor.shape) == 2 else None


def _name_outputs(told: _Told, answers: Answers, count: int) -> tuple[tuple[OutputAnswer, ...] | None, str]:
    if answers.outputs is not None:
        if not answers.outputs or any(not 0 <= output.channel < count for output in answers.outputs):
            raise ImportRefused(f"the answers must name outputs from 0 to {count - 1}")
        return answers.outputs, "The outputs are as the person who imported the bundle said."
    labels = told.labels(count)
    if labels is None:
        return None, ""
    keys = {channel: finding_key(label) for channel, label in enumerate(labels)}
    outputs = tuple(OutputAnswer(channel, key) for channel, key in keys.items() if key not in ABSENCES)
    if not outputs:
        raise ImportRefused("none of the network's outputs is a finding")
    left_out = [labels[channel] for channel, key in keys.items() if key in ABSENCES]
    words = f" Left out, since it speaks of no finding: {', '.join(left_out)}." if left_out else ""
    return outputs, f"The outputs' names are those of the bundle's metadata.{words}"


def _scores(content: bytes, output: str, answers: Answers) -> Scores | None:
    """Return what the scores are, where it is said or the graph leaves no doubt; bare scores could be either."""
    last = last_operator(content, output)
    if last not in ("Sigmoid", "Softmax"):
        return answers.scores
    if answers.scores not in (None, "probabilities"):
        raise ImportRefused(f"the network ends in {last}, so its scores are probabilities, not {answers.scores}")
    return "probabilities"


def _heat_map_shape(summary: OnnxSummary, name: str | None, count: int) -> tuple[int, int] | None:
    if name is None:
        return None
    tensor = summary.outputs.get(name)
    shape = tensor.shape if tensor is not None and tensor.is_float32 else None
    if shape is None or len(shape) != 4 or shape[1] != count or shape[2] is None or shape[3] is None:
        raise ImportRefused(f"{name} is no output (batch, {count}, h, w) of float32, so it cannot be the heat map")
    return shape[2], shape[3]


def _ask(told: _Told, count: int, settled: Mapping[str, object]) -> AnswersNeeded:
    """Return the question for what is None in `settled`, with a draft of the answer."""
    labels = told.labels(count) or [f"finding_{channel}" for channel in range(count)]
    drafts: Mapping[str, object] = {
        "outputs": [{"channel": channel, "finding": label} for channel, label in enumerate(labels)],
        "scores": "logits",
        "value_range": [0.0, 1.0],
    }
    draft = {name: drafts[name] for name, value in settled.items() if value is None}
    words = f"the bundle does not say: {', '.join(draft)}; correct this draft and give it with --answers"
    return AnswersNeeded(words, template(draft))


def _notes(fitting: Fitting, answers: Answers) -> list[str]:
    low, high = fitting.value_range
    said = "the person who imported it" if answers.value_range else "the bundle's metadata"
    order = "columns first" if fitting.columns_first else "rows first"
    kinds = {
        "logits": "a logit for each finding",
        "probabilities": "probabilities",
        "exclusive_logits": "logits of classes of which one holds",
    }
    return [
        f"Pictures run from {low:g} to {high:g} in the network, as {said} said, and the graph scales ours to that.",
        f"The network gets them {order}, bright = dense; a bundle has no place to say either.",
        f"Its scores are {kinds[fitting.scores]}, "
        + ("as the person who imported it said." if answers.scores else "as its last operator shows."),
    ]


def package_name(metadata: Mapping[str, object], folder: Path) -> str:
    """Return a name for the package: that of the bundle, or of its folder."""
    name = metadata.get("name") if isinstance(metadata.get("name"), str) else folder.resolve().name
    return re.sub(r"[^a-z0-9]+", "_", str(name).lower()).strip("_")[:64]


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _text(folder: Path, path: str) -> str:
    if not (folder / path).is_file():
        return ""
    return _read(folder / path, MAX_TEXT_BYTES).decode("utf-8", "replace")


def _read(path: Path, limit: int) -> bytes:
    try:
        if path.stat().st_size > limit:
            raise ImportRefused(f"{path.name} is larger than {limit} bytes")
        return path.read_bytes()
    except OSError as error:
        raise ImportRefused(f"{path} cannot be read: {error.strerror}") from error
