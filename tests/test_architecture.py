"""The direction of imports, read from the import statements."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("models", "preprocessing", "service", "training")

MAY_IMPORT = {
    "preprocessing": {"preprocessing"},
    "models": {"models", "preprocessing"},
    "training": {"training", "models", "preprocessing"},
    "service": {"service", "models", "preprocessing"},
}
ROOMS = ("intake", "inference", "results", "worklist", "reading", "reports", "center", "learning")
"""On the study's path: a room may import earlier rooms only."""

JOINERS = {
    "app", "cli", "cli_accounts", "cli_audit", "cli_cases", "cli_check", "cli_rules", "cli_studies", "cli_uploads",
    "conformance", "conformance_networking", "demo", "health", "interventions", "parts", "pipeline", "receiving",
    "rounds", "serve", "worker",
}  # fmt: skip
"""They may import every room; no room imports them."""

HEAVY = {"torch", "monai", "sklearn", "matplotlib", "onnx", "onnxscript"}
"""What belongs to the training extra and is absent where the service runs."""


def sources() -> list[Path]:
    found = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return [path for path in found if "node_modules" not in path.parts]


def imports(path: Path) -> set[str]:
    """Return every module that the file imports, in full."""
    package = path.relative_to(ROOT).parts[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            origin = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (origin, node.module or "") if part)
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return found


def room_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[0] == "service" and parts[1] in ROOMS else None


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]

    ours = {module.split(".")[0] for module in imports(path)} & set(PACKAGES)

    assert ours <= MAY_IMPORT[package]


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_rooms_import_earlier_rooms_only(path: Path) -> None:
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    own = room_of(module)
    if own is None and module.split(".")[-1] in JOINERS:
        return
    allowed = ROOMS[: ROOMS.index(own) + 1] if own else ()

    imported = imports(path)

    assert {room for name in imported if (room := room_of(name))} <= set(allowed)
    assert not {name for name in imported if name.startswith("service.") and name.split(".")[1] in JOINERS}


@pytest.mark.parametrize("path", [p for p in sources() if "training" not in p.parts], ids=str)
def test_serving_needs_nothing_of_training(path: Path) -> None:
    assert not {module.split(".")[0] for module in imports(path)} & HEAVY


def test_every_module_says_what_it_is_for() -> None:
    silent = [p for p in sources() if "versions" not in p.parts and not ast.get_docstring(ast.parse(p.read_text()))]

    assert silent == []


def test_names_that_say_nothing_are_not_used() -> None:
    banned = {"utils", "common", "base", "manager", "core", "misc", "helpers"}

    assert [p for p in sources() if p.stem in banned] == []


def test_top_level_holds_only_what_it_may() -> None:
    allowed = {
        *PACKAGES, "tests", "docs", "pyproject.toml", "Dockerfile", "README.md", "CHANGELOG.md", "DECISIONS.md",
        "LICENSE", ".ci", ".git", ".gitignore", ".dockerignore",
    }  # fmt: skip
    made = (".venv", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis", "demo-data", "data", "runs", "build")

    extra = {p.name for p in ROOT.iterdir() if p.name not in allowed and not p.name.startswith(made)}

    assert extra - {"__pycache__"} == set()
