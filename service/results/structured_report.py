"""Findings → DICOM SR: Comprehensive 3D SR with TID 1500, one TID 1501 group per image and finding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from highdicom.sr import (
    AlgorithmIdentification,
    CodeContentItem,
    CodedConcept,
    ContainerContentItem,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    ImageContentItem,
    LanguageOfContentItemAndDescendants,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom.dataset import Dataset
from pydicom.uid import Comprehensive3DSRStorage

from models.package import ModelPackage, Output
from preprocessing.header import InstanceHeader
from service.results import concepts
from service.results.dicom_object import (
    Predecessor,
    Reference,
    ResultKey,
    add_series_and_equipment,
    derived_uid,
    hierarchical_references,
    study_modules,
)
from service.results.findings import Finding, Presence, ai_priority

REPORT_CLASS = Comprehensive3DSRStorage
SERIES_NUMBER = 9901


@dataclass(frozen=True, slots=True)
class OverlayReference:
    """Where the picture of one image is, and whose activation is drawn in it."""

    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    channel: int | None


@dataclass(frozen=True, slots=True)
class AnalysedImage:
    """One image that a package was asked about; of a series that it read as one volume, its middle slice."""

    header: InstanceHeader
    findings: tuple[Finding, ...]
    """One for each output that readers see, also for a run that failed or did not apply."""
    succeeded: bool
    provider: str | None
    overlay: OverlayReference | None
    volume: tuple[InstanceHeader, ...] = ()
    """Every image of the series, when the package read it as one volume."""


def build_report(
    package: ModelPackage,
    images: Sequence[AnalysedImage],
    *,
    key: ResultKey,
    made_at: datetime,
    predecessor: Predecessor | None = None,
) -> Dataset:
    """Return the SR of one package for one study revision (STANDARDS AIR-10 to AIR-19).

    Args:
        package: Of kind `findings`.
        images: At least one, all of the same study.
        key: What the UIDs derive from.
        made_at: When the last run ended, with the offset of the place where the study was made.
        predecessor: The SR that this one takes the place of.
    """
    dataset = study_modules(images[0].header)
    dataset.SOPClassUID = REPORT_CLASS
    dataset.SOPInstanceUID = key.uid("sr")
    dataset.InstanceNumber = 1
    dataset.Modality = "SR"
    add_series_and_equipment(
        dataset,
        package,
        series_uid=key.uid("sr series"),
        series_number=SERIES_NUMBER,
        description=f"AI result - not a report - {package.name} {package.version}",
        made_at=made_at,
    )
    dataset.ReferencedPerformedProcedureStepSequence = []
    dataset.PerformedProcedureCodeSequence = []
    dataset.CompletionFlag = "COMPLETE"
    dataset.VerificationFlag = "UNVERIFIED"
    dataset.PreliminaryFlag = "PRELIMINARY"
    if any(
        output.code_scheme == concepts.PRIVATE_SCHEME or output.calibration.method == "none"
        for output in package.outputs
    ):
        dataset.CodingSchemeIdentificationSequence = [_private_scheme()]
    study_uid = images[0].header.study_instance_uid or ""
    dataset.CurrentRequestedProcedureEvidenceSequence = [hierarchical_references(study_uid, _evidence(images))]
    if predecessor is not None:
        dataset.PredecessorDocumentsSequence = [hierarchical_references(study_uid, [predecessor.reference])]
    for element in _content(package, images, key):
        dataset.add(element)
    return dataset


def _content(package: ModelPackage, images: Sequence[AnalysedImage], key: ResultKey) -> Dataset:
    outputs = {output.channel: output for output in package.outputs}
    groups = [
        _group(package, outputs[finding.channel], finding, image, key) for image in images for finding in image.findings
    ]
    root = MeasurementReport(
        observation_context=ObservationContext(
            observer_device_context=ObserverContext(
                observer_type=CodedConcept("121007", "DCM", "Device"),
                observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
                    uid=derived_uid(f"device/{package.sha256}"),
                    name="Pandok",
                    manufacturer_name=package.manufacturer,
                    model_name=f"{package.name} {package.version}",
                    serial_number=package.sha256,
                ),
            )
        ),
        procedure_reported=concepts.PROCEDURES.get(images[0].header.modality or "", concepts.ANY_PROCEDURE),
        imaging_measurements=groups,
        title=CodedConcept("126000", "DCM", "Imaging Measurement Report"),
        language_of_content_item_and_descendants=LanguageOfContentItemAndDescendants(
            CodedConcept("en-US", "RFC5646", "English (United States)")
        ),
    )[0]
    root.ContentSequence.append(_summary(package, images))
    content: Dataset = root
    return content


def _group(package: ModelPackage, output: Output, finding: Finding, image: AnalysedImage, key: ResultKey) -> Dataset:
    """One TID 1501 group: what is sought, whether it is there, how sure, by which algorithm, on which image."""
    name = concepts.PROBABILITY if finding.calibrated else concepts.UNCALIBRATED_SCORE
    image_uid = image.header.sop_instance_uid or ""
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            identifier=f"{package.name}/{output.finding}",
            # Without the revision: the same finding on the same image keeps its UID when the study is run again.
            uid=derived_uid(f"tracking/{key.study_public_id}/{image_uid}/{package.name}/{output.finding}"),
        ),
        finding_category=concepts.FINDING_CATEGORY,
        finding_type=CodedConcept(output.code_value, output.code_scheme, output.code_meaning[:64]),
        algorithm_id=_algorithm(package, output, image.provider),
        measurements=None
        if finding.probability is None
        else [Measurement(name=name, value=round(finding.probability, 6), unit=concepts.NO_UNITS)],
        qualitative_evaluations=[QualitativeEvaluation(concepts.PRESENCE, concepts.PRESENCE_VALUES[_claim(finding)])],
        source_images=[SourceImageForMeasurementGroup(image.header.sop_class_uid, image_uid)],
    )
    contains = RelationshipTypeValues.CONTAINS
    for words in [*_remarks(output, finding), *_read_as(image)]:
        group[0].ContentSequence.append(TextContentItem(concepts.COMMENT, words, contains))
    overlay = image.overlay
    if overlay is not None and overlay.channel == finding.channel:
        group[0].ContentSequence.append(
            ImageContentItem(
                concepts.VISUAL_EXPLANATION, overlay.sop_class_uid, overlay.sop_instance_uid, None, None, contains
            )
        )
    item: Dataset = group
    return item


def _read_as(image: AnalysedImage) -> list[str]:
    if not image.volume:
        return []
    return [f"read as one volume: the {len(image.volume)} images of its series; the image named is its middle slice"]


def _claim(finding: Finding) -> Presence:
    """What a report may say of a finding: an experimental output that flags nothing has not shown its absence."""
    if finding.experimental and finding.presence is Presence.ABSENT:
        return Presence.UNDETERMINED
    return finding.presence


def _remarks(output: Output, finding: Finding) -> list[str]:
    """What a reader must know before trusting a group: why there is no answer, and how far answers were tested."""
    remarks = []
    if finding.reason is not None:
        remarks.append(f"not evaluated: {finding.reason.value.replace('_', ' ')}")
    if output.experimental:
        remarks.append("experimental: raises no priority")
    if _claim(finding) is not finding.presence:
        remarks.append("not flagged: below its operating point, which does not say that the finding is absent")
    if finding.probability is not None and not finding.calibrated:
        remarks.append("not calibrated: the score ranks images and is no probability")
    evidence = output.evidence
    if evidence is not None:
        remarks.append(
            f"tested on {evidence.films} films, {evidence.positives} with the finding ({evidence.data}): AUROC "
            f"{evidence.auroc:.3f}, 95 % interval {evidence.low:.3f} to {evidence.high:.3f}"
        )
    elif output.experimental:
        remarks.append("not tested on films of known outcome")
    return remarks


def _algorithm(package: ModelPackage, output: Output, provider: str | None) -> AlgorithmIdentification:
    """TID 4019, with everything that the probability and the decision depend on."""
    calibration = output.calibration
    return AlgorithmIdentification(
        name=package.name,
        version=package.version,
        manufacturer=package.manufacturer,
        family=concepts.FAMILY,
        parameters=[
            f"threshold={output.operating_point.threshold:g}",
            f"operating_point={output.operating_point.name}",
            f"raise_point={'none' if output.raise_point is None else format(output.raise_point.threshold, 'g')}",
            f"calibration={calibration.method}/{calibration.version}",
            f"recipe={package.recipe}",
            f"preproc=sha256:{package.recipe_sha256}",
            f"weights=sha256:{package.weights_sha256}",
            f"package=sha256:{package.sha256}",
            f"provider={provider or 'none'}",
            f"experimental={'yes' if output.experimental else 'no'}",
        ],
    )


def _summary(package: ModelPackage, images: Sequence[AnalysedImage]) -> ContainerContentItem:
    """What became of the runs and what it means for the study: never "normal", which no package has looked for."""
    findings = [finding for image in images for finding in image.findings]
    present = [f for f in findings if f.presence is Presence.PRESENT]
    is_abnormal = any(not f.experimental for f in present)
    # A run that evaluated nothing has not succeeded "without findings": unknown is never negative.
    succeeded = [
        image.succeeded and any(f.presence is not Presence.NOT_EVALUATED for f in image.findings) for image in images
    ]
    items = [
        (
            concepts.SUMMARY,
            concepts.SUMMARIES[all(succeeded), bool(present)] if any(succeeded) else concepts.NONE_SUCCEEDED,
        ),
        (concepts.OVERALL_ASSESSMENT, concepts.ABNORMAL if is_abnormal else concepts.NORMALITY_UNDETERMINED),
    ]
    priority = ai_priority(findings, package.outputs)
    if priority in concepts.ACTIONABLE:
        items.append((concepts.FINDING, concepts.ACTIONABLE[priority]))
    container = ContainerContentItem(
        concepts.QUALITATIVE_EVALUATIONS, relationship_type=RelationshipTypeValues.CONTAINS
    )
    container.ContentSequence = ContentSequence(
        [CodeContentItem(name, value, RelationshipTypeValues.CONTAINS) for name, value in items]
    )
    return container


def _evidence(images: Iterable[AnalysedImage]) -> list[Reference]:
    references = []
    for image in images:
        header, overlay = image.header, image.overlay
        references += [
            (one.series_instance_uid or "", one.sop_instance_uid or "", one.sop_class_uid or "")
            for one in image.volume or (header,)
        ]
        if overlay is not None:
            references.append((overlay.series_instance_uid, overlay.sop_instance_uid, overlay.sop_class_uid))
    return references


def _private_scheme() -> Dataset:
    item = Dataset()
    item.CodingSchemeDesignator = concepts.PRIVATE_SCHEME
    item.CodingSchemeName = "Pandok findings without a confirmed public code"
    item.CodingSchemeResponsibleOrganization = "Pandok"
    return item
