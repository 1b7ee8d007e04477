"""Training: one visible loop, read from top to bottom. Config in; best weights, curve and config out."""

from __future__ import annotations

import copy
import json
import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from monai.data import set_track_meta
from monai.utils import set_determinism
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.utils.data import DataLoader, WeightedRandomSampler

from preprocessing.recipes import Recipe
from training.cases import FINDINGS, Case, of_split
from training.films import film_dataset, stack_images, stack_labels
from training.network import FilmNetwork


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """Everything that decides a training run besides the data and the code."""

    seed: int = 7
    epochs: int = 6
    patience: int = 3
    """Epochs without a better validation score after which training stops."""
    films_per_epoch: int = 2_400
    child_share: float = 0.33
    """Share of Kermany films in an epoch; the set is three times as large as the NIH films and much easier."""
    batch: int = 32
    learning_rate: float = 4e-4
    weight_decay: float = 0.02
    warm_up_steps: int = 40
    averaging: float = 0.98
    """Decay of the running average of weights, which is what is validated and kept."""
    dropout: float = 0.3
    frozen_blocks: int = 5
    """Blocks after the stem whose ImageNet filters stay: edges are edges, and they are more than half of the work."""
    threads: int = 1
    pretrained: bool = True


@dataclass(frozen=True, slots=True)
class Epoch:
    """One line of the training curve."""

    number: int
    loss: float
    auroc: tuple[float, ...]
    """On val, per finding."""
    score: float
    """Mean of them: what early stopping looks at."""
    seconds: float


def train(
    cases: Sequence[Case], recipe: Recipe, config: TrainingConfig, run_folder: Path, *, show: Callable[[str], None]
) -> list[Epoch]:
    """Train on `train`, watch `val`, keep the best weights as run_folder/weights.pt. Test films are never opened.

    Returns:
        The training curve, also written to run_folder/run.json.
    """
    set_determinism(seed=config.seed)
    set_track_meta(False)  # plain tensors: MONAI's own class slows every operation of the network
    random.seed(config.seed)
    torch.set_num_threads(config.threads)
    run_folder.mkdir(parents=True, exist_ok=True)
    training, validation = of_split(cases, "train"), of_split(cases, "val")
    show(f"{len(training)} films to train on, {len(validation)} to validate on, recipe {recipe.name}")
    films = film_dataset(training, recipe, augment=True)
    val_images = stack_images(film_dataset(validation, recipe, augment=False))
    val_labels = stack_labels(validation)
    sampler = WeightedRandomSampler(
        sampling_weights(training, config.child_share).tolist(),
        num_samples=config.films_per_epoch,
        generator=torch.Generator().manual_seed(config.seed),
    )
    loader = DataLoader(films, batch_size=config.batch, sampler=sampler, drop_last=True)

    network = FilmNetwork(len(FINDINGS), dropout=config.dropout, pretrained=config.pretrained)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # left out of torch's stubs
    network.freeze(config.frozen_blocks)
    average = copy.deepcopy(network).eval()
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=config.learning_rate, weight_decay=config.weight_decay)
    steps = config.epochs * len(loader)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, config.warm_up_steps, steps))

    curve: list[Epoch] = []
    for number in range(1, config.epochs + 1):
        started = time.monotonic()
        network.train()
        losses = []
        for step, batch in enumerate(loader, start=1):
            logits, _ = network(batch["image"].contiguous(memory_format=torch.channels_last))
            loss = masked_loss(logits, batch["labels"])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]  # torch has no type for it
            nn.utils.clip_grad_norm_(trained, 5.0)
            optimizer.step()
            schedule.step()
            follow(average, network, config.averaging)
            losses.append(loss.item())
            if step % 15 == 0:
                show(f"epoch {number} step {step}/{len(loader)} loss {np.mean(losses[-15:]):.3f}")
        auroc = aurocs(predict(average, val_images), val_labels)
        score = float(np.nanmean(auroc))
        curve.append(Epoch(number, float(np.mean(losses)), auroc, score, time.monotonic() - started))
        show(f"epoch {number}: val AUROC {', '.join(f'{value:.4f}' for value in auroc)}; {curve[-1].seconds:.0f} s")
        best = max(curve, key=lambda epoch: epoch.score)
        if best.number == number:
            torch.save(average.state_dict(), run_folder / "weights.pt")
        record = {"config": asdict(config), "recipe": recipe.name, "recipe_sha256": recipe.sha256}
        curve_record = [asdict(epoch) for epoch in curve]
        (run_folder / "run.json").write_text(
            json.dumps({**record, "best": best.number, "curve": curve_record}, indent=1)
        )
        if number - best.number >= config.patience:
            show(f"no better score for {config.patience} epochs: stopped")
            break
    return curve


def load_network(run_folder: Path) -> FilmNetwork:
    """Return the best network of a run, ready to predict."""
    network = FilmNetwork(len(FINDINGS), pretrained=False)
    network.load_state_dict(torch.load(run_folder / "weights.pt", map_location="cpu", weights_only=True))
    return network.eval()


def sampling_weights(cases: Sequence[Case], child_share: float) -> NDArray[np.float64]:
    """Return a weight per case: sets by `child_share`, and inside a set equal shares of each combination of labels."""
    groups = [(case.age_band, tuple(label if label == label else -1 for label in case.labels)) for case in cases]
    counts = {group: groups.count(group) for group in set(groups)}
    share = {"1-5 years": child_share, "adult": 1 - child_share}
    kinds = {band: sum(group[0] == band for group in counts) for band in share}
    return np.asarray([share[group[0]] / kinds[group[0]] / counts[group] for group in groups])


def masked_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return binary cross-entropy of logits (n, k) over the labels (n, k) that are known (not NaN)."""
    known = ~torch.isnan(labels)
    # Smoothed a little: the NIH labels are mined from text and some are wrong.
    targets = torch.nan_to_num(labels) * 0.94 + 0.03
    losses = nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return (losses * known).sum() / known.sum().clamp(min=1)


def rate(step: int, warm_up_steps: int, steps: int) -> float:
    """Return the share of the learning rate: linear warm-up, then a cosine down to zero."""
    if step < warm_up_steps:
        return (step + 1) / warm_up_steps
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm_up_steps) / max(1, steps - warm_up_steps))))


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the averaged network a little towards the trained one; counters are copied."""
    for kept, current in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if kept.dtype.is_floating_point:
            kept.lerp_(current, 1 - decay)
        else:
            kept.copy_(current)


@torch.no_grad()
def predict(network: nn.Module, images: Tensor, *, batch: int = 32) -> NDArray[np.float64]:
    """Return logits (n, k) of images (n, 1, rows, columns)."""
    network.eval()
    parts = [network(part.contiguous(memory_format=torch.channels_last))[0] for part in torch.split(images, batch)]
    return torch.cat(parts).double().numpy()


def aurocs(logits: NDArray[np.float64], labels: NDArray[np.float64]) -> tuple[float, ...]:
    """Return the area under the ROC curve per column, over the known labels; NaN where only one class is known."""
    values = []
    for column in range(labels.shape[1]):
        known = ~np.isnan(labels[:, column])
        both = len(np.unique(labels[known, column])) == 2
        values.append(float(roc_auc_score(labels[known, column], logits[known, column])) if both else math.nan)
    return tuple(values)
