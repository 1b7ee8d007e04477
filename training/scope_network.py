"""The scope gate's nn.Module: frozen ImageNet features, a small classifier and a distance to all chest films."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from preprocessing.errors import Reason
from training.network import GREY_MEAN, GREY_STD, backbone

SCOPE_CLASSES = (
    "in_scope",
    Reason.NOT_A_CHEST.value,
    Reason.UPSIDE_DOWN.value,
    Reason.ROTATED.value,
    Reason.INVERTED.value,
)
IN_SCOPE, NOT_A_CHEST, UPSIDE_DOWN, ROTATED, INVERTED = range(5)

SIZE = 224
MIDDLE_BLOCK = 10
STRANGE_COUNTS_AGAINST = 50.0
"""A tenth beyond the limit takes five from the logit of `in_scope`: as much as the classifier is ever sure of."""
STRANGE_COUNTS_FOR = 8.0
"""Speaks for `not_a_chest` rather than another reason. On val, 1,311 of 1,312 turned and inverted films keep theirs."""
FEATURES = 112 * 16 + 320 * 9


class FrozenFeatures(nn.Module):
    """EfficientNet-Lite0 as ImageNet left it: middle and last blocks, pooled over a grid so that places count."""

    def __init__(self, *, pretrained: bool) -> None:
        super().__init__()
        network = backbone(pretrained=pretrained)
        self.stem = nn.Sequential(network._conv_stem, network._bn0, nn.ReLU6())
        self.blocks = network._blocks
        self.requires_grad_(requires_grad=False)

    def forward(self, image: Tensor) -> Tensor:
        """Return features (n, FEATURES) of images (n, 1, rows, columns), 0..1."""
        grey = (image - GREY_MEAN) / GREY_STD
        x = self.stem(grey.expand(-1, 3, -1, -1))
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number == MIDDLE_BLOCK:
                middle = nn.functional.avg_pool2d(x, 5, stride=3)  # (n, 112, 14, 14) → (n, 112, 4, 4)
        last = nn.functional.avg_pool2d(x, 3, stride=2)  # (n, 320, 7, 7) → (n, 320, 3, 3)
        return torch.cat([middle.flatten(1), last.flatten(1)], dim=1)


class ScopeNetwork(nn.Module):
    """Frozen ImageNet features, where they lie in the picture, a small classifier and a distance to all chest films.

    A classifier alone is sure of itself on pictures unlike any that it has seen. The distance (Mahalanobis, in
    principal directions of in-scope films, and what those directions leave over) speaks for `not_a_chest` there.
    """

    def __init__(self, hidden: int, directions: int, *, pretrained: bool = True) -> None:
        super().__init__()
        self.frozen = FrozenFeatures(pretrained=pretrained)
        self.classifier = nn.Sequential(
            nn.Dropout(0.3),
            nn.Linear(FEATURES, hidden),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(hidden, len(SCOPE_CLASSES)),
        )
        self.mean: Tensor
        self.scale: Tensor
        self.directions: Tensor
        self.spread: Tensor
        self.limit: Tensor
        self.register_buffer("mean", torch.zeros(FEATURES))
        self.register_buffer("scale", torch.ones(FEATURES))
        self.register_buffer("directions", torch.zeros(FEATURES, directions))
        self.register_buffer("spread", torch.ones(directions + 1))
        self.register_buffer("limit", torch.tensor([1.0]))

    def forward(self, image: Tensor) -> Tensor:
        """Return logits (n, 5) in the order of SCOPE_CLASSES of images (n, 1, rows, columns), 0..1."""
        return self.judge(self.standardize(self.frozen(image)))

    def standardize(self, features: Tensor) -> Tensor:
        """Return features (n, FEATURES), each with mean 0 and spread 1 over what was learned from."""
        return (features - self.mean) / self.scale

    def judge(self, features: Tensor) -> Tensor:
        """Return logits (n, 5) of standardized features."""
        logits = self.classifier(features)
        strange = torch.relu(self.distance(features) / self.limit - 1)[:, None]  # (n, 1), 0 for anything like a chest
        in_scope = logits[:, :1] - STRANGE_COUNTS_AGAINST * strange
        not_a_chest = logits[:, 1:2] + STRANGE_COUNTS_FOR * strange
        return torch.cat([in_scope, not_a_chest, logits[:, 2:]], dim=1)

    def distance(self, features: Tensor) -> Tensor:
        """Return how far features lie from those of chest films, (n,): the mean squared deviation per direction."""
        along = features @ self.directions
        left_over = (features - along @ self.directions.T).square().mean(dim=1, keepdim=True)
        return (torch.cat([along.square(), left_over], dim=1) / self.spread).mean(dim=1) + left_over[
            :, 0
        ] / self.spread[-1]
