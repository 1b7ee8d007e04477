"""Training: one visible loop, read from top to bottom. Config in; best weights, curve and config out."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import set_track_meta
from monai.utils import set_determinism
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, WeightedRandomSampler
from tqdm import tqdm

from preprocessing.recipes import Recipe
from training.cases import CHILD_OPACITY, FINDINGS, of_split
from training.datasets import Dataset, require_uses
from training.films import stack_labels
from training.frozen import Features, FeatureSource, FilmFeatures, feature_batches, front_runner, make_features
from training.losses import MAIN_OUTPUTS, aurocs, finding_weights, follow, masked_loss, rate, sampling_weights
from training.network import FilmNetwork, Tail
from training.runs import RECORD, WEIGHTS, Epoch, RunFolder, Tracker, best_of
from training.start import start_tail
from training.team import Team, join_team


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """Everything that decides a training run besides the data and the code."""

    backbone: str = "efficientnet_lite0"
    frozen_blocks: int | None = None
    """Blocks whose ImageNet filters stay; None for all up to the first read-out."""
    copies: int = 5
    """The frozen part sees each film once as it is and in this many copies less one, augmented."""
    plain_share: float = 0.3
    """How often the loop takes a film as it is."""
    seed: int = 7
    epochs: int = 4
    patience: int = 4
    """Epochs without a better validation score after which training stops."""
    films_per_epoch: int = 2_400
    child_share: float = 0.33
    """Share of child films in an epoch; the set is three times as large as the adults' and much easier."""
    main_weight: float = 4.0
    """How much more "any finding" counts in a film's loss than each of the other findings."""
    batch: int = 32
    learning_rate: float = 1e-4
    reading_rate: float = 1e-3
    """Learning rate of the linear readings, which have already been fitted once."""
    start_penalty: float = 0.3
    child_penalty: float = 0.003
    """Ridge penalties of the linear start. More films and cleaner labels bear a looser fit: with one group of normal
    children's films and the earliest pneumonias held out of train, 0.3 gave an AUROC of 0.984, 0.003 gave 0.995."""
    weight_decay: float = 0.05
    warm_up_steps: int = 30
    averaging: float = 0.99
    """Decay of the running average of weights."""
    blend: float = 0.5
    """How far from the linear start to the average the kept weights lie: half-way holds better on films from elsewhere
    than either end (Wortsman et al., CVPR 2022, arXiv 2109.01903)."""
    dropout: float = 0.3
    pretrained: bool = True
    threads: int = 2


@dataclass(frozen=True, slots=True)
class Trainee:
    """What a run changes, and what it is judged on.

    Attributes:
        network: The whole network; only its tail is trained.
        start: The tail as it was before the first step.
        average: Running average of the tail.
        films: Features and labels to train on.
        chances: How likely each film is drawn.
        val_features: float16 (n, c, h, w).
        val_labels: (n, k), NaN where unknown.
    """

    network: FilmNetwork
    start: Tail
    average: Tail
    optimizer: torch.optim.AdamW
    films: FilmFeatures
    chances: NDArray[np.float64]
    val_features: Features
    val_labels: NDArray[np.float64]


def train(
    dataset: Dataset, recipe: Recipe, config: TrainingConfig, run_folder: Path, *, show: Callable[[str], None]
) -> list[Epoch]:
    """Train on `train`, watch `val`, keep the best weights as run_folder/weights.pt. Test films are never opened.

    A run that was killed goes on after its last whole epoch when it is started again. Under torchrun each process
    takes its share of every epoch; on a GPU it computes in bfloat16.

    Returns:
        The training curve, also in run_folder/run.json.

    Raises:
        training.datasets.UseRefused: The terms of a set do not permit training.
        training.runs.RunRefused: The folder holds another run.
    """
    require_uses(dataset, "training")
    set_determinism(seed=config.seed)
    set_track_meta(False)  # plain tensors: MONAI's own class slows every operation of the network
    torch.set_num_threads(config.threads)
    team = join_team()
    decided = describe_run(dataset, recipe, config)
    folder = RunFolder(run_folder, decided, FINDINGS)
    curve, checkpoint = folder.resume()
    trainee = prepare(dataset, recipe, config, run_folder, team, checkpoint)
    tracker = Tracker(run_folder.name, decided) if team.leads else None
    for number in range(len(curve), config.epochs + 1):
        started = time.monotonic()
        losses = train_epoch(trainee, config, team, number) if number else [math.nan]
        seconds = time.monotonic() - started
        kept = blended(trainee, config.blend)
        auroc = team.leaders(aurocs(judge(kept, trainee.val_features, team.device), trainee.val_labels))
        score = float(np.nanmean(auroc[:MAIN_OUTPUTS]))
        speed = len(losses) * config.batch * team.size / seconds if number else 0.0
        curve.append(Epoch(number, float(np.mean(losses)), auroc, score, seconds, speed))
        if tracker is not None:
            is_best = best_of(curve).number == number
            folder.keep(
                curve, checkpoint_of(trainee, number), whole_weights(trainee.network, kept) if is_best else None
            )
            tracker.epoch(curve[-1], FINDINGS)
            show(f"epoch {number}: val AUROC {', '.join(f'{value:.4f}' for value in auroc[:MAIN_OUTPUTS])}")
        if number - best_of(curve).number >= config.patience:
            show(f"no better score for {config.patience} epochs: stopped")
            break
    if tracker is not None:
        tracker.end(run_folder)
    return curve


def train_epoch(trainee: Trainee, config: TrainingConfig, team: Team, number: int) -> list[float]:
    """Take one epoch's steps and return their losses."""
    tail, steps = trainee.network.tail, config.films_per_epoch // config.batch // team.size
    trained = DistributedDataParallel(tail) if team.size > 1 else tail
    trained.train()
    # Seeded by epoch and process: a run that is resumed sees what it would have seen.
    torch.manual_seed((config.seed * 1_009 + number) * 1_009 + team.rank)
    sampler = WeightedRandomSampler(trainee.chances.tolist(), num_samples=steps * config.batch)
    loader = DataLoader(trainee.films, batch_size=config.batch, sampler=sampler)
    share = finding_weights(config.main_weight).to(team.device)
    losses = []
    for step, (features, labels) in enumerate(
        tqdm(loader, desc=f"epoch {number}", disable=not team.leads, mininterval=5), start=(number - 1) * steps
    ):
        share_of_rate = rate(step, config.warm_up_steps, config.epochs * steps)
        for group in trainee.optimizer.param_groups:
            group["lr"] = group["full_rate"] * share_of_rate
        inputs = features.to(team.device).contiguous(memory_format=torch.channels_last)
        with torch.autocast(team.device.type, torch.bfloat16, enabled=team.device.type == "cuda"):
            logits, _ = trained(inputs)
        loss = masked_loss(logits.float(), labels.to(team.device), share)
        trainee.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no type for it
        nn.utils.clip_grad_norm_(tail.parameters(), 5.0)
        trainee.optimizer.step()
        follow(trainee.average, tail, min(config.averaging, (step + 1) / (step + 10)))
        losses.append(loss.item())
    return losses


def prepare(
    dataset: Dataset,
    recipe: Recipe,
    config: TrainingConfig,
    run_folder: Path,
    team: Team,
    checkpoint: Mapping[str, Any] | None,
) -> Trainee:
    """Run the frozen part over all films, and start the tail: from its linear start, or from a checkpoint."""
    cases = dataset.cases()
    training, validation = of_split(cases, "train"), of_split(cases, "val")
    network = make_network(config).to(team.device)
    tail = network.tail.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # left out of its stubs
    paths = {"train": run_folder / "train.npy", "val": run_folder / "val.npy"}
    if team.leads:
        run_front = front_runner(network.front, team.device)
        source = FeatureSource(recipe, run_front, config.seed, _film_key(dataset, recipe, config))
        make_features(training, source, copies=config.copies, path=paths["train"])
        make_features(validation, source, copies=1, path=paths["val"])
    team.wait()
    train_features = np.load(paths["train"], mmap_mode="r")
    films = FilmFeatures(train_features, stack_labels(training), plain_share=config.plain_share)
    if checkpoint is None:
        start_tail(tail, train_features[0], films.labels, penalty=start_penalties(config), device=team.device)
    else:
        tail.load_state_dict(checkpoint["tail"])
    start, average = copy.deepcopy(tail).eval(), copy.deepcopy(tail).eval()
    groups = [
        {"params": list(tail.stages.parameters()), "full_rate": config.learning_rate},
        {"params": [*tail.readings.parameters(), tail.bias], "full_rate": config.reading_rate},
    ]
    optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, weight_decay=config.weight_decay)
    if checkpoint is not None:
        start.load_state_dict(checkpoint["start"])
        average.load_state_dict(checkpoint["average"])
        optimizer.load_state_dict(checkpoint["optimizer"])
    return Trainee(
        network,
        start,
        average,
        optimizer,
        films,
        sampling_weights(training, config.child_share),
        np.load(paths["val"], mmap_mode="r")[0],
        stack_labels(validation),
    )


def start_penalties(config: TrainingConfig) -> Tensor:
    """Return the linear start's penalty of each finding, (k,)."""
    penalties = torch.full((len(FINDINGS),), config.start_penalty)
    penalties[FINDINGS.index(CHILD_OPACITY)] = config.child_penalty
    return penalties


def make_network(config: TrainingConfig) -> FilmNetwork:
    """Return the network of a configuration, as it is before training."""
    return FilmNetwork(
        len(FINDINGS),
        backbone_name=config.backbone,
        frozen_blocks=config.frozen_blocks,
        dropout=config.dropout,
        pretrained=config.pretrained,
    )


def load_network(run_folder: Path) -> FilmNetwork:
    """Return the best network of a run, ready to predict."""
    record = json.loads((run_folder / RECORD).read_text(encoding="utf-8"))
    network = make_network(replace(TrainingConfig(**record["config"]), pretrained=False))
    network.load_state_dict(torch.load(run_folder / WEIGHTS, map_location="cpu", weights_only=True))
    return network.eval()


def describe_run(dataset: Dataset, recipe: Recipe, config: TrainingConfig) -> dict[str, Any]:
    """Return what decides a run, for its record."""
    return {
        "config": asdict(config),
        "recipe": recipe.name,
        "recipe_sha256": recipe.sha256,
        "dataset": dataset.record(),
    }


def checkpoint_of(trainee: Trainee, number: int) -> dict[str, Any]:
    """Return what a run needs to go on after an epoch."""
    return {
        "epoch": number,
        "tail": trainee.network.tail.state_dict(),
        "start": trainee.start.state_dict(),
        "average": trainee.average.state_dict(),
        "optimizer": trainee.optimizer.state_dict(),
    }


@torch.no_grad()
def blended(trainee: Trainee, share: float) -> Tail:
    """Return the tail that lies `share` of the way from the start to the average."""
    tail = copy.deepcopy(trainee.start)
    follow(tail, trainee.average, 1 - share)
    return tail


def whole_weights(network: FilmNetwork, tail: Tail) -> dict[str, Tensor]:
    """Return the weights of the whole network with another tail."""
    other = {f"tail.{name}": value for name, value in tail.state_dict().items()}
    return {name: value.cpu() for name, value in {**network.state_dict(), **other}.items()}


@torch.no_grad()
def judge(tail: Tail, features: Features, device: torch.device) -> NDArray[np.float64]:
    """Return logits (n, k) of features (n, c, h, w)."""
    tail.eval()
    return torch.cat([tail(part)[0].cpu() for part in feature_batches(features, device)]).double().numpy()


def _film_key(dataset: Dataset, recipe: Recipe, config: TrainingConfig) -> str:
    """Return everything that decides what the frozen part makes of the films."""
    return f"{dataset.sha256} {recipe.sha256} {config.backbone} {config.frozen_blocks} {config.pretrained}"
