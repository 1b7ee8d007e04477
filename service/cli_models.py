"""`pandok models import`: makes a model package of weights that the operator has, in a process of its own."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from service.settings import Settings
from service.sites import SiteRefused

ANSWERS = """\
The file of answers is JSON; every entry may be left out where the model's own files tell it:
  {"version": "1.0.0", "intended_use": "...", "licence": "...",
   "outputs": [{"channel": 0, "finding": "pleural_effusion", "min_age_years": 18.0,
                "operating_point": {"name": "ours", "threshold": 0.3, "sensitivity": null, "specificity": null,
                                    "chosen_on": "..."}}],
   "scores": "logits" | "probabilities" | "exclusive_logits", "scores_output": "pred", "heat_map_output": "map",
   "value_range": [0.0, 1.0], "columns_first": false}
docs/import.md tells what each of them means.
"""


def add_commands(models: argparse.ArgumentParser) -> None:
    """Add the actions of `pandok models`."""
    actions = models.add_subparsers(required=True, metavar="ACTION")
    importing = actions.add_parser("import", help="make a package of weights that you have; needs the training extra")
    kinds = importing.add_subparsers(required=True, metavar="KIND", dest="kind")
    for kind, source, words in (
        ("torchxrayvision", "WEIGHTS", "a weight file of TorchXRayVision's DenseNet"),
        ("bundle", "FOLDER", "a MONAI Bundle with a classifier as ONNX"),
    ):
        command = kinds.add_parser(
            kind, help=words, epilog=ANSWERS, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        command.add_argument("source", metavar=source, type=Path)
        command.add_argument("--into", metavar="FOLDER", type=Path, help="folder of packages; PANDOK_MODELS_FOLDER")
        command.add_argument("--name", help="of the package, such as chest_findings")
        command.add_argument("--answers", metavar="FILE", type=Path, help="what the model's own files do not tell")
        command.set_defaults(run=import_model)


def import_model(settings: Settings, options: argparse.Namespace) -> int:
    """Run one import; returns its exit status. Raises SiteRefused when no folder is named."""
    into = options.into or settings.models_folder
    if into is None:
        raise SiteRefused("say where the package goes with --into, or set PANDOK_MODELS_FOLDER")
    request = {
        "kind": options.kind,
        "source": str(options.source),
        "into": str(into),
        "name": options.name,
        "answers": str(options.answers) if options.answers else None,
    }
    command = [sys.executable, "-P", "-m", "training.importing", json.dumps(request)]
    return subprocess.run(command, check=False).returncode  # noqa: S603 - our own interpreter and module
