"""One run → calibration, figures, proofs and pages; and that test films are looked at only when it is said."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from preprocessing.recipes import RECIPES
from tests.training.public_sets import box_row, kermany_row, nih_row, write_sets
from training.calibrate import load_calibration
from training.cases import ANY_FINDING, FINDINGS, Case
from training.evaluate import LOOKS, evaluate_run
from training.evaluate_record import load_evaluation
from training.public_sets import read_cases
from training.runs import RECORD, WEIGHTS
from training.train import TrainingConfig, make_network

RECIPE = RECIPES["chest_radiograph/1"]
SPLITS = ("train", "val", "test")


def made_sets(folder: Path) -> Path:
    return write_sets(
        folder,
        children=[kermany_row(f"{s}{n}.png", f"{s}{n}", s, n % 2) for s in SPLITS for n in range(6)],
        adults=[nih_row("a.png", "nih-a", "train", "no_finding"), nih_row("b.png", "nih-b", "train", "pneumonia")],
        more_adults=[
            nih_row(f"{s}{n}.png", f"nih-{s}{n}", s, ("no_finding", "pneumonia", "mass", "pneumothorax")[n % 4])
            for s in SPLITS
            for n in range(8)
        ],
        more_boxes=[box_row(f"{s}2.png", "Mass", 90.0, 90.0, 80.0, 80.0) for s in SPLITS],
    )


def made_run(folder: Path) -> Path:
    """A network that has learned nothing, as a run's folder."""
    torch.manual_seed(0)
    config = replace(TrainingConfig(), pretrained=False)
    folder.mkdir()
    torch.save(make_network(config).state_dict(), folder / WEIGHTS)
    (folder / RECORD).write_text(json.dumps({"config": asdict(config), "recipe": RECIPE.name}))
    return folder


def elsewhere(cases: list[Case]) -> list[Case]:
    return [replace(case, data_set="far_away", patient_id="far") for case in cases if case.data_set.endswith("more")][
        :4
    ]


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_look_at_val_opens_no_test_film_and_a_final_one_is_logged(tmp_path: Path) -> None:
    data, run = made_sets(tmp_path / "data"), made_run(tmp_path / "run")
    cases, lines = read_cases(data), []
    for case in cases:
        if case.split == "test" and case.member is None:
            case.image.rename(case.image.with_suffix(".away"))

    on_val = evaluate_run(run, cases, RECIPE, final=False, show=lines.append, elsewhere=elsewhere(cases))

    assert on_val.elsewhere == ()
    assert not (run / LOOKS).exists()
    assert {path.name for path in run.glob("evaluation*")} == {
        "evaluation_val.json", "evaluation_val.html", "evaluation_val_without_films.html",
    }  # fmt: skip
    assert [row.films for row in on_val.pointing if row.heat_map == "mass"] == [1]

    for case in cases:
        if case.split == "test" and case.member is None:
            case.image.with_suffix(".away").rename(case.image)
    readings = load_calibration(run)
    for look in (1, 2):
        final = evaluate_run(run, cases, RECIPE, final=True, show=lines.append, elsewhere=elsewhere(cases))
        assert final.looks_at_test == look

    assert load_calibration(run) == readings  # chosen on val, whatever the test films look like
    assert load_evaluation(run / "evaluation.json") == final
    assert set(final.over_all()) <= set(FINDINGS)
    assert final.over_all()[ANY_FINDING].films == 8
    assert [row.films for row in final.pointing if row.heat_map == "mass"] == [2]  # val and test, never train
    assert {row.data_set for row in final.elsewhere} == {"far_away"}
    looks = (run / LOOKS).read_text().splitlines()
    assert len(looks) == 2
    assert all(final.weights_sha256 in look for look in looks)
    assert any(ANY_FINDING in line for line in lines)
