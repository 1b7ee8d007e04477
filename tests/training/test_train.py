"""The parts of the loop that can be wrong without anyone noticing."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import training.train as train_module
from preprocessing.recipes import RECIPES
from tests.training.public_sets import kermany_row, nih_row, write_sets
from training.cases import FINDINGS, Case
from training.datasets import UseRefused
from training.losses import aurocs, follow, masked_loss, rate, sampling_weights
from training.public_sets import read_public
from training.room_freeze import with_hashes
from training.runs import Epoch, RunFolder, RunRefused
from training.train import TrainingConfig, load_network, train

ROOT = Path(__file__).parents[2]


def case(age_band: str, *labels: float) -> Case:
    return Case(Path("x"), None, "set", "p", "train", labels, age_band, "F", "PA", era_matched=True)  # type: ignore[arg-type]


def test_an_unknown_label_has_no_part_in_the_loss() -> None:
    labels = torch.tensor([[1.0, math.nan]])

    right = masked_loss(torch.tensor([[3.0, 50.0]]), labels, torch.ones(2))
    other = masked_loss(torch.tensor([[3.0, -50.0]]), labels, torch.ones(2))

    assert torch.isfinite(right)
    assert right == other


def test_an_unknown_label_has_no_gradient() -> None:
    logits = torch.zeros(1, 2, requires_grad=True)

    masked_loss(logits, torch.tensor([[1.0, math.nan]]), torch.ones(2)).backward()  # type: ignore[no-untyped-call]

    assert logits.grad is not None
    assert logits.grad[0, 1] == 0.0
    assert logits.grad[0, 0] < 0.0


def test_a_batch_without_any_known_label_is_no_error() -> None:
    assert masked_loss(torch.zeros(2, 2), torch.full((2, 2), math.nan), torch.ones(2)) == 0.0


def test_the_large_set_does_not_drown_the_small_one() -> None:
    nan = math.nan
    cases = [case("1-5 years", 1.0, nan)] * 80 + [case("1-5 years", 0.0, nan)] * 10 + [case("adult", nan, 1.0)] * 10

    weights = sampling_weights(cases, 0.3)

    assert weights[:90].sum() == pytest.approx(0.3)
    assert weights[:80].sum() == pytest.approx(weights[80:90].sum())
    assert weights[90:].sum() == pytest.approx(0.7)


def test_the_rate_rises_then_falls_to_nothing() -> None:
    rates = [rate(step, 10, 100) for step in range(101)]

    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[100] == pytest.approx(0.0)


def test_auroc_is_over_known_labels_only() -> None:
    labels = np.array([[0.0], [1.0], [math.nan]])

    assert aurocs(np.array([[-1.0], [1.0], [-9.0]]), labels) == (1.0,)
    assert math.isnan(aurocs(np.zeros((2, 1)), np.ones((2, 1)))[0])


def test_the_average_ends_where_the_network_stays() -> None:
    network, average = torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)

    for _ in range(400):
        follow(average, network, 0.9)

    torch.testing.assert_close(average.weight, network.weight)


def test_a_film_with_few_known_labels_counts_as_much_as_one_with_many() -> None:
    logits = torch.zeros(2, 3, requires_grad=True)
    labels = torch.tensor([[1.0, math.nan, math.nan], [1.0, 1.0, 1.0]])

    masked_loss(logits, labels, torch.tensor([1.0, 4.0, 1.0])).backward()  # type: ignore[no-untyped-call]

    assert logits.grad is not None
    assert logits.grad[0].sum() == pytest.approx(logits.grad[1].sum())
    assert logits.grad[1, 1] == pytest.approx(4 * logits.grad[1, 0])


@pytest.fixture(scope="module")
def shared_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two films of each kind and split; a positive one is bright in the middle."""
    parts = [(split, i) for split, count in (("train", 8), ("val", 4), ("test", 2)) for i in range(count)]
    return write_sets(
        tmp_path_factory.mktemp("sets"),
        children=[kermany_row(f"{split}{i}.jpeg", f"p{split}{i}", split, i % 2) for split, i in parts],
        adults=[
            nih_row(f"{split}{i}.png", f"nih-{split}{i}", split, *(["pneumonia"] if i % 2 else ["no_finding"]))
            for split, i in parts
        ],
        more_adults=[
            nih_row(f"m{split}{i}.png", f"nih-m{split}{i}", split, *(["mass"] if i % 2 else ["no_finding"]))
            for split, i in parts
        ],
    )


SMALL = TrainingConfig(epochs=2, films_per_epoch=16, batch=8, copies=2, warm_up_steps=1, threads=1, learning_rate=1e-4)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_run_learns_is_kept_and_gives_the_same_again(shared_data: Path, tmp_path: Path) -> None:
    dataset = with_hashes(read_public(shared_data))
    recipe = RECIPES["chest_radiograph/1"]

    curve = train(dataset, recipe, SMALL, tmp_path / "a", show=str)
    again = train(dataset, recipe, SMALL, tmp_path / "b", show=str)

    assert [epoch.number for epoch in curve] == [0, 1, 2]
    assert curve[0].auroc[FINDINGS.index("any_finding")] > 0.7  # the linear start sees the bright middle
    np.testing.assert_array_equal([epoch.auroc for epoch in curve], [epoch.auroc for epoch in again])
    states = [load_network(tmp_path / name).state_dict() for name in ("a", "b")]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert (tmp_path / "a/curve.png").stat().st_size > 5_000


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_killed_run_goes_on_and_ends_as_if_it_had_not_been(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, recipe = with_hashes(read_public(shared_data)), RECIPES["chest_radiograph/1"]
    whole = train(dataset, recipe, SMALL, tmp_path / "whole", show=str)
    real_epoch = train_module.train_epoch

    def dies_in_the_second(*arguments: Any) -> list[float]:
        if arguments[-1] == 2:
            raise KeyboardInterrupt
        return real_epoch(*arguments)

    monkeypatch.setattr(train_module, "train_epoch", dies_in_the_second)
    with pytest.raises(KeyboardInterrupt):
        train(dataset, recipe, SMALL, tmp_path / "killed", show=str)
    monkeypatch.undo()
    resumed = train(dataset, recipe, SMALL, tmp_path / "killed", show=str)

    assert [epoch.number for epoch in resumed] == [0, 1, 2]
    np.testing.assert_array_equal([epoch.loss for epoch in resumed], [epoch.loss for epoch in whole])
    np.testing.assert_array_equal([epoch.auroc for epoch in resumed], [epoch.auroc for epoch in whole])


def test_another_configuration_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, {"config": {"seed": 1}}, ("a",))
    folder.keep([Epoch(0, 0.1, (0.5,), 0.5, 1.0, 0.0)], {"epoch": 0}, {})

    with pytest.raises(RunRefused, match="another config"):
        RunFolder(tmp_path, {"config": {"seed": 2}}, ("a",)).resume()
    curve, checkpoint = folder.resume()
    assert (curve[0].auroc, checkpoint) == ((0.5,), {"epoch": 0})


def test_a_set_that_may_not_be_learned_from_is_refused(shared_data: Path, tmp_path: Path) -> None:
    dataset = read_public(shared_data)
    barred = replace(dataset, sets=tuple(replace(each, uses=("evaluation",)) for each in dataset.sets))

    with pytest.raises(UseRefused):
        train(barred, RECIPES["chest_radiograph/1"], SMALL, tmp_path, show=str)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_two_processes_train_together(shared_data: Path, tmp_path: Path) -> None:
    """By torchrun and the command line, as several GPUs would; `--` keeps torchrun from reading our options.

    It takes some 50 seconds of work, which were seven minutes on two cores that others kept at an eighth of them. It
    runs in a session of its own, so that no child goes on after a limit is up and slows what comes next.
    """
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "--"]
    ours = ["training", "--data", str(shared_data), "train", "--run", str(tmp_path / "run"), "--epochs", "1"]
    words = [*torchrun, *ours, "--threads", "1", "--films-per-epoch", "64"]

    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, start_new_session=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    ) as started:  # fmt: skip
        try:
            said, complaints = started.communicate(timeout=380)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(started.pid, signal.SIGKILL)

    assert started.returncode == 0, complaints[-2000:]
    record = json.loads((tmp_path / "run/run.json").read_text())
    assert [epoch["number"] for epoch in record["curve"]] == [0, 1]
    assert said.count("epoch 1: val AUROC") == 1  # one of them speaks
