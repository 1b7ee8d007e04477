"""The scope gate: an upright, bone-white, human frontal chest, or the reason why not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from preprocessing.errors import Reason, UnsupportedImage
from preprocessing.recipes import Recipe
from training.cases import Case, load_grey, of_split
from training.drawings import drawn
from training.export import to_onnx
from training.negatives import distorted, inverted, package_pictures, turned, upside_down, varied
from training.network import GREY_MEAN, GREY_STD, backbone
from training.train import rate

SCOPE_CLASSES = (
    "in_scope",
    Reason.NOT_A_CHEST.value,
    Reason.UPSIDE_DOWN.value,
    Reason.ROTATED.value,
    Reason.INVERTED.value,
)
SIZE = 224
MIDDLE_BLOCK = 10
STRANGE_COUNTS_AGAINST = 50.0
"""A tenth beyond the limit takes five from the logit of `in_scope`: as much as the classifier is ever sure of."""
STRANGE_COUNTS_FOR = 3.0
"""Turned films lie up to 2.5 times the limit away and are to stay `rotated`: their lead is about five."""
FEATURES = 112 * 16 + 320 * 9

IN_SCOPE, NOT_A_CHEST, UPSIDE_DOWN, ROTATED, INVERTED = range(5)

Grey = NDArray[np.uint8]
FILM = "chest film"


@dataclass(frozen=True, slots=True)
class ScopeConfig:
    """Everything that decides a gate besides the data and the code."""

    seed: int = 11
    children: int = 700
    """Kermany films of train that are used; there are three times as many as NIH films."""
    drawings: int = 2_000
    package_variants: int = 6
    """Variants of each picture that installed packages carry."""
    hidden: int = 128
    epochs: int = 30
    batch: int = 128
    learning_rate: float = 1e-3
    directions: int = 96
    """Principal directions of in-scope features in which the distance is measured."""
    least_kept: float = 0.999
    """Share of val films that each of the two parts, distance and threshold, must let through."""
    threads: int = 2


@dataclass(frozen=True, slots=True)
class Example:
    """One tensor to learn from or to be judged on: float32 (1, rows, columns), 0..1."""

    image: NDArray[np.float32]
    scope_class: int
    kind: str


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


@dataclass(frozen=True, slots=True)
class Described:
    """Many pictures, each as its features: the tensors themselves would fill the memory.

    Attributes:
        features: (n, FEATURES), not standardized.
        classes: (n,), indices into SCOPE_CLASSES.
        kinds: n words.
    """

    features: Tensor
    classes: Tensor
    kinds: tuple[str, ...]


def train_gate(
    cases: Sequence[Case], recipe: Recipe, config: ScopeConfig, run_folder: Path, *, show: Callable[[str], None]
) -> ScopeNetwork:
    """Train a gate on `train`, set distance and threshold on `val`; write weights.pt, gate.json into run_folder."""
    torch.manual_seed(config.seed)
    torch.set_num_threads(config.threads)
    run_folder.mkdir(parents=True, exist_ok=True)
    network = ScopeNetwork(config.hidden, config.directions).eval()
    pictures = describe(network, make_examples(of_split(cases, "train"), recipe, config, seed=config.seed))
    show(f"{len(pictures.kinds)} pictures to train on")
    validation = describe(network, make_examples(of_split(cases, "val"), recipe, config, seed=config.seed + 1))
    threshold = fit_gate(network, pictures, validation, config, show=show)
    counts = count_kept(network, validation, threshold)
    for kind, (passed, total) in counts.items():
        show(f"val {kind}: {passed} of {total} kept")
    torch.save(network.state_dict(), run_folder / "weights.pt")
    record = {
        "config": asdict(config),
        "recipe": recipe.name,
        "recipe_sha256": recipe.sha256,
        "threshold": threshold,
        "classes": SCOPE_CLASSES,
        "train_pictures": len(pictures.kinds),
        "val_kept": counts,
    }
    (run_folder / "gate.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    return network


def fit_gate(
    network: ScopeNetwork,
    pictures: Described,
    validation: Described,
    config: ScopeConfig,
    *,
    show: Callable[[str], None],
) -> float:
    """Fit classifier and distance to `pictures`, set their limits on `validation`, return the threshold."""
    torch.manual_seed(config.seed)
    network.mean.copy_(pictures.features.mean(dim=0))
    network.scale.copy_(pictures.features.std(dim=0) + 1e-3)
    features = network.standardize(pictures.features)
    _fit_classifier(network, features, pictures.classes, config, show)
    _fit_distance(network, features[pictures.classes == IN_SCOPE], config)
    return _set_limits(network, validation, config)


def load_gate(run_folder: Path) -> tuple[ScopeNetwork, float]:
    """Return a trained gate and its threshold."""
    record = json.loads((run_folder / "gate.json").read_text(encoding="utf-8"))
    network = ScopeNetwork(record["config"]["hidden"], record["config"]["directions"], pretrained=False)
    network.load_state_dict(torch.load(run_folder / "weights.pt", map_location="cpu", weights_only=True))
    network.eval()
    return network, float(record["threshold"])


def make_examples(cases: Sequence[Case], recipe: Recipe, config: ScopeConfig, *, seed: int) -> Iterator[Example]:
    """Yield films as they are and slightly varied, films turned, inverted and distorted, and other pictures."""
    rng = np.random.default_rng(seed)
    adults = [case for case in cases if case.age_band == "adult"]
    children = [case for case in cases if case.age_band != "adult"]
    chosen = adults + [children[index] for index in rng.permutation(len(children))[: config.children]]
    share = len(chosen) / 1_850  # fewer for val
    for film in load_grey(chosen):
        yield from _prepared(recipe, film, IN_SCOPE, FILM)
        yield from _prepared(recipe, slightly_varied(film, rng), IN_SCOPE, "chest film, varied")
        yield from _prepared(recipe, upside_down(film, rng), UPSIDE_DOWN, "upside down")
        yield from _prepared(recipe, turned(film, rng), ROTATED, "on its side")
        yield from _prepared(recipe, inverted(film, rng), INVERTED, "inverted")
        yield from _prepared(recipe, distorted(film, rng), NOT_A_CHEST, "cropped or distorted film")
    for _ in range(int(config.drawings * share)):
        yield from _prepared(recipe, drawn(rng), NOT_A_CHEST, "drawn picture")
    for picture in package_pictures():
        for _ in range(max(1, int(config.package_variants * share))):
            yield from _prepared(recipe, varied(picture, rng), NOT_A_CHEST, "other modality or photograph")


def slightly_varied(film: Grey, rng: np.random.Generator) -> Grey:
    """Return the film as another unit might send it: other borders, aspect, curve, a slight tilt, letters."""
    rows, columns = film.shape
    cut = rng.uniform(0, 0.06, size=4)
    part = film[int(rows * cut[0]) : rows - int(rows * cut[1]), int(columns * cut[2]) : columns - int(columns * cut[3])]
    size = (int(part.shape[1] * rng.uniform(0.85, 1.15)), int(part.shape[0] * rng.uniform(0.85, 1.15)))
    fill = int(rng.choice([0, 0, 0, 255]))
    picture = Image.fromarray(part).resize(size, Image.Resampling.BILINEAR)
    picture = picture.rotate(float(rng.normal(0, 4)), Image.Resampling.BILINEAR, fillcolor=fill)
    values = np.asarray(picture, dtype=np.float32) / 255
    values = values ** rng.uniform(0.5, 1.8) * rng.uniform(0.55, 1.0) + rng.uniform(0, 0.15)
    values += rng.normal(0, rng.uniform(0, 0.03), size=values.shape)
    grey = (np.clip(values, 0, 1) * 255).astype(np.uint8)
    borders = [(int(rng.integers(0, 30)), int(rng.integers(0, 30))) for _ in range(2)]
    return np.pad(grey, borders, constant_values=fill) if rng.random() < 0.5 else grey


def _prepared(recipe: Recipe, picture: Grey, scope_class: int, kind: str) -> Iterator[Example]:
    """Yield the example as serving would see it; what the recipe itself refuses never reaches the gate."""
    try:
        yield Example(recipe.prepare_array(np.ascontiguousarray(picture)).tensor, scope_class, kind)
    except UnsupportedImage:
        return


def describe(network: ScopeNetwork, examples: Iterable[Example]) -> Described:
    """Return the examples as features. ONNX Runtime makes them: on a CPU it is six times as fast as torch."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    content = to_onnx(network.frozen, input_shape=(1, SIZE, SIZE), output_names=["features"])
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    features, classes, kinds = [], [], []
    for example in examples:
        features.append(torch.from_numpy(session.run(None, {"image": example.image[None]})[0][0]))
        classes.append(example.scope_class)
        kinds.append(example.kind)
    return Described(torch.stack(features), torch.tensor(classes), tuple(kinds))


@torch.no_grad()
def count_kept(network: ScopeNetwork, pictures: Described, threshold: float) -> dict[str, tuple[int, int]]:
    """Return per kind of picture how many are let through, and of how many."""
    passed = torch.softmax(network.judge(network.standardize(pictures.features)), dim=1)[:, IN_SCOPE] >= threshold
    counts: dict[str, tuple[int, int]] = {}
    for kind, kept in zip(pictures.kinds, passed.tolist(), strict=True):
        before = counts.get(kind, (0, 0))
        counts[kind] = (before[0] + int(kept), before[1] + 1)
    return counts


@torch.no_grad()
def _set_limits(network: ScopeNetwork, pictures: Described, config: ScopeConfig) -> float:
    """Set the distance at which a picture becomes strange, from val films, and return the threshold of in_scope."""
    films = network.standardize(pictures.features[torch.tensor([kind == FILM for kind in pictures.kinds])])
    network.limit.copy_(torch.quantile(network.distance(films), config.least_kept))
    in_scope = torch.softmax(network.judge(films), dim=1)[:, IN_SCOPE]
    return float(np.clip(torch.quantile(in_scope, 1 - config.least_kept).item() * 0.98, 0.05, 0.5))


def _fit_classifier(
    network: ScopeNetwork, features: Tensor, classes: Tensor, config: ScopeConfig, show: Callable[[str], None]
) -> None:
    network.classifier.train()
    optimizer = torch.optim.AdamW(network.classifier.parameters(), lr=config.learning_rate, weight_decay=0.05)
    steps = config.epochs * -(-len(features) // config.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, 20, steps))
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
    """Find the directions in which chest films differ, and how much; the mean stays that of all pictures."""
    centred = chests - chests.mean(dim=0)
    _, _, directions = torch.pca_lowrank(centred, q=config.directions, center=False, niter=4)
    # Distance is measured from the mean of chest films: move the origin there for everything that follows.
    offset = chests.mean(dim=0) * network.scale
    first = network.classifier[1]
    assert isinstance(first, nn.Linear)  # noqa: S101 - tells the type checker
    first.bias.add_(first.weight @ chests.mean(dim=0))
    network.mean.add_(offset)
    network.directions.copy_(directions)
    along = centred @ directions
    left_over = (centred - along @ directions.T).square().mean(dim=1)
    network.spread.copy_(torch.cat([along.square().mean(dim=0), left_over.mean()[None]]))
