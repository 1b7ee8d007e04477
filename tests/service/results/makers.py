"""Packages, runs and validators for the tests of this room."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset
from sqlalchemy import insert, select

from models.package import AppliesTo, Calibration, Evidence, ModelPackage, Names, OperatingPoint, Output
from preprocessing.header import InstanceHeader, from_json
from preprocessing.recipes import Placement
from service import tables
from service.inference.plan import shown_findings
from service.results import records
from service.results.findings import judge_findings
from service.workspace import Workspace
from tests.factories import Parts, make_radiograph

PLAIN = Calibration("platt", 1.0, 0.0, "1")
BALANCED = OperatingPoint("balanced", 0.5, 0.9, 0.9, "validation")
TESTED = Evidence(0.75, 0.7, 0.8, 200, 40, "test films")


def make_output(channel: int, finding: str, **changed: Any) -> Output:
    """Return an output that is present at probability 0.5 and above, that is from a raw score of 0 on."""
    values: dict[str, Any] = {
        "channel": channel,
        "finding": finding,
        "code_value": "112001",
        "code_scheme": "DCM",
        "code_meaning": "Opacity",
        "names": Names(finding.replace("_", " "), "폐 음영", "Mờ phổi", "Затемнение"),
        "calibration": PLAIN,
        "operating_point": BALANCED,
        "raise_point": BALANCED,
        "priority_class": 2,
        "min_age_years": None,
        "max_age_years": None,
        "experimental": False,
        "evidence": None,
    }
    return Output(**{**values, **changed})


def make_experiment(channel: int, finding: str, **changed: Any) -> Output:
    """Return an output that readers see only where a release shows it."""
    return make_output(channel, finding, **{"raise_point": None, "experimental": True, "evidence": TESTED, **changed})


def make_package(outputs: Sequence[Output] | None = None, **changed: Any) -> ModelPackage:
    """Return a package of two outputs, one of them only for adults."""
    values: dict[str, Any] = {
        "name": "chest_radiograph",
        "version": "1.2.0",
        "kind": "findings",
        "folder": Path("/nowhere"),
        "onnx_path": Path("/nowhere/model.onnx"),
        "sha256": "ab" * 32,
        "weights_sha256": "cd" * 32,
        "recipe": "chest_radiograph/1",
        "recipe_sha256": "ef" * 32,
        "input_shape": (1, 224, 224),
        "outputs": tuple(
            outputs
            or (
                make_output(0, "lung_opacity"),
                make_output(
                    1, "any_finding", code_value="any_finding", code_scheme="99PANDOK", code_meaning="Any finding",
                    min_age_years=18.0, priority_class=1,
                ),
            )
        ),
        "scope_classes": (),
        "scope_threshold": None,
        "gate": None,
        "applies_to": AppliesTo((), (), (), None, None),
        "has_heat_map": True,
        "intended_use": "tests",
        "licence": "Apache-2.0",
        "manufacturer": "Pandok",
    }  # fmt: skip
    return ModelPackage(**{**values, **changed})


def header_of(parts: Parts, dataset: Dataset) -> InstanceHeader:
    """Store a data set through the intake and return its header as the tables keep it."""
    assert parts.send(dataset).is_kept
    with parts.database.reading() as rx:
        row = rx.execute(
            select(tables.instance.c.header).where(tables.instance.c.sop_instance_uid == dataset.SOPInstanceUID)
        ).scalar_one()
    return from_json(row)


def heat_map(outputs: int = 2, size: int = 7, peak: tuple[int, int] = (3, 4)) -> np.ndarray[Any, np.dtype[np.float32]]:
    values = np.full((outputs, size, size), -0.2, np.float32)
    values[:, peak[0], peak[1]] = 2.0
    values[:, peak[0], peak[1] + 1] = 1.2
    return values


PLACEMENT = Placement(left=0.0, top=-8.0, scale=0.5, rows=96, columns=112)


def film_tensor() -> np.ndarray[Any, np.dtype[np.float32]]:
    ramp = np.linspace(0, 1, 224, dtype=np.float32)
    return np.ascontiguousarray((ramp[None, :] + ramp[:, None])[None] / 2)


def add_revision(parts: Parts, study_id: int, number: int = 1, attempt: int = 1) -> int:
    with parts.database.transaction() as tx:
        return int(
            tx.execute(
                insert(tables.revision)
                .values(
                    site_id=parts.site_id, study_id=study_id, number=number, state="running", settled_by="quiet",
                    settled_at=1.8e9, attempt=attempt,
                )
                .returning(tables.revision.c.id)
            ).scalar_one()
        )  # fmt: skip


def add_run(
    parts: Parts,
    package: ModelPackage,
    revision_id: int,
    instance_id: int,
    *,
    logits: Sequence[float] = (2.0, -1.0),
    outcome: str = "done",
    reason: str | None = None,
    age_years: float | None = 56.0,
    shows: Sequence[str] = (),
) -> int:
    """Write a run as inference does, its tensor and heat map in the workspace, its findings beside it."""
    workspace = Workspace(parts.settings.work_folder)
    maps = heat_map(len(package.outputs))
    shown = shown_findings(package, shows)
    with parts.database.transaction() as tx:
        revision = tx.execute(select(tables.revision).where(tables.revision.c.id == revision_id)).mappings().one()
        run_id = int(
            tx.execute(
                insert(tables.run)
                .values(
                    site_id=revision["site_id"], study_id=revision["study_id"], revision_id=revision_id,
                    instance_id=instance_id, package=package.name, package_version=package.version,
                    package_sha256=package.sha256, recipe=package.recipe, outcome=outcome, reason=reason, notes=[],
                    provider="CPUExecutionProvider", shown=list(shown),
                    tensor_sha256=workspace.put_tensor(film_tensor()) if outcome == "done" else None,
                    heat_map_sha256=workspace.put_heat_map(maps, PLACEMENT) if outcome == "done" else None,
                    started_at=1.8e9, finished_at=1.8e9 + 1.5,
                )
                .returning(tables.run.c.id)
            ).scalar_one()
        )  # fmt: skip
        if outcome == "done":
            judged = judge_findings(
                package,
                np.array(logits, np.float32),
                age_years=age_years,
                unknown_age_as_adult=False,
                shown=shown,
                heat_map=maps,
                placement=PLACEMENT,
            )
            records.save_findings(tx, run_id=run_id, findings=judged)
    return run_id


def add_scored_study(
    parts: Parts,
    package: ModelPackage,
    *,
    images: int = 1,
    logits: Sequence[float] = (2.0, -1.0),
    shows: Sequence[str] = (),
    **attributes: Any,
) -> int:
    """Store a study of some radiographs through the intake, score it by hand, and return its id."""
    first = make_radiograph(**attributes)
    for number in range(images):
        image = first if number == 0 else make_radiograph(seed=number, **attributes)
        image.StudyInstanceUID, image.SeriesInstanceUID = first.StudyInstanceUID, first.SeriesInstanceUID
        image.InstanceNumber = number + 1
        assert parts.send(image).is_kept
    with parts.database.reading() as rx:
        rows = rx.execute(
            select(tables.instance.c.study_id, tables.instance.c.id)
            .join(tables.study, tables.study.c.id == tables.instance.c.study_id)
            .where(tables.study.c.study_instance_uid == first.StudyInstanceUID)
            .order_by(tables.instance.c.id)
        ).all()
    revision_id = add_revision(parts, rows[0].study_id)
    for row in rows:
        add_run(parts, package, revision_id, row.id, logits=logits, shows=shows)
    return int(rows[0].study_id)


def dciodvfy_errors(content: bytes, folder: Path) -> list[str]:
    """Return what dciodvfy calls an error in a file."""
    path = folder / "checked.dcm"
    path.write_bytes(content)
    program = Path(sys.executable).parent / "dciodvfy"
    # Latin-1: the checker echoes attribute values as bytes.
    said = subprocess.run([str(program), str(path)], capture_output=True, check=False, timeout=60).stderr
    return [line for line in said.decode("latin-1").splitlines() if line.startswith("Error")]
