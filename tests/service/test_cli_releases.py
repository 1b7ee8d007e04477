"""`pandok releases`: what serves a site, and which experimental findings its readers see."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.service.inference.packages import write_gate, write_package
from tests.service.test_cli import SITE, Command


@pytest.fixture
def pandok(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """A command in an installation with a package of its own kind each, and one site."""
    models = tmp_path / "models"
    write_package(models, "trial", experimental=(1,), gate="wall")
    write_package(models, "trial_only", experimental=(0, 1), uncalibrated=True)
    write_gate(models, "wall")
    monkeypatch.setenv("PANDOK_MODELS_FOLDER", str(models))
    command = Command(tmp_path / "data", monkeypatch)
    command.done("sites", "add", "hanoi-01", *SITE)
    return command


def rows(pandok: Command, package: str = "trial") -> list[tuple[object, object, bool]]:
    """Return what every release of a package showed, by whom, and whether it has ended; oldest first."""
    found = [row for row in pandok.rows("release") if row["package"] == package]
    return [(row["shows"], row["released_by"], row["until"] is not None) for row in found]


def test_a_new_site_is_served_by_everything_but_experiments(pandok: Command) -> None:
    serving = {row["package"] for row in pandok.rows("release")}

    assert {"trial", "wall"} <= serving
    assert "trial_only" not in serving
    assert rows(pandok) == [([], "sites add", False)]


def test_experiments_are_shown_and_hidden_and_every_state_stays_on_record(pandok: Command) -> None:
    shown = pandok.done("releases", "show", "hanoi-01", "trial", "finding_1")
    pandok.done("releases", "show", "hanoi-01", "trial", "finding_1")
    hidden = pandok.done("releases", "hide", "hanoi-01", "trial", "finding_1")

    assert "finding_1: shown; AUROC 0.750 (0.700 to 0.800) on 200 films, 40 with it" in shown
    assert "finding_1: kept from readers" in hidden
    assert rows(pandok) == [
        ([], "sites add", True),
        (["finding_1"], "releases show", True),
        ([], "releases hide", False),
    ]


def test_a_package_of_experiments_serves_when_it_is_named(pandok: Command) -> None:
    pandok.done("releases", "add", "hanoi-01")
    assert rows(pandok, "trial_only") == []

    added = pandok.done("releases", "add", "hanoi-01", "trial_only", "--show", "finding_1")

    assert "finding_0: kept from readers; not tested on films of known outcome" in added
    assert rows(pandok, "trial_only") == [(["finding_1"], "releases add", False)]
    assert "trial_only 1.0.0" in pandok.done("releases", "list")
    assert "shows finding_1" in pandok.done("releases", "list")
    assert "finding_1: shown" in pandok.done("releases", "list", "--outputs")


def test_adding_again_keeps_what_is_shown(pandok: Command) -> None:
    pandok.done("releases", "show", "hanoi-01", "trial", "finding_1")

    pandok.done("releases", "add", "hanoi-01")

    assert rows(pandok)[-1] == (["finding_1"], "releases show", False)


def test_another_version_begins_with_nothing_experimental_shown(pandok: Command, tmp_path: Path) -> None:
    pandok.done("releases", "show", "hanoi-01", "trial", "finding_1")
    (tmp_path / "models" / "trial").rename(tmp_path / "older")
    write_package(tmp_path / "models", "trial", experimental=(1,), gate="wall", version="1.1.0")
    refused = pandok("releases", "show", "hanoi-01", "trial", "finding_1")

    pandok.done("releases", "add", "hanoi-01")

    assert refused.returncode == 1
    assert "does not serve hanoi-01" in refused.stderr
    assert rows(pandok)[-1] == ([], "releases add", False)


def test_a_package_can_be_taken_back(pandok: Command) -> None:
    assert "serves it no longer" in pandok.done("releases", "end", "hanoi-01", "trial")

    assert rows(pandok) == [([], "sites add", True)]
    assert pandok("releases", "end", "hanoi-01", "trial").returncode == 1


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("show", "hanoi-01", "trial", "finding_0"), "no experimental finding of trial; it has finding_1"),
        (("show", "hanoi-01", "trial", "mass"), "no experimental finding"),
        (("show", "hanoi-01", "nothing", "mass"), "there is no package nothing here"),
        (("show", "hanoi-01", "trial_only", "finding_0"), "does not serve hanoi-01"),
        (("show", "nowhere", "trial", "finding_1"), "no such site"),
        (("add", "hanoi-01", "--show", "finding_1"), "--show goes with one package"),
        (("add", "hanoi-01", "nothing"), "there is no package nothing here"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_words(pandok: Command, arguments: tuple[str, ...], word: str) -> None:
    before = pandok.rows("release")

    result = pandok("releases", *arguments)

    assert result.returncode == 1
    assert word in result.stderr
    assert pandok.rows("release") == before
