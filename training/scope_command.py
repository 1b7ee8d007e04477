"""The command `gate`: train the scope gate, check it kind by kind, and make its package."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from models.package import SHIPPED, OutputsDescription
from preprocessing.recipes import RECIPES, Recipe
from training.attributions import ATTRIBUTIONS, LICENCE, REFERENCES
from training.cases import Case, of_split
from training.export import PackageText, describe_chest_package, export_package, parity_films, require_recipe
from training.held_out import held_out
from training.public_sets import read_cases
from training.scope import ScopeConfig, load_gate, train_gate
from training.scope_card import gate_card
from training.scope_check import KindCount, count_kinds, describe, share_kept
from training.scope_network import SCOPE_CLASSES, ScopeNetwork
from training.scope_pictures import check_examples, limit_examples
from training.train_command import RECIPE, stamped

if TYPE_CHECKING:
    from argparse import _SubParsersAction

CHECK_SEED = 12
CHECK_DRAWINGS = 400
CHECK_VARIANTS = 20


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
        train_gate(cases, recipe, ScopeConfig(), arguments.run, show=stamped)
    record = json.loads((arguments.run / "gate.json").read_text(encoding="utf-8"))
    require_recipe(record, recipe)
    network, threshold = load_gate(arguments.run)
    counts = check_gate(network, threshold, cases, recipe, arguments.data)
    record["counts"] = [asdict(count) for count in counts]
    evidence = json.dumps(record, indent=1) + "\n"
    (arguments.run / "checked.json").write_text(evidence, encoding="utf-8")
    package = export_package(
        network,
        parity_films(cases, recipe),
        lambda logits: torch.softmax(torch.from_numpy(logits), dim=1).numpy(),
        folder=arguments.package,
        description=describe_chest_package(arguments.package.name, recipe, gate=None),
        outputs=OutputsDescription(outputs=(), scope_classes=SCOPE_CLASSES, scope_threshold=round(threshold, 4)),
        text=_text(arguments.package_version, threshold, record["train_pictures"], counts, evidence),
    )
    stamped(f"{package.name} {package.version} {package.sha256}")


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
        stamped(f"{count.kind} ({count.expected}{learned}): {count.kept} of {count.pictures} let through")
    stamped(f"{share_kept(counts):.4f} of all films in scope let through")
    return counts


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
