"""The command line of training: data, train, evaluate, export, reproduce, gate, tuberculosis."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from models.files import PackageRefused
from training import (
    data_command,
    evaluate_command,
    export_command,
    scope_command,
    train_command,
    tuberculosis_command,
)
from training.cases import ManifestRefused
from training.export import ExportRefused
from training.runs import RunRefused

ROOT = Path(__file__).parent.parent
COMMANDS = (data_command, train_command, evaluate_command, export_command, scope_command, tuberculosis_command)


def main() -> None:
    """Run one command; a refusal is one sentence on stderr and exit status 2."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    default_data = os.environ.get("PANDOK_SHARED_DATA", str(ROOT.parent / "shared/data"))
    parser.add_argument("--data", type=Path, default=Path(default_data), help="folder of the public sets")
    commands = parser.add_subparsers(required=True)
    for module in COMMANDS:
        module.add_commands(commands)
    arguments = parser.parse_args()
    try:
        arguments.act(arguments)
    except (ManifestRefused, ExportRefused, PackageRefused, RunRefused) as refusal:
        print(f"refused: {refusal}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
