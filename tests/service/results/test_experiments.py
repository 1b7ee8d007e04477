"""Experimental findings in SR and overlay: nowhere until a release shows them, then marked and with their tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from highdicom.sr import srread
from PIL import ImageFont
from pydicom import Dataset, dcmread
from sqlalchemy import select

from models.package import Calibration, ModelPackage
from service import tables
from service.results.findings import Finding, judge_findings
from service.results.legend import legend
from service.results.overlay import MARGIN, TEXT_WIDTH, strongest
from service.results.publish import publish_revision
from service.workspace import Workspace
from tests.factories import Parts, open_parts
from tests.service.results.makers import (
    add_revision,
    add_run,
    add_scored_study,
    dciodvfy_errors,
    make_experiment,
    make_output,
    make_package,
)

PRESENT, ABSENT, UNDETERMINED = "52101004", "272519000", "373068000"
RAW = Calibration("none", 1.0, 0.0, "1")


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    with open_parts(tmp_path) as opened:
        yield opened


def trial() -> ModelPackage:
    return make_package((make_output(0, "opacity"), make_experiment(1, "mass"), make_experiment(2, "nodule")))


def publish(parts: Parts, package: ModelPackage, study_id: int) -> list[Path]:
    """Publish a study's results and return their files, in the order of their rows."""
    publish_revision(
        parts.database, parts.archive, {package.name: package}, study_id=study_id, revision=1,
        workspace=Workspace(parts.settings.work_folder), clock=parts.clock,
    )  # fmt: skip
    t = tables.instance
    with parts.database.reading() as rx:
        hashes = rx.execute(select(t.c.content_sha256).where(t.c.is_result).order_by(t.c.id)).scalars().all()
    return [parts.archive.path(parts.site_id, sha256) for sha256 in hashes]


def report(paths: list[Path]) -> dict[str, Dataset]:
    """Return the report's groups by finding."""
    [path] = [path for path in paths if dcmread(path).Modality == "SR"]
    found = srread(path).content.get_image_measurement_groups()
    return {group.tracking_identifier.partition("/")[2]: group[0] for group in found}


def values(group: Any, code_value: str) -> list[Any]:
    """Return the content items of one concept, at any depth."""
    found = []
    for item in group.ContentSequence:
        if item.ConceptNameCodeSequence[0].CodeValue == code_value:
            found.append(item)
        if "ContentSequence" in item:
            found += values(item, code_value)
    return found


def presence(group: Dataset) -> str:
    return str(values(group, "121052")[0].ConceptCodeSequence[0].CodeValue)


def judged(package: ModelPackage, *logits: float) -> tuple[Finding, ...]:
    return judge_findings(package, np.array(logits, np.float32), age_years=40.0, unknown_age_as_adult=False)


def test_what_is_kept_from_readers_is_in_no_result(parts: Parts) -> None:
    package = trial()
    study_id = add_scored_study(parts, package, logits=(1.0, 4.0, 4.0))

    paths = publish(parts, package, study_id)

    assert list(report(paths)) == ["opacity"]
    assert not any(word in path.read_bytes() for path in paths for word in (b"mass", b"nodule"))


def test_a_shown_experiment_is_marked_and_tells_its_tests(parts: Parts, tmp_path: Path) -> None:
    package = trial()
    study_id = add_scored_study(parts, package, logits=(1.0, 4.0, 4.0), shows=("nodule",))

    paths = publish(parts, package, study_id)

    groups = report(paths)
    assert list(groups) == ["opacity", "nodule"]
    assert [item.TextValue for item in values(groups["nodule"], "121106")] == [
        "experimental: raises no priority",
        "tested on 200 films, 40 with the finding (test films): AUROC 0.750, 95 % interval 0.700 to 0.800",
    ]
    assert values(groups["opacity"], "121106") == []
    assert [dciodvfy_errors(path.read_bytes(), tmp_path) for path in paths] == [[], []]


def test_an_experiment_that_flags_nothing_claims_no_absence(parts: Parts) -> None:
    package = trial()
    study_id = add_scored_study(parts, package, logits=(-4.0, -4.0, 4.0), shows=("mass", "nodule"))

    groups = report(publish(parts, package, study_id))

    assert {finding: presence(group) for finding, group in groups.items()} == {
        "opacity": ABSENT, "mass": UNDETERMINED, "nodule": PRESENT,
    }  # fmt: skip
    assert any("does not say that the finding is absent" in item.TextValue for item in values(groups["mass"], "121106"))


def test_an_uncalibrated_score_is_not_called_a_probability(parts: Parts, tmp_path: Path) -> None:
    package = make_package((make_experiment(0, "mass", calibration=RAW, evidence=None),))
    study_id = add_scored_study(parts, package, logits=(1.0,), shows=("mass",))

    paths = publish(parts, package, study_id)

    group = report(paths)["mass"]
    assert values(group, "122157") == []
    assert float(values(group, "uncalibrated")[0].MeasuredValueSequence[0].NumericValue) == pytest.approx(0.731059)
    assert [item.TextValue for item in values(group, "121106")] == [
        "experimental: raises no priority",
        "not calibrated: the score ranks images and is no probability",
        "not tested on films of known outcome",
    ]
    assert [dciodvfy_errors(path.read_bytes(), tmp_path) for path in paths] == [[], []]


def test_a_report_of_experiments_alone_calls_nothing_abnormal_and_nothing_free_of_findings(parts: Parts) -> None:
    package = make_package((make_experiment(0, "mass"),))
    study_id = add_scored_study(parts, package, logits=(1.0,), shows=("mass",))

    [path] = [path for path in publish(parts, package, study_id) if dcmread(path).Modality == "SR"]

    whole = dcmread(path)
    assert values(whole, "111017")[0].ConceptCodeSequence[0].CodeValue == "111242"
    assert values(whole, "111413")[0].ConceptCodeSequence[0].CodeValue == "371934000"


def test_a_package_that_shows_nothing_publishes_nothing(parts: Parts) -> None:
    package = make_package((make_experiment(0, "mass"),))
    study_id = add_scored_study(parts, package, logits=(4.0,))

    assert publish(parts, package, study_id) == []


def test_a_failed_run_tells_only_of_what_readers_see(parts: Parts) -> None:
    package = trial()
    study_id = add_scored_study(parts, package, logits=(1.0, 4.0, 4.0))
    with parts.database.transaction() as tx:
        for table in (tables.finding, tables.run, tables.revision):
            tx.execute(table.delete())
        instance_id = tx.execute(select(tables.instance.c.id)).scalar_one()
    revision_id = add_revision(parts, study_id)
    add_run(parts, package, revision_id, instance_id, outcome="failed", reason="model_failed", shows=("mass",))

    assert list(report(publish(parts, package, study_id))) == ["opacity", "mass"]


def test_the_heat_map_is_of_a_validated_finding_before_any_experiment(parts: Parts) -> None:
    package = trial()
    study_id = add_scored_study(parts, package, logits=(0.1, 4.0, 2.0), shows=("mass", "nodule"))

    groups = report(publish(parts, package, study_id))

    assert [finding for finding, group in groups.items() if values(group, "130401")] == ["opacity"]
    chosen = [strongest(judged(package, *logits)) for logits in ((0.1, 4.0, 2.0), (-1.0, 2.0, 4.0), (-1.0, -1.0, -1.0))]
    assert [one.finding if one else None for one in chosen] == ["opacity", "nodule", None]


def test_fourteen_experiments_fit_beside_the_film() -> None:
    outputs = [make_output(0, "any_finding")]
    outputs += [make_experiment(channel, f"pleural_thickening_{channel}") for channel in range(1, 15)]
    package = make_package(outputs)

    lines = legend(package, judged(package, *[2.0] * 10, *[-2.0] * 5), None)

    words = " ".join(" ".join(lines).split())
    assert "pleural thickening 1 0.88 (AUROC 0.70-0.80)" in words
    assert "Experimental, not flagged: pleural thickening 10, pleural thickening 11" in words
    font = ImageFont.load_default(size=17)
    assert all(font.getlength(line) <= TEXT_WIDTH - 2 * MARGIN for line in lines)
    assert len(lines) <= 34  # 768 rows of a wide film hold so many


def test_a_picture_says_that_a_score_is_uncalibrated_and_that_nobody_tested_it() -> None:
    package = make_package((make_experiment(0, "mass", calibration=RAW, evidence=None),))
    findings = judged(package, 1.0)

    words = " ".join(" ".join(legend(package, findings, findings[0])).split())

    assert "Experimental, present: mass uncalibrated 0.73 (not tested)" in words
    assert "Class activation drawn for: mass (experimental)" in words


def test_an_experiment_out_of_its_ages_is_not_evaluated_and_nothing_else(parts: Parts) -> None:
    package = make_package((make_output(0, "opacity"), make_experiment(1, "mass", min_age_years=60.0)))
    study_id = add_scored_study(parts, package, logits=(1.0, 4.0), shows=("mass",))

    group = report(publish(parts, package, study_id))["mass"]

    assert presence(group) == "373121007"
    assert values(group, "121106")[0].TextValue == "not evaluated: age out of range"
    assert values(group, "122157") == []
