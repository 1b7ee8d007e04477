"""Trains the scope gate: an upright, bone-white, human frontal chest, or the reason why not."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from preprocessing.recipes import Recipe
from training.cases import Case, of_split
from training.scope_check import Described, describe
from training.scope_network import IN_SCOPE, SCOPE_CLASSES, ScopeNetwork
from training.scope_pictures import learning_examples, limit_examples


@dataclass(frozen=True, slots=True)
class ScopeConfig:
    """Everything that decides a gate besides the data and the code."""

    seed: int = 11
    children: int = 300
    """Kermany films of train that are used in each shape; there are three times as many as NIH films."""
    drawings: int = 1_500
    package_variants: int = 60
    """Variants of each picture that installed packages carry."""
    hidden: int = 128
    epochs: int = 30
    batch: int = 128
    learning_rate: float = 1e-3
    directions: int = 96
    """Principal directions of in-scope features in which the distance is measured."""
    least_kept: float = 0.999
    """Share of val films that each of the two parts, distance and threshold, must let through."""
    threads: int = 1
    """With one thread a gate that is trained again has the same weights."""


def train_gate(
    cases: Sequence[Case], recipe: Recipe, config: ScopeConfig, run_folder: Path, *, show: Callable[[str], None]
) -> tuple[ScopeNetwork, float]:
    """Train a gate on `train`, set its limits on `val`; write weights.pt and gate.json into run_folder.

    Returns:
        The gate and its threshold.
    """
    torch.manual_seed(config.seed)
    torch.set_num_threads(config.threads)
    run_folder.mkdir(parents=True, exist_ok=True)
    network = ScopeNetwork(config.hidden, config.directions).eval()
    examples = learning_examples(
        of_split(cases, "train"),
        recipe,
        children=config.children,
        drawings=config.drawings,
        package_variants=config.package_variants,
        seed=config.seed,
    )
    pictures = describe(network, examples)
    show(f"{len(pictures.kinds)} pictures to train on")
    films = describe(network, limit_examples(of_split(cases, "val"), recipe))
    show(f"{len(films.kinds)} val films to set limits with")
    threshold = fit_gate(network, pictures, films, config, show=show)
    torch.save(network.state_dict(), run_folder / "weights.pt")
    record = {
        "config": asdict(config),
        "recipe": recipe.name,
        "recipe_sha256": recipe.sha256,
        "threshold": threshold,
        "classes": SCOPE_CLASSES,
        "train_pictures": len(pictures.kinds),
    }
    (run_folder / "gate.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    return network, threshold


def load_gate(run_folder: Path) -> tuple[ScopeNetwork, float]:
    """Return a trained gate and its threshold."""
    record = json.loads((run_folder / "gate.json").read_text(encoding="utf-8"))
    network = ScopeNetwork(record["config"]["hidden"], record["config"]["directions"], pretrained=False)
    network.load_state_dict(torch.load(run_folder / "weights.pt", map_location="cpu", weights_only=True))
    network.eval()
    return network, float(record["threshold"])


def fit_gate(
    network: ScopeNetwork,
    pictures: Described,
    films: Described,
    config: ScopeConfig,
    *,
    show: Callable[[str], None],
) -> float:
    """Fit classifier and distance to `pictures`, set their limits on the val `films`, return the threshold."""
    torch.manual_seed(config.seed)
    network.mean.copy_(pictures.features.mean(dim=0))
    network.scale.copy_(pictures.features.std(dim=0) + 1e-3)
    features = network.standardize(pictures.features)
    _fit_classifier(network, features, pictures.classes, config, show)
    _fit_distance(network, features[pictures.classes == IN_SCOPE], config)
    return _set_limits(network, films, config)


@torch.no_grad()
def _set_limits(network: ScopeNetwork, films: Described, config: ScopeConfig) -> float:
    """Set the distance at which a picture becomes strange, and return the threshold of in_scope."""
    features = network.standardize(films.features)
    network.limit.copy_(torch.quantile(network.distance(features), config.least_kept))
    in_scope = torch.softmax(network.judge(features), dim=1)[:, IN_SCOPE]
    return float(np.clip(torch.quantile(in_scope, 1 - config.least_kept).item() * 0.98, 0.05, 0.5))


def _fit_classifier(
    network: ScopeNetwork, features: Tensor, classes: Tensor, config: ScopeConfig, show: Callable[[str], None]
) -> None:
    network.classifier.train()
    optimizer = torch.optim.AdamW(network.classifier.parameters(), lr=config.learning_rate, weight_decay=0.05)
    steps = config.epochs * -(-len(features) // config.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, total_steps=steps, pct_start=0.05)
    for epoch in range(1, config.epochs + 1):
        losses = []
        for chosen in torch.split(torch.randperm(len(features)), config.batch):
            loss = nn.functional.cross_entropy(
                network.classifier(features[chosen]), classes[chosen], label_smoothing=0.02
            )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]  # torch has no type for it
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        if epoch % 10 == 0:
            show(f"gate epoch {epoch} loss {np.mean(losses):.4f}")
    network.classifier.eval()


@torch.no_grad()
def _fit_distance(network: ScopeNetwork, chests: Tensor, config: ScopeConfig) -> None:
    """Find the directions in which chest films differ, and how much; distance is measured from their mean."""
    centred = chests - chests.mean(dim=0)
    _, _, directions = torch.pca_lowrank(centred, q=config.directions, center=False, niter=4)
    # The origin moves to the mean of chest films for everything that follows; the classifier's bias makes up for it.
    offset = chests.mean(dim=0) * network.scale
    first = network.classifier[1]
    assert isinstance(first, nn.Linear)  # noqa: S101 - tells the type checker
    first.bias.add_(first.weight @ chests.mean(dim=0))
    network.mean.add_(offset)
    network.directions.copy_(directions)
    along = centred @ directions
    left_over = (centred - along @ directions.T).square().mean(dim=1)
    network.spread.copy_(torch.cat([along.square().mean(dim=0), left_over.mean()[None]]))
