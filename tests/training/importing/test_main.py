"""The importing process: what it prints, and how it ends."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.training.importing.bundles import classifier, write_bundle
from training.importing.__main__ import main


def run(monkeypatch: pytest.MonkeyPatch, source: Path, into: Path) -> int:
    request = {"kind": "bundle", "source": str(source), "into": str(into)}
    monkeypatch.setattr(sys, "argv", ["importing", json.dumps(request)])
    return main()


def test_an_import_says_where_it_is_and_how_to_use_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_bundle(tmp_path / "bundle", classifier(last="Sigmoid"))

    assert run(monkeypatch, source, tmp_path / "packages") == 0

    said = capsys.readouterr().out
    assert "findings: 2, of them experimental: 2" in said
    assert f"PANDOK_MODELS_FOLDER={tmp_path / 'packages'} pandok releases add SITE shadow_classifier" in said


def test_an_open_question_is_asked_with_a_draft_of_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_bundle(tmp_path / "bundle", classifier())

    assert run(monkeypatch, source, tmp_path / "packages") == 1

    said = capsys.readouterr()
    assert "does not say: scores" in said.err
    assert json.loads(said.out) == {"scores": "logits"}


def test_a_folder_that_cannot_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("x")

    assert run(monkeypatch, write_bundle(tmp_path / "bundle", classifier(last="Sigmoid")), tmp_path / "file") == 1

    assert f"{tmp_path / 'file'}: File exists" in capsys.readouterr().err
