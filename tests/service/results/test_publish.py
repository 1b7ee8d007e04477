"""A scored revision → SR and overlay beside the study."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from highdicom.sr import Comprehensive3DSR, srread
from PIL import ImageFont
from pydicom import dcmread
from sqlalchemy import func, select

from models.package import ModelPackage, Names
from service import tables
from service.results import records
from service.results.dicom_object import ResultKey
from service.results.findings import Finding, Presence, judge_findings
from service.results.overlay import MARGIN, TEXT_WIDTH, Film, build_overlay, draw, heat_map_png, legend
from service.results.publish import PackageMissing, publish_revision
from service.workspace import NotInWorkspace, Workspace
from tests.factories import Parts, open_parts
from tests.service.results.makers import (
    PLACEMENT,
    add_revision,
    add_run,
    add_scored_study,
    dciodvfy_errors,
    film_tensor,
    heat_map,
    make_output,
    make_package,
)


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    with open_parts(tmp_path) as opened:
        yield opened


def publish(parts: Parts, package: ModelPackage, study_id: int, revision: int = 1) -> None:
    publish_revision(
        parts.database, parts.archive, {package.name: package}, study_id=study_id, revision=revision,
        workspace=Workspace(parts.settings.work_folder), clock=parts.clock,
    )  # fmt: skip


def results(parts: Parts, study_id: int) -> list[Path]:
    """Return the published files, in the order of their rows."""
    t = tables.instance
    with parts.database.reading() as rx:
        rows = rx.execute(
            select(t.c.content_sha256).where(t.c.study_id == study_id, t.c.is_result).order_by(t.c.id)
        ).all()
    return [parts.archive.path(parts.site_id, row.content_sha256) for row in rows]


def report_of(parts: Parts, study_id: int) -> Comprehensive3DSR:
    return srread([path for path in results(parts, study_id) if dcmread(path).Modality == "SR"][-1])


def groups(report: Comprehensive3DSR) -> list[Any]:
    return list(report.content.get_image_measurement_groups())


def concept_values(items: Any, code_value: str) -> list[Any]:
    """Return the content items of one concept, at any depth."""
    found = []
    for item in items:
        if item.ConceptNameCodeSequence[0].CodeValue == code_value:
            found.append(item)
        found += concept_values(item.get("ContentSequence", []), code_value)
    return found


def test_a_scored_study_gets_one_report_and_one_overlay_per_image(parts: Parts) -> None:
    package = make_package()
    study_id = add_scored_study(parts, package, images=2)

    publish(parts, package, study_id)

    assert [dcmread(path).Modality for path in results(parts, study_id)] == ["OT", "OT", "SR"]


def test_results_are_valid_for_dciodvfy(parts: Parts, tmp_path: Path) -> None:
    package = make_package()
    study_id = add_scored_study(parts, package, images=2, PatientName="김^민준=金^民俊", PatientID="환자 1")

    publish(parts, package, study_id)

    assert [dciodvfy_errors(path.read_bytes(), tmp_path) for path in results(parts, study_id)] == [[], [], []]


@pytest.mark.parametrize(
    "attributes",
    [
        {
            "PatientName": "",
            "PatientID": "",
            "PatientBirthDate": "",
            "PatientSex": "",
            "StudyDate": "",
            "StudyTime": "",
        },
        {"PatientSex": "female", "PatientAge": "81", "StudyDate": "2026", "StudyTime": "noon"},
        {"PatientName": "Nguyễn^Thị Bích", "BodyPartExamined": "KNEE", "Laterality": "L"},
        {"LossyImageCompression": "01"},
    ],
)
@pytest.mark.filterwarnings("ignore:Invalid value")  # pydicom warns of what this test sends on purpose
@pytest.mark.filterwarnings("ignore:The value length")
def test_results_of_odd_headers_are_valid_for_dciodvfy(
    parts: Parts, tmp_path: Path, attributes: dict[str, Any]
) -> None:
    package = make_package()
    study_id = add_scored_study(parts, package, **attributes)

    publish(parts, package, study_id)

    assert [dciodvfy_errors(path.read_bytes(), tmp_path) for path in results(parts, study_id)] == [[], []]


def test_publishing_again_changes_nothing(parts: Parts) -> None:
    package = make_package()
    study_id = add_scored_study(parts, package)
    publish(parts, package, study_id)
    before = {path: path.read_bytes() for path in results(parts, study_id)}
    instances = _count(parts)

    publish(parts, package, study_id)

    assert {path: path.read_bytes() for path in results(parts, study_id)} == before
    assert _count(parts) == instances


def test_the_same_inputs_give_the_same_bytes(parts: Parts) -> None:
    package = make_package()
    study_id = add_scored_study(parts, package, images=2)
    publish(parts, package, study_id)
    first = [path.read_bytes() for path in results(parts, study_id)]
    _forget_results(parts, study_id)

    publish(parts, package, study_id)

    assert [path.read_bytes() for path in results(parts, study_id)] == first


def test_stored_and_published_files_begin_with_zeros(parts: Parts) -> None:
    package = make_package()
    study_id = add_scored_study(parts, package)

    publish(parts, package, study_id)

    assert {path.read_bytes()[:132] for path in results(parts, study_id)} == {bytes(128) + b"DICM"}


def test_the_report_says_what_it_is(parts: Parts) -> None:
    package = make_package()
    study_id = add_scored_study(parts, package, PatientName="Ким^Анна", AccessionNumber="A-7")

    publish(parts, package, study_id)

    report = report_of(parts, study_id)
    assert report.CompletionFlag == "COMPLETE"
    assert report.VerificationFlag == "UNVERIFIED"
    assert report.PreliminaryFlag == "PRELIMINARY"
    assert report.SeriesDescription == "AI result - not a report - chest_radiograph 1.2.0"
    assert report.SpecificCharacterSet == "ISO_IR 192"
    assert (report.PatientName, report.PatientID, report.AccessionNumber) == ("Ким^Анна", "PHANTOM-1", "A-7")
    assert (report.SoftwareVersions, report.DeviceSerialNumber) == ("1.2.0", package.sha256)
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"


def test_times_are_told_at_the_place_of_the_study(parts: Parts) -> None:
    package = make_package()
    study_id = add_scored_study(parts, package, StudyTime="101500")

    publish(parts, package, study_id)

    # The run ended at 2027-01-15 08:00:01 UTC; the site is in Viet Nam, whose time Study Time is told in.
    report = report_of(parts, study_id)
    assert (report.ContentDate, report.ContentTime) == ("20270115", "150001")
    assert (report.StudyTime, report.TimezoneOffsetFromUTC) == ("101500", "+0700")


def test_every_output_of_every_image_has_its_own_group(parts: Parts) -> None:
    package = make_package()
    study_id = add_scored_study(parts, package, images=2)

    publish(parts, package, study_id)

    found = groups(report_of(parts, study_id))
    assert [group.tracking_identifier for group in found] == [
        "chest_radiograph/lung_opacity", "chest_radiograph/any_finding",
        "chest_radiograph/lung_opacity", "chest_radiograph/any_finding",
    ]  # fmt: skip
    assert [group.finding_type.value for group in found[:2]] == ["112001", "any_finding"]
    assert len({group.tracking_uid for group in found}) == 4


def test_a_group_tells_probability_decision_and_algorithm(parts: Parts) -> None:
    package = make_package()
    study_id = add_scored_study(parts, package)

    publish(parts, package, study_id)

    present, absent = [group[0].ContentSequence for group in groups(report_of(parts, study_id))]
    measured = concept_values(present, "122157")[0].MeasuredValueSequence[0]
    assert float(measured.NumericValue) == pytest.approx(0.880797)
    assert measured.MeasurementUnitsCodeSequence[0].CodeValue == "1"
    assert concept_values(present, "121052")[0].ConceptCodeSequence[0].CodeValue == "52101004"
    assert concept_values(absent, "121052")[0].ConceptCodeSequence[0].CodeValue == "272519000"
    parameters = [item.TextValue for item in concept_values(present, "111002")]
    assert {"threshold=0.5", f"preproc=sha256:{'ef' * 32}", f"weights=sha256:{'cd' * 32}"} <= set(parameters)
    assert concept_values(present, "111000")[0].ConceptCodeSequence[0].CodeValue == "123110"
    assert len(concept_values(present, "130401")) == 1
    assert len(concept_values(absent, "130401")) == 0


def test_an_output_out_of_its_ages_is_reported_as_not_evaluated(parts: Parts) -> None:
    package = make_package()
    study_id = add_scored_study(parts, package)
    _forget_findings(parts)
    revision_id, instance_id = _first(parts, study_id)
    add_run(parts, make_package(name="other"), revision_id, instance_id, age_years=4.0)

    publish(parts, package, study_id)

    adult = groups(report_of(parts, study_id))[1][0].ContentSequence
    assert concept_values(adult, "121052")[0].ConceptCodeSequence[0].CodeValue == "373121007"
    assert concept_values(adult, "121106")[0].TextValue == "not evaluated: age out of range"
    assert concept_values(adult, "122157") == []


@pytest.mark.parametrize(
    ("second", "logits", "summary", "overall"),
    [
        ("done", (2.0, -1.0), "111242", "263654008"),
        ("done", (-2.0, -1.0), "111241", "371934000"),
        ("failed", (2.0, -1.0), "111244", "263654008"),
        ("failed", (-2.0, -1.0), "111243", "371934000"),
    ],
)
def test_the_summary_tells_which_runs_succeeded(
    parts: Parts, second: str, logits: tuple[float, float], summary: str, overall: str
) -> None:
    package = make_package()
    study_id = _two_images(parts)
    revision_id = add_revision(parts, study_id)
    first, other = _instances(parts, study_id)
    add_run(parts, package, revision_id, first, logits=logits)
    add_run(parts, package, revision_id, other, logits=logits, outcome=second, reason=_reason(second))

    publish(parts, package, study_id)

    report = report_of(parts, study_id)
    assert concept_values(report.ContentSequence, "111017")[0].ConceptCodeSequence[0].CodeValue == summary
    assert concept_values(report.ContentSequence, "111413")[0].ConceptCodeSequence[0].CodeValue == overall


def test_a_package_that_failed_everywhere_says_so(parts: Parts, tmp_path: Path) -> None:
    package = make_package()
    study_id = _two_images(parts)
    revision_id = add_revision(parts, study_id)
    for instance_id in _instances(parts, study_id):
        add_run(parts, package, revision_id, instance_id, outcome="failed", reason="model_failed")

    publish(parts, package, study_id)

    [path] = results(parts, study_id)
    report = srread(path)
    assert concept_values(report.ContentSequence, "111017")[0].ConceptCodeSequence[0].CodeValue == "111245"
    assert {item.TextValue for item in concept_values(report.ContentSequence, "121106")} == {
        "not evaluated: model failed"
    }
    assert dciodvfy_errors(path.read_bytes(), tmp_path) == []


def test_a_run_that_evaluated_nothing_is_never_without_findings(parts: Parts) -> None:
    package = make_package((make_output(0, "any_finding", min_age_years=18.0),))
    study_id = _two_images(parts)
    revision_id = add_revision(parts, study_id)
    for instance_id in _instances(parts, study_id):
        add_run(parts, package, revision_id, instance_id, logits=(2.0,), age_years=10.0)

    publish(parts, package, study_id)

    report = report_of(parts, study_id)
    assert concept_values(report.ContentSequence, "111017")[0].ConceptCodeSequence[0].CodeValue == "111245"


def test_a_package_that_did_not_apply_publishes_nothing(parts: Parts) -> None:
    package = make_package()
    study_id = _two_images(parts)
    revision_id = add_revision(parts, study_id)
    for instance_id in _instances(parts, study_id):
        add_run(parts, package, revision_id, instance_id, outcome="not_applicable", reason="lateral_view")

    publish(parts, package, study_id)

    assert results(parts, study_id) == []


def test_the_evidence_lists_each_image_and_each_overlay(parts: Parts) -> None:
    package = make_package()
    study_id = add_scored_study(parts, package, images=2)

    publish(parts, package, study_id)

    evidence = {uid for _, _, uid, _ in report_of(parts, study_id).get_evidence()}
    with parts.database.reading() as rx:
        images = set(
            rx.execute(
                select(tables.instance.c.sop_instance_uid).where(
                    tables.instance.c.sop_class_uid != "1.2.840.10008.5.1.4.1.1.88.34"
                )
            ).scalars()
        )
    assert evidence == images


def test_a_later_revision_points_to_the_report_before(parts: Parts) -> None:
    package = make_package()
    study_id = add_scored_study(parts, package)
    publish(parts, package, study_id)
    before = report_of(parts, study_id)
    second = add_revision(parts, study_id, number=2)
    add_run(parts, package, second, _instances(parts, study_id)[0])

    publish(parts, package, study_id, revision=2)

    after = report_of(parts, study_id)
    assert after.SOPInstanceUID != before.SOPInstanceUID
    referenced = after.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert referenced.ReferencedSOPInstanceUID == before.SOPInstanceUID
    tracked = [[group.tracking_uid for group in groups(report)] for report in (before, after)]
    assert tracked[0] == tracked[1]


def test_results_stand_apart_from_what_was_received(parts: Parts) -> None:
    package = make_package()
    study_id = add_scored_study(parts, package)

    publish(parts, package, study_id)

    with parts.database.reading() as rx:
        study = rx.execute(select(tables.study).where(tables.study.c.id == study_id)).mappings().one()
        series = rx.execute(select(tables.series).where(tables.series.c.is_result)).mappings().all()
    assert (study["series_count"], study["instance_count"]) == (1, 1)
    assert sorted((row["modality"], row["instance_count"]) for row in series) == [("OT", 1), ("SR", 1)]


def test_the_overlay_belongs_to_the_study_and_names_its_source(parts: Parts) -> None:
    package = make_package()
    study_id = add_scored_study(parts, package, PatientID="환자 1")

    publish(parts, package, study_id)

    overlay = dcmread(results(parts, study_id)[0])
    source = _source_uid(parts, study_id)
    assert overlay.SOPClassUID == "1.2.840.10008.5.1.4.1.1.7"
    assert overlay.PatientID == "환자 1"
    assert overlay.BurnedInAnnotation == "YES"
    assert overlay.DerivationDescription
    assert overlay.SourceImageSequence[0].ReferencedSOPInstanceUID == source
    assert (overlay.SamplesPerPixel, overlay.BitsAllocated, overlay.Rows) == (3, 8, 768)


def test_a_run_by_an_unknown_package_is_not_described(parts: Parts) -> None:
    study_id = add_scored_study(parts, make_package())

    with pytest.raises(PackageMissing):
        publish(parts, make_package(sha256="00" * 32), study_id)

    assert results(parts, study_id) == []


def test_a_swept_heat_map_asks_for_the_step_before(parts: Parts) -> None:
    package = make_package()
    study_id = add_scored_study(parts, package)
    for path in parts.settings.work_folder.rglob("*.npy"):
        path.unlink()

    with pytest.raises(NotInWorkspace):
        publish(parts, package, study_id)

    assert results(parts, study_id) == []


def test_a_film_without_findings_is_drawn_without_colour() -> None:
    package = make_package()
    absent = tuple(_finding(channel, Presence.ABSENT) for channel in (0, 1))

    picture = np.asarray(draw(package, absent, Film(film_tensor(), heat_map(), PLACEMENT)))

    film = picture[100:768, :896].astype(int)
    assert (film[..., 0] == film[..., 2]).all()


def test_the_words_beside_a_film_are_whole_and_call_nothing_absent() -> None:
    names = Names("Pneumonia-like opacity (children 1–5 years)", "x", "x", "x")
    package = make_package((make_output(0, "child", names=names, max_age_years=6.0), make_output(1, "any_finding")))
    findings = judge_findings(package, np.array([2.0, -4.0], np.float32), age_years=40.0, unknown_age_as_adult=False)

    lines = legend(package, findings, None)

    words = " ".join(" ".join(lines).split())
    assert "(children 1-5 years): not evaluated: age out of range" in words
    assert "any finding: not flagged" in words
    assert "absent" not in words
    assert "This does not mean normal." in words
    font = ImageFont.load_default(size=17)
    assert all(font.getlength(line) <= TEXT_WIDTH - 2 * MARGIN for line in lines)


def test_the_overlay_of_a_lossy_film_says_lossy(parts: Parts) -> None:
    package = make_package()
    study_id = add_scored_study(parts, package)
    with parts.database.reading() as rx:
        [run] = records.findings_of(rx, study_id, 1)
    header = replace(run.header, transfer_syntax_uid="1.2.840.10008.1.2.4.51", lossy_image_compression=None)

    made = build_overlay(
        package, header, run.findings, Film(film_tensor(), None, PLACEMENT),
        key=ResultKey("0" * 32, 1, 1, package.sha256), number=1, made_at=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip

    assert made.LossyImageCompression == "01"


def test_the_colour_lies_where_the_activation_is() -> None:
    package = make_package()
    findings = (_finding(0, Presence.PRESENT), _finding(1, Presence.ABSENT))

    picture = np.asarray(draw(package, findings, Film(film_tensor(), heat_map(peak=(2, 5)), PLACEMENT)))

    # The peak's cell is rows 64..96 and columns 160..192 of the tensor; 16 rows of letter-box are cut off above.
    coloured = picture[100:768, :896, 0].astype(int) - picture[100:768, :896, 2]
    row, column = np.unravel_index(int(coloured.argmax()), coloured.shape)
    assert abs((row + 100) / 4 + 16 - 80) < 16
    assert abs(column / 4 - 176) < 24


def test_the_heat_map_png_is_transparent_where_nothing_is_activated() -> None:
    from io import BytesIO

    from PIL import Image

    content = heat_map_png(heat_map(1)[0], PLACEMENT, (224, 224))

    picture = Image.open(BytesIO(content))
    alpha = np.asarray(picture.getchannel("A"))
    assert (picture.mode, picture.size) == ("RGBA", (896, 768))
    assert alpha[0, 0] == 0
    assert alpha.max() == 140


def _finding(channel: int, presence: Presence) -> Finding:
    return Finding(
        channel=channel, finding="x", presence=presence, reason=None, probability=0.7, raw_score=1.0,
        operating_point="balanced", threshold=0.5, raises_priority=presence is Presence.PRESENT, experimental=False,
        shown=True, calibrated=True, evidence=None, place=None,
    )  # fmt: skip


def _reason(outcome: str) -> str | None:
    return "model_failed" if outcome == "failed" else None


def _two_images(parts: Parts) -> int:
    study_id = add_scored_study(parts, make_package(), images=2)
    with parts.database.transaction() as tx:
        for table in (tables.finding, tables.run, tables.revision):
            tx.execute(table.delete())
    return study_id


def _instances(parts: Parts, study_id: int) -> list[int]:
    t = tables.instance
    with parts.database.reading() as rx:
        query = select(t.c.id).where(t.c.study_id == study_id, t.c.is_result.is_(False)).order_by(t.c.id)
        return list(rx.execute(query).scalars())


def _first(parts: Parts, study_id: int) -> tuple[int, int]:
    with parts.database.reading() as rx:
        revision_id = rx.execute(
            select(tables.revision.c.id).where(tables.revision.c.study_id == study_id)
        ).scalar_one()
    return revision_id, _instances(parts, study_id)[0]


def _source_uid(parts: Parts, study_id: int) -> str:
    t = tables.instance
    with parts.database.reading() as rx:
        query = select(t.c.sop_instance_uid).where(t.c.study_id == study_id, t.c.is_result.is_(False))
        return str(rx.execute(query).scalar_one())


def _forget_results(parts: Parts, study_id: int) -> None:
    with parts.database.transaction() as tx:
        tx.execute(tables.instance.delete().where(tables.instance.c.is_result))
        tx.execute(tables.series.delete().where(tables.series.c.is_result))


def _forget_findings(parts: Parts) -> None:
    with parts.database.transaction() as tx:
        tx.execute(tables.finding.delete())
        tx.execute(tables.run.delete())


def _count(parts: Parts) -> list[int]:
    with parts.database.reading() as rx:
        return [rx.execute(select(func.count()).select_from(t)).scalar_one() for t in (tables.instance, tables.series)]
