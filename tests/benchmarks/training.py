"""Training throughput beside a plain MONAI loop: same network, same films, same augmentation, same threads, one run.

    python -m tests.benchmarks.training --data shared/data

The plain loop is what a MONAI tutorial shows: CacheDataset, augmentation in the dataset, DataLoader, the whole network
in every step. Ours runs the frozen part once over every film and its augmented copies (counted in, spread over a run's
epochs) and trains the rest on that. Prints films per second and their ratio, rounds in turn.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from monai.data import CacheDataset, DataLoader, set_track_meta
from monai.transforms import Compose, EnsureTyped
from torch import nn

from preprocessing.recipes import RECIPES
from training.cases import Case, ImageFiles, of_split
from training.films import PrepareFilmd, augmentation, stack_labels
from training.frozen import FeatureSource, FilmFeatures, front_runner, make_features
from training.losses import finding_weights, masked_loss
from training.public_sets import read_cases
from training.team import Team
from training.train import Trainee, TrainingConfig, make_network, train_epoch

RECIPE = RECIPES["chest_radiograph/1"]
CPU = torch.device("cpu")


def main() -> None:
    """Run both sides in turn and print their figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("PANDOK_SHARED_DATA", "../shared/data")))
    parser.add_argument("--films", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    set_track_meta(False)
    config = replace(TrainingConfig(), films_per_epoch=arguments.films, threads=arguments.threads)
    cases = of_split(read_cases(arguments.data), "train")
    cases = cases[:: len(cases) // arguments.films][: arguments.films]
    with tempfile.TemporaryDirectory() as work:
        ours, plain = our_loop(cases, config, Path(work)), plain_loop(cases, config)
        ratios = []
        for number in range(1, arguments.rounds + 1):
            speeds = [arguments.films / run() for run in (ours, plain)]
            ratios.append(speeds[0] / speeds[1])
            print(f"round {number}: ours {speeds[0]:.1f} films/s, plain MONAI {speeds[1]:.1f}, ratio {ratios[-1]:.2f}")
    print(f"ratio: median {np.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}; {arguments.threads} threads")


def our_loop(cases: list[Case], config: TrainingConfig, work: Path) -> Callable[[], float]:
    """Return a function that takes one epoch and returns its seconds with its share of the feature making."""
    network = make_network(config)
    tail = network.tail.to(memory_format=torch.channels_last)
    source = FeatureSource(RECIPE, front_runner(network.front, CPU), seed=1, key="benchmark")
    started = time.perf_counter()
    make_features(cases, source, copies=config.copies, path=work / "films.npy")
    share = (time.perf_counter() - started) / config.epochs
    films = FilmFeatures(np.load(work / "films.npy", mmap_mode="r"), stack_labels(cases), plain_share=0.3)
    groups = [{"params": list(tail.parameters()), "full_rate": config.learning_rate}]
    optimizer = torch.optim.AdamW(groups, lr=config.learning_rate)
    chances = np.full(len(cases), 1 / len(cases))
    nothing = np.empty((0, 0))
    trainee = Trainee(network, tail, tail, optimizer, films, chances, nothing, nothing)

    def run() -> float:
        began = time.perf_counter()
        train_epoch(trainee, config, Team(0, 1, CPU), 1)
        return time.perf_counter() - began + share

    return run


def plain_loop(cases: list[Case], config: TrainingConfig) -> Callable[[], float]:
    """Return a function that takes one epoch of the plain loop and returns its seconds."""
    network = make_network(config)
    with ImageFiles() as files:
        steps = [PrepareFilmd(RECIPE, files), EnsureTyped(keys=["image", "labels"]), *augmentation()]
        items = [{"image": case, "labels": np.asarray(case.labels, dtype=np.float32)} for case in cases]
        films = CacheDataset(items, Compose(steps), num_workers=1, progress=False)
    loader = DataLoader(films, batch_size=config.batch, shuffle=True, num_workers=0)
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=config.learning_rate)
    weights = finding_weights(config.main_weight)

    def run() -> float:
        began = time.perf_counter()
        network.train()
        for batch in loader:
            logits, _ = network(batch["image"])
            loss = masked_loss(logits, batch["labels"], weights)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(trained, 5.0)
            optimizer.step()
        return time.perf_counter() - began

    return run


if __name__ == "__main__":
    main()
