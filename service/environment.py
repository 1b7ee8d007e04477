"""Makes a Python environment for one use of the project; needs nothing but Python's standard library."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

from service.web import build

ROOT = Path(__file__).resolve().parent.parent
LEAST_PYTHON = (3, 11)


def prepare(folder: Path, extras: tuple[str, ...]) -> Path:
    """Install the project with these extras into an environment of its own, once, and return its Python.

    Args:
        folder: Where the environment stands; made when absent, brought up to date when pyproject.toml changed.
        extras: Extras of pyproject.toml, such as `demo`.
    """
    if sys.version_info < LEAST_PYTHON:
        sys.exit(f"Pandok needs Python {LEAST_PYTHON[0]}.{LEAST_PYTHON[1]} or newer; this is {sys.version.split()[0]}.")
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    wanted = hashlib.sha256((ROOT / "pyproject.toml").read_bytes() + repr((extras, str(ROOT))).encode()).hexdigest()
    stamp = folder / "pandok.stamp"
    if stamp.is_file() and stamp.read_text() == wanted and python.is_file():
        _renew_pages(python)
        return python
    print(f"Preparing {folder.name} with {', '.join(('pandok', *extras))} (once; a few minutes) ...", flush=True)
    venv.create(folder, with_pip=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--quiet", "--disable-pip-version-check"]
    target = f"{ROOT}[{','.join(extras)}]" if extras else str(ROOT)
    subprocess.run([*pip, "--editable", target], check=True)  # noqa: S603 - our own arguments
    stamp.write_text(wanted)
    return python


def _renew_pages(python: Path) -> None:
    """Build the pages again where their sources changed since the environment was made."""
    if build.is_skipped() or build.is_current():
        return
    print("Building the pages, whose sources changed ...", flush=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--no-deps", "--editable", str(ROOT)], check=True)  # noqa: S603 - our own arguments


def become(python: Path, *arguments: str) -> None:
    """Replace this process by the environment's Python, its own scripts first on the path."""
    os.environ["PATH"] = f"{python.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    os.environ.pop("PYTHONHOME", None)
    sys.stdout.flush()
    os.execv(python, [str(python), *arguments])  # noqa: S606 - our own arguments
