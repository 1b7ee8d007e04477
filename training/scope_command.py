"""The command `gate`: train the scope gate, check it kind by kind, and make its package."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from models.package import SHIPPED, AppliesTo, OutputsDescription, PackageDescription
from preprocessing.recipes import RECIPES, Recipe
from training.attributions import ATTRIBUTIONS
from training.cases import Case, load_tensors, of_split
from training.export import MANUFACTURER, ExportRefused, PackageText, export_package
from training.held_out import held_out
from training.public_sets import read_cases
from training.scope import ScopeConfig, load_gate, train_gate
from training.scope_card import gate_card
from training.scope_check import KindCount, count_kinds, describe, share_kept
from training.scope_network import SCOPE_CLASSES, ScopeNetwork
from training.scope_pictures import check_examples, limit_examples

if TYPE_CHECKING:
    from argparse import _SubParsersAction

RECIPE = "chest_radiograph/1"
PARITY_FILMS = 96
CHECK_SEED = 12
CHECK_DRAWINGS = 400
CHECK_VARIANTS = 20
LICENCE = Path(__file__).parent.parent / "LICENSE"
REFERENCES = (
    "Kermany DS et al. Cell 2018;172(5):1122-1131, doi 10.1016/j.cell.2018.02.010; data doi 10.17632/rscbjbr9sj.2",
    "Wang X et al. ChestX-ray8. CVPR 2017; NIH Clinical Center, https://nihcc.app.box.com/v/ChestXray-NIHCC",
)


def add_commands(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `gate`."""
    command = commands.add_parser("gate", help="train, check and export the scope gate")
    command.add_argument("--run", type=Path, required=True, help="folder of the run: weights and counts")
    command.add_argument("--package", type=Path, default=SHIPPED / "chest_scope")
    command.add_argument("--package-version", default="0.2.0")
    command.add_argument("--trained", action="store_true", help="check and export the run without training again")
    command.set_defaults(act=_gate)


def _gate(arguments: argparse.Namespace) -> None:
    cases, recipe = read_cases(arguments.data), RECIPES[RECIPE]
    if not arguments.trained:
        train_gate(cases, recipe, ScopeConfig(), arguments.run, show=_show)
    record = json.loads((arguments.run / "gate.json").read_text(encoding="utf-8"))
    if record["recipe_sha256"] != recipe.sha256:
        raise ExportRefused(f"the recipe {recipe.name} changed since the gate was trained: train again")
    network, threshold = load_gate(arguments.run)
    counts = check_gate(network, threshold, cases, recipe, arguments.data)
    record["counts"] = [asdict(count) for count in counts]
    evidence = json.dumps(record, indent=1) + "\n"
    (arguments.run / "checked.json").write_text(evidence, encoding="utf-8")
    package = export_package(
        network,
        _parity_films(of_split(cases, "val"), recipe),
        lambda logits: torch.softmax(torch.from_numpy(logits), dim=1).numpy(),
        folder=arguments.package,
        description=_description(arguments.package.name, recipe),
        outputs=OutputsDescription(outputs=(), scope_classes=SCOPE_CLASSES, scope_threshold=round(threshold, 4)),
        text=_text(arguments.package_version, threshold, record["train_pictures"], counts, evidence),
    )
    _show(f"{package.name} {package.version} {package.sha256}")


def check_gate(
    network: ScopeNetwork, threshold: float, cases: Sequence[Case], recipe: Recipe, shared_data: Path
) -> list[KindCount]:
    """Return what the gate makes of val films in every variation, and of everything that it never learned from."""
    val = of_split(cases, "val")
    sources = (
        limit_examples(val, recipe),
        held_out(shared_data, recipe),
        check_examples(val, recipe, drawings=CHECK_DRAWINGS, package_variants=CHECK_VARIANTS, seed=CHECK_SEED),
    )
    counts = [count for source in sources for count in count_kinds(network, describe(network, source), threshold)]
    for count in counts:
        learned = "" if count.learned else ", never learned"
        _show(f"{count.kind} ({count.expected}{learned}): {count.kept} of {count.pictures} let through")
    _show(f"{share_kept(counts):.4f} of all films in scope let through")
    return counts


def _parity_films(films: Sequence[Case], recipe: Recipe) -> Tensor:
    """Return some real films, (n, 1, rows, columns), on which torch and ONNX Runtime must agree."""
    chosen = films[:: max(1, len(films) // PARITY_FILMS)]
    return torch.from_numpy(np.stack(list(load_tensors(chosen, recipe))))


def _description(name: str, recipe: Recipe) -> PackageDescription:
    return PackageDescription(
        name=name,
        kind="scope_gate",
        recipe=recipe.name,
        recipe_sha256=recipe.sha256,
        input_shape=(1, 224, 224),
        has_heat_map=False,
        gate=None,
        applies_to=AppliesTo(modalities=("CR", "DX"), body_parts=(), views=(), min_age_years=None, max_age_years=None),
        manufacturer=MANUFACTURER,
        licence="Apache-2.0",
    )


def _text(
    version: str, threshold: float, train_pictures: int, counts: Sequence[KindCount], evidence: str
) -> PackageText:
    return PackageText(
        version=version,
        task="Scope gate: an upright human frontal chest radiograph, or the reason why not",
        description="Five classes over frozen ImageNet features with a distance to known chest films.",
        intended_use="Keeping pictures out of scope from being scored. Research use; not a medical device.",
        data_source="Kermany paediatric pneumonia; NIH ChestX-ray14 subsets; pictures of Python packages; drawings",
        references=REFERENCES,
        changelog={
            "0.1.0": "first package",
            "0.2.0": "learned from films as other units send them, and from more ways of being no whole chest",
        },
        figures={f"let through, {count.kind}": round(count.kept / count.pictures, 4) for count in counts},
        card=gate_card(version=version, threshold=threshold, train_pictures=train_pictures, counts=counts),
        licence=LICENCE.read_text(encoding="utf-8"),
        extra_files={"ATTRIBUTIONS.md": ATTRIBUTIONS, "docs/gate.json": evidence},
    )


def _show(line: str) -> None:
    print(time.strftime("%H:%M:%S"), line, flush=True)  # noqa: T201 - what a command says
