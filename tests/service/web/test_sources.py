"""The pages' own tests run in Node; what was written from the service is still what the service says."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from service.web import build
from tests.service.web.describe import TYPES, write_types

pytestmark = pytest.mark.timeout(600)


def node(*arguments: str) -> subprocess.CompletedProcess[str]:
    program, _ = build.find_node()
    return subprocess.run(
        [str(program), *arguments], cwd=build.WEB_FOLDER, capture_output=True, text=True, encoding="utf-8"
    )


def test_the_pages_pass_their_own_tests() -> None:
    done = node("node_modules/vitest/vitest.mjs", "run")

    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-2_000:]


def test_every_language_has_every_word() -> None:
    done = node("scripts/check-languages.ts")

    assert done.returncode == 0, done.stderr


def test_the_types_are_those_of_the_service(tmp_path: Path) -> None:
    write_types(tmp_path / "service.d.ts")

    assert (tmp_path / "service.d.ts").read_text() == TYPES.read_text(), "run `python -m tests.service.web.describe`"


def test_the_lock_names_no_registry_and_every_dependency_is_pinned() -> None:
    package = json.loads((build.WEB_FOLDER / "package.json").read_text())
    lock = (build.WEB_FOLDER / "package-lock.json").read_text()

    assert '"resolved"' not in lock
    versions = [*package["dependencies"].values(), *package["devDependencies"].values()]
    assert [version for version in versions if not version[0].isdigit()] == []
