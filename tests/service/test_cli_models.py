"""Models of one's own: imported by the command, released for a site, and run where the service runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.session import Session
from service.cli import main
from service.inference.scoring import Scoring
from service.settings import Settings
from service.sites import open_shelf
from service.workspace import Workspace
from tests.conftest import ROOT
from tests.training.importing.bundles import classifier, write_bundle
from tests.training.importing.library import random_network, save

SITE = ("--name", "Hà Nội", "--country", "VN", "--language", "vi", "--time-zone", "Asia/Ho_Chi_Minh")

pytestmark = pytest.mark.timeout(600)  # processes that import torch: seconds, or minutes on a busy machine

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def pandok(tmp_path: Path) -> Command:
    """Run `pandok` as an operator's shell does, on a folder of its own."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        own = {"PANDOK_DATA_FOLDER": str(tmp_path / "data"), "PANDOK_MIN_FREE_BYTES": "0", **environment}
        return subprocess.run(
            [sys.executable, "-m", "service.cli", *arguments],
            env={**os.environ, **own}, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip

    return run


def weights(folder: Path) -> Path:
    return save(random_network(blocks=(1, 1)), folder / "weights.pt", is_old=True)


def bundle(folder: Path) -> Path:
    return write_bundle(folder / "bundle", classifier(last="Sigmoid"))


@pytest.mark.parametrize(
    ("kind", "source", "finding"),
    [
        ("bundle", bundle, "odd_shadow"),
        pytest.param("torchxrayvision", weights, "lung_opacity", marks=pytest.mark.slow),
    ],
)
def test_an_imported_model_can_be_released_and_scores_films(
    pandok: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    source: Callable[[Path], Path],
    finding: str,
) -> None:
    folder = tmp_path / "packages"
    imported = pandok("models", "import", kind, str(source(tmp_path)), "--into", str(folder), "--name", "ours")
    assert imported.returncode == 0, imported.stderr
    assert f"PANDOK_MODELS_FOLDER={folder} pandok releases add SITE ours" in imported.stdout

    monkeypatch.setenv("PANDOK_DATA_FOLDER", str(tmp_path / "data"))
    monkeypatch.setenv("PANDOK_MODELS_FOLDER", str(folder))
    assert main(["sites", "add", "hanoi-01", *SITE]) == 0
    assert main(["releases", "add", "hanoi-01", "ours", "--show", finding]) == 0

    assert f"{finding}: shown; not tested" in capsys.readouterr().out
    settings = Settings(data_folder=tmp_path / "data", models_folder=folder)
    packages = {package.name: package for package in open_shelf(settings).packages}
    workspace = Workspace(tmp_path / "work")
    tensor = np.random.default_rng(2).random((1, 224, 224), dtype=np.float32)
    scoring = Scoring(
        list(packages.values()),
        workspace_folder=workspace.folder,
        provider="cpu",
        threads=1,
        max_batch=1,
        timeout_s=30.0,
    )
    try:
        scoring.start()
        scores = scoring.score(packages["ours"], workspace.put_tensor(tensor))
    finally:
        scoring.close()
    np.testing.assert_allclose(scores.logits, Session(packages["ours"]).run(tensor[None]).logits[0], atol=1e-5)


def test_without_torch_the_command_says_what_to_install(pandok: Command, tmp_path: Path) -> None:
    (tmp_path / "absent").mkdir()
    (tmp_path / "absent/torch.py").write_text("raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')\n")

    refused = pandok(
        "models", "import", "torchxrayvision", "weights.pt", "--into", str(tmp_path / "packages"),
        PYTHONPATH=str(tmp_path / "absent"),
    )  # fmt: skip

    assert refused.returncode == 1
    assert "needs torch" in refused.stderr
    assert "pip install 'pandok[cpu,training]'" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_an_import_without_a_folder_to_go_into_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "import", "bundle", "somewhere"]) == 1

    assert "--into" in capsys.readouterr().err


@pytest.mark.parametrize(("provider", "status"), [("cpu", 78), ("cuda", 0)])
def test_half_precision_is_a_setting_for_a_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], provider: str, status: int
) -> None:
    monkeypatch.setenv("PANDOK_DATA_FOLDER", str(tmp_path / "data"))
    monkeypatch.setenv("PANDOK_SCORING_PRECISION", "fp16")
    monkeypatch.setenv("PANDOK_EXECUTION_PROVIDER", provider)

    assert main(["sites", "list"]) == status
    assert ("PANDOK_SCORING_PRECISION" in capsys.readouterr().err) == (status != 0)
