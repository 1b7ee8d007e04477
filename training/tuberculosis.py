"""A research-only package for tuberculosis: frozen ImageNet features, one linear output, its heat map."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from preprocessing.recipes import Recipe
from training.cases import Case, load_grey, of_split
from training.graphs import to_onnx
from training.network import SIZE, backbone, extract
from training.public_sets import TUBERCULOSIS, read_public
from training.variations import close, contrasted, stretched, tilted

FINDING = "tuberculosis_like_change"
DATA_SET = "shenzhen_tb_128"
FEATURES = 1280


@dataclass(frozen=True, slots=True)
class TuberculosisConfig:
    """Everything that decides a run besides the data and the code."""

    seed: int = 5
    views: int = 12
    """Varied copies of each film beside the film itself."""
    strengths: tuple[float, ...] = (1e-5, 1e-4, 1e-3, 1e-2)
    """Inverse strengths of regularisation to choose from, by cross-validation inside `train`."""
    folds: int = 5
    threads: int = 1


class TuberculosisNetwork(nn.Module):
    """EfficientNet-Lite0 as ImageNet left it, and one linear output over each place of its last features."""

    def __init__(self, *, pretrained: bool = True) -> None:
        super().__init__()
        self.backbone = backbone(pretrained=pretrained)
        self.head = nn.Conv2d(FEATURES, 1, kernel_size=1)
        self.requires_grad_(requires_grad=False)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (n, 1) and class activation maps (n, 1, h, w) of images (n, 1, rows, columns), 0..1."""
        heat_map = self.head(extract(self.backbone, image))
        # A linear output over averaged features is the average of the map: the map adds up to the logit exactly.
        return heat_map.mean(dim=(2, 3)), heat_map


class _AveragedFeatures(nn.Module):
    """What the linear output is fitted to: features (n, FEATURES) of images (n, 1, rows, columns)."""

    def __init__(self, network: TuberculosisNetwork) -> None:
        super().__init__()
        self.backbone = network.backbone

    def forward(self, image: Tensor) -> Tensor:
        return extract(self.backbone, image).mean(dim=(2, 3))


def read_tuberculosis_cases(shared_data: Path) -> list[Case]:
    """Read the adults of the Shenzhen set; `labels` is one value: 1 for a film filed as tuberculosis.

    Raises:
        ManifestRefused: The set is not there, or a patient stands in two splits.
    """
    films = read_public(shared_data, (DATA_SET,)).cases((TUBERCULOSIS,))
    return [case for case in films if case.age_band == "adult"]


def train_tuberculosis(
    cases: Sequence[Case], recipe: Recipe, config: TuberculosisConfig, run_folder: Path, *, show: Callable[[str], None]
) -> TuberculosisNetwork:
    """Fit the linear output to the films of `train`; write weights.pt and run.json into run_folder."""
    torch.manual_seed(config.seed)
    torch.set_num_threads(config.threads)
    run_folder.mkdir(parents=True, exist_ok=True)
    films = of_split(cases, "train")
    network = TuberculosisNetwork().eval()
    features = describe_films(network, _views(films, recipe, config))
    labels = np.repeat([case.labels[0] for case in films], config.views + 1)
    patients = np.repeat([case.patient_id for case in films], config.views + 1)
    show(f"{len(films)} films of adults, {len(features)} views of them")
    scores = [_cross_validated(features, labels, patients, strength, config.folds) for strength in config.strengths]
    strength = config.strengths[int(np.argmax(scores))]
    show(f"cross-validated AUROC inside train: {', '.join(f'{score:.3f}' for score in scores)}")
    model = _regression(strength).fit(features, labels)
    set_head(network, model[0].mean_, model[0].scale_, model[1].coef_[0], float(model[1].intercept_[0]))
    torch.save(network.state_dict(), run_folder / "weights.pt")
    record = {
        "config": asdict(config),
        "recipe": recipe.name,
        "recipe_sha256": recipe.sha256,
        "train_films": len(films),
        "train_positives": int(sum(case.labels[0] for case in films)),
        "strength": strength,
        "cross_validated_auroc": dict(zip(map(str, config.strengths), scores, strict=True)),
    }
    (run_folder / "run.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    return network


def load_tuberculosis(run_folder: Path) -> TuberculosisNetwork:
    """Return the network of a run, ready to predict."""
    network = TuberculosisNetwork(pretrained=False)
    network.load_state_dict(torch.load(run_folder / "weights.pt", map_location="cpu", weights_only=True))
    return network.eval()


def describe_films(network: TuberculosisNetwork, images: Iterable[NDArray[np.float32]]) -> NDArray[np.float64]:
    """Return averaged features (n, FEATURES) of images (1, rows, columns)."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    content = to_onnx(_AveragedFeatures(network), input_shape=(1, SIZE, SIZE), output_names=["features"])
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {"image": image[None]})[0] for image in images]).astype(np.float64)


@torch.no_grad()
def set_head(
    network: TuberculosisNetwork,
    mean: NDArray[np.float64],
    scale: NDArray[np.float64],
    weights: NDArray[np.float64],
    bias: float,
) -> None:
    """Make the output what a regression says that was fitted to features with `mean` taken off, over `scale`."""
    plain = weights / scale
    network.head.weight.copy_(torch.from_numpy(plain)[None, :, None, None])
    assert network.head.bias is not None  # noqa: S101 - tells the type checker
    network.head.bias.fill_(bias - float(plain @ mean))


def _views(films: Sequence[Case], recipe: Recipe, config: TuberculosisConfig) -> Iterable[NDArray[np.float32]]:
    """Yield each film and its varied copies: tilted, cropped, stretched and with another contrast, never flipped."""
    rng = np.random.default_rng(config.seed)
    for film in load_grey(films):
        yield recipe.prepare_array(film).tensor
        for _ in range(config.views):
            view = np.asarray(Image.fromarray(film).resize((SIZE, SIZE), Image.Resampling.BILINEAR))
            for vary in (stretched, tilted, contrasted, close):
                view = vary(view, rng) if rng.random() < 0.6 else view
            yield recipe.prepare_array(np.ascontiguousarray(view)).tensor


def _regression(strength: float) -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=2_000))


def _cross_validated(
    features: NDArray[np.float64],
    labels: NDArray[np.float64],
    patients: NDArray[np.str_],
    strength: float,
    folds: int,
) -> float:
    """Return the mean AUROC over folds that never divide a patient."""
    scores = cross_val_score(
        _regression(strength), features, labels, groups=patients, cv=GroupKFold(folds), scoring="roc_auc"
    )
    return float(scores.mean())
