"""A package from weights of TorchXRayVision's DenseNet, with its scaling and its heat maps inside the graph."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from monai.networks.nets import DenseNet
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import conv2d

from models.package import OperatingPoint
from training.importing import ImportRefused
from training.importing.answers import Answers, OutputAnswer, finding_key
from training.importing.published import LABELS, PUBLISHED, Published
from training.importing.weights import Weights, read_weights

KIND = "torchxrayvision.models.DenseNet"
HALF_RANGE = 1024.0
"""The library's pictures run from -1024 to 1024 (`torchxrayvision.utils.normalize`)."""
EPSILON = 1e-5
"""What its batch normalizations add to a variance: not among the tensors, so it is held against the file."""
POINT = "torchxrayvision_op_threshs"

LAYER = re.compile(r"features\.denseblock(\d+)\.denselayer(\d+)\.conv2\.weight")


@dataclass(frozen=True, slots=True)
class Imported:
    """A network, ready to be exported, and what its files say of its outputs.

    Attributes:
        network: Gives logits and heat maps of pictures from 0 to 1; output for output those of `outputs`.
        outputs: What each output is.
        trained_on: The data, in words; empty when the file does not tell.
        notes: What was taken from where, a sentence each, for the card.
    """

    network: nn.Module
    outputs: tuple[OutputAnswer, ...]
    trained_on: str
    notes: tuple[str, ...]


class ScaledDenseNet(nn.Module):
    """The library's DenseNet on pictures from 0 to 1, with the class activation maps that its scores are means of.

    Args:
        state: Parameters and buffers by the library's names.
        channels: The outputs to keep, in order.
    """

    def __init__(self, state: Mapping[str, NDArray[np.generic]], channels: Sequence[int]) -> None:
        super().__init__()
        self.dense = _dense_net(state)
        rows = torch.tensor(channels)
        self.weight = nn.Parameter(self.dense.class_layers.out.weight.detach()[rows][:, :, None, None].clone())
        self.bias = nn.Parameter(self.dense.class_layers.out.bias.detach()[rows].clone())

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (n, k) and class activation maps (n, k, h, w) of images (n, 1, rows, columns), 0..1."""
        features = torch.relu(self.dense.features(image * (2 * HALF_RANGE) - HALF_RANGE))
        heat_map = conv2d(features, self.weight, self.bias)
        # The classifier is linear and sees the features' mean, so the mean of the map is the library's logit.
        return heat_map.mean(dim=(2, 3)), heat_map


def open_weights(path: Path, answers: Answers) -> Imported:
    """Read a weight file and say what its outputs are.

    What is said of the outputs comes from the answers; else from the file; else, for a file with the name of a
    published one, from what the library says of that; else they are the library's findings in its order.

    Raises:
        ImportRefused: The file is not such a network, or wants to run something.
    """
    weights = read_weights(path)
    state = {name: tensor for name, tensor in weights.tensors.items() if name != "op_threshs"}
    _check_kind(weights)
    count = len(state["classifier.weight"])
    outputs, trained_on, notes = _name_outputs(weights, path.name, count, answers)
    if any(not 0 <= output.channel < count for output in outputs):
        raise ImportRefused(f"the answers name an output that is not there: the network has {count}")
    network = ScaledDenseNet(state, [output.channel for output in outputs]).eval()
    return Imported(network, outputs, trained_on, notes)


def _check_kind(weights: Weights) -> None:
    if any(".layer1." in f".{name}" for name in weights.tensors):
        raise ImportRefused("this is a ResNet: TorchXRayVision's takes pictures of 512 x 512, and the recipe makes 224")
    if weights.kind not in ("", KIND) or "classifier.weight" not in weights.tensors:
        raise ImportRefused("this is not TorchXRayVision's DenseNet")
    if weights.epsilons - {EPSILON}:
        raise ImportRefused("its batch normalization is not that of TorchXRayVision's DenseNet")
    if not all(np.isfinite(tensor).all() for name, tensor in weights.tensors.items() if name != "op_threshs"):
        raise ImportRefused("the weights hold NaN or infinity")


def _name_outputs(
    weights: Weights, file_name: str, count: int, answers: Answers
) -> tuple[tuple[OutputAnswer, ...], str, tuple[str, ...]]:
    """Return the outputs, the data that the network was trained on, and what was taken from where."""
    published = PUBLISHED.get(file_name) if count == len(LABELS) else None
    trained_on = published.trained_on if published else ""
    if answers.outputs is not None:
        return answers.outputs, trained_on, ("The outputs are as the person who imported the weights said.",)
    labels, note = _labels(weights, published, count)
    thresholds, source = _thresholds(weights, published, count)
    outputs = tuple(
        OutputAnswer(channel=channel, finding=finding_key(label), operating_point=_point(threshold, source))
        for channel, (label, threshold) in enumerate(zip(labels, thresholds, strict=True))
        if label
    )
    if not outputs:
        raise ImportRefused("none of the network's outputs has a name")
    notes = [note, f"The thresholds: {source}."]
    if len(outputs) < count:
        notes.append(f"Of the network's {count} outputs {count - len(outputs)} have no name and are left out.")
    return outputs, trained_on, tuple(notes)


def _labels(weights: Weights, published: Published | None, count: int) -> tuple[list[str], str]:
    """Return a name for each output, empty for those that were not trained, and where the names are from."""
    labels = _labels_of_file(weights, count)
    if labels is not None:
        return labels, "The outputs' names stand in the weight file."
    if published is not None:
        trained = zip(LABELS, published.thresholds, strict=True)
        note = "The outputs' names are those that TorchXRayVision 1.5.7 gives for the published file of this name."
        return [label if threshold is not None else "" for label, threshold in trained], note
    if count == len(LABELS):
        return list(LABELS), "The outputs' names are TorchXRayVision's, in its order: the file does not tell them."
    raise ImportRefused(f"the network has {count} outputs that the file does not name: name them in the answers")


def _thresholds(weights: Weights, published: Published | None, count: int) -> tuple[Sequence[float | None], str]:
    """Return a threshold for each output, None where there is none, and where they are from."""
    thresholds = _thresholds_of_file(weights, count)
    if thresholds is not None:
        return thresholds, "TorchXRayVision's op_threshs in the weight file, on films that it does not name"
    if published is not None:
        return (
            published.thresholds,
            "TorchXRayVision 1.5.7 for the published file of this name, on films not named there",
        )
    return [None] * count, "none are known, and 0.5 stands for each"


def _point(threshold: float | None, source: str) -> OperatingPoint | None:
    if threshold is None or not 0 < threshold < 1:
        return None
    return OperatingPoint(name=POINT, threshold=threshold, sensitivity=None, specificity=None, chosen_on=source)


def _labels_of_file(weights: Weights, count: int) -> list[str] | None:
    """Return the names that the module carries, empty ones for outputs that were not trained; None without any."""
    for name in ("pathologies", "targets"):
        labels = weights.attributes.get(name)
        if isinstance(labels, list) and len(labels) == count and all(isinstance(label, str) for label in labels):
            return labels
    return None


def _thresholds_of_file(weights: Weights, count: int) -> list[float | None] | None:
    """Return the thresholds that the module carries, as an attribute or a buffer; None without any."""
    values = weights.attributes.get("op_threshs")
    if not isinstance(values, np.ndarray):
        values = weights.tensors.get("op_threshs")
    if values is None or values.shape != (count,):
        return None
    return [None if math.isnan(value) else value for value in values.astype(np.float64).tolist()]


def _dense_net(state: Mapping[str, NDArray[np.generic]]) -> DenseNet:
    """Return MONAI's DenseNet with the library's weights; the two differ in nothing but names."""
    layers = [match for name in state if (match := LAYER.fullmatch(name))]
    blocks = Counter(int(match[1]) for match in layers)
    try:
        init_features, in_channels = state["features.conv0.weight"].shape[:2]
        bottleneck, growth_rate = (len(state[f"features.denseblock1.denselayer1.conv{n}.weight"]) for n in (1, 2))
    except (KeyError, ValueError):
        raise ImportRefused("this is not TorchXRayVision's DenseNet: its first layers are missing") from None
    if in_channels != 1:
        raise ImportRefused(f"the network takes {in_channels} channels, and a radiograph has one")
    network = DenseNet(
        spatial_dims=2,
        in_channels=1,
        out_channels=len(state["classifier.weight"]),
        init_features=init_features,
        growth_rate=growth_rate,
        block_config=tuple(blocks[number] for number in sorted(blocks)),
        bn_size=max(1, bottleneck // growth_rate),
    )
    renamed = {_monai_name(name): torch.from_numpy(np.ascontiguousarray(tensor)) for name, tensor in state.items()}
    try:
        network.load_state_dict(renamed)
    except RuntimeError as error:
        raise ImportRefused("this is not TorchXRayVision's DenseNet: layers are missing or of other sizes") from error
    return network


def _monai_name(name: str) -> str:
    return re.sub(r"(denselayer\d+)\.", r"\1.layers.", name).replace("classifier.", "class_layers.out.")
