"""When the pages are built again, and when they are left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.web import build


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A web folder whose pages are current."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "main.tsx").write_text("one")
    (tmp_path / "package.json").write_text("{}")
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "sources.sha256").write_text(build.sources_digest(tmp_path))
    return tmp_path


def test_unchanged_sources_are_not_built_again(folder: Path) -> None:
    page = folder / "dist" / "index.html"
    page.write_text("kept")

    build.build(folder)

    assert page.read_text() == "kept"


@pytest.mark.parametrize(
    ("path", "is_current"),
    [("src/main.tsx", False), ("src/new.tsx", False), ("package.json", False), ("src/main.test.tsx", True),
     ("node_modules/x.js", True)],
)  # fmt: skip
def test_only_what_the_pages_depend_on_makes_them_stale(folder: Path, path: str, is_current: bool) -> None:
    (folder / path).parent.mkdir(exist_ok=True)
    (folder / path).write_text("two")

    assert build.is_current(folder) is is_current


def test_a_folder_without_built_pages_is_not_current(folder: Path) -> None:
    (folder / "dist" / "sources.sha256").unlink()

    assert not build.is_current(folder)


def test_a_failed_build_says_what_failed_and_leaves_the_old_pages(folder: Path) -> None:
    (folder / "src" / "main.tsx").write_text("two")
    (folder / "package.json").write_text('{"scripts": {"build": "node -e \\"process.exit(3)\\""}}')
    (folder / "package-lock.json").write_text('{"name": "x", "lockfileVersion": 3, "packages": {}}')

    with pytest.raises(RuntimeError, match="PANDOK_WEB=skip"):
        build.build(folder)

    assert (folder / "dist" / "sources.sha256").is_file()


@pytest.mark.parametrize(
    ("switch", "is_skipped"), [({}, False), ({"PANDOK_WEB": "skip"}, True), ({"PANDOK_WEB": ""}, False)]
)
def test_the_switch_leaves_the_pages_alone(switch: dict[str, str], is_skipped: bool) -> None:
    assert build.is_skipped(switch) is is_skipped
