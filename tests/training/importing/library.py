"""A network like TorchXRayVision's DenseNet, and files of it as the library's users have them.

The library itself would bring torchvision, pandas and scikit-image for one class. This one has the same layers by the
same names, and is saved under the library's own name.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

DENSENET_121 = {"blocks": (6, 12, 24, 16), "growth": 32, "init_features": 64}


class _DenseLayer(nn.Sequential):
    def __init__(self, channels: int, growth: int, bottleneck: int) -> None:
        super().__init__()
        self.add_module("norm1", nn.BatchNorm2d(channels))
        self.add_module("relu1", nn.ReLU(inplace=True))
        self.add_module("conv1", nn.Conv2d(channels, bottleneck * growth, kernel_size=1, bias=False))
        self.add_module("norm2", nn.BatchNorm2d(bottleneck * growth))
        self.add_module("relu2", nn.ReLU(inplace=True))
        self.add_module("conv2", nn.Conv2d(bottleneck * growth, growth, kernel_size=3, padding=1, bias=False))
        self.drop_rate = 0

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, super().forward(x)], 1)


class _DenseBlock(nn.Sequential):
    pass


class _Transition(nn.Sequential):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.add_module("norm", nn.BatchNorm2d(channels))
        self.add_module("relu", nn.ReLU(inplace=True))
        self.add_module("conv", nn.Conv2d(channels, channels // 2, kernel_size=1, bias=False))
        self.add_module("pool", nn.AvgPool2d(kernel_size=2, stride=2))


class DenseNet(nn.Module):
    """Takes pictures (n, 1, rows, columns) from -1024 to 1024 and gives logits (n, outputs)."""

    def __init__(
        self,
        *,
        blocks: Sequence[int] = (1, 2, 1, 1),
        outputs: int = 18,
        growth: int = 4,
        init_features: int = 8,
        channels: int = 1,
    ) -> None:
        super().__init__()
        self.apply_sigmoid = False
        self.weights = None
        stem = [
            ("conv0", nn.Conv2d(channels, init_features, kernel_size=7, stride=2, padding=3, bias=False)),
            ("norm0", nn.BatchNorm2d(init_features)),
            ("relu0", nn.ReLU(inplace=True)),
            ("pool0", nn.MaxPool2d(kernel_size=3, stride=2, padding=1)),
        ]
        self.features = nn.Sequential(OrderedDict(stem))
        width = init_features
        for number, layers in enumerate(blocks, 1):
            block = _DenseBlock()
            for layer in range(layers):
                block.add_module(f"denselayer{layer + 1}", _DenseLayer(width + layer * growth, growth, 4))
            self.features.add_module(f"denseblock{number}", block)
            width += layers * growth
            if number < len(blocks):
                self.features.add_module(f"transition{number}", _Transition(width))
                width //= 2
        self.features.add_module("norm5", nn.BatchNorm2d(width))
        self.classifier = nn.Linear(width, outputs)
        self.register_buffer("op_threshs", None)

    def forward(self, x: Tensor) -> Tensor:
        features = functional.relu(self.features(x))
        return self.classifier(functional.adaptive_avg_pool2d(features, (1, 1)).flatten(1))


def random_network(**shape: Any) -> DenseNet:
    """Return a network in evaluation mode whose statistics are as spread as those of a trained one."""
    torch.manual_seed(3)
    network = DenseNet(**shape)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
    pictures = torch.rand(4, network.features.conv0.in_channels, 32, 32)
    scores_of_library(network.train(), pictures)
    return network.eval()


def scores_of_library(network: nn.Module, images: Tensor) -> Tensor:
    """Return logits of pictures from 0 to 1, scaled as the library scales an 8-bit picture."""
    with torch.no_grad():
        return network((2 * images - 1) * 1024)


@contextmanager
def _as_library() -> Iterator[None]:
    classes = (_DenseLayer, _DenseBlock, _Transition, DenseNet)
    package, module = ModuleType("torchxrayvision"), ModuleType("torchxrayvision.models")
    module.__file__ = __file__  # the old format keeps the source of the classes as well
    with pytest.MonkeyPatch.context() as patch:
        for one in classes:
            patch.setattr(one, "__module__", module.__name__)
            setattr(module, one.__name__, one)
        patch.setitem(sys.modules, package.__name__, package)
        patch.setitem(sys.modules, module.__name__, module)
        yield


def save(network: nn.Module, path: Path, *, is_old: bool = False) -> Path:
    """Save the whole module as `torch.save` does, in its present format or in that of the published files."""
    with _as_library():
        torch.save(network, path, _use_new_zipfile_serialization=not is_old)
    return path
