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
from service.results.dicom_object import (
    Predecessor,
    ResultKey,
    add_series_and_equipment,
    derived_uid,
    study_modules,
)
from service.results.findings import Finding, Presence, ai_priority

SERIES_NUMBER = 9901
PRIVATE_SCHEME = "99PANDOK"

_FINDING = CodedConcept("121071", "DCM", "Finding")
_FINDING_CATEGORY = CodedConcept("404684003", "SCT", "Clinical finding")
_PROBABILITY = CodedConcept("122157", "DCM", "Probability")
_NO_UNITS = CodedConcept("1", "UCUM", "no units")
_PRESENCE = CodedConcept("121052", "DCM", "Presence of property")
_COMMENT = CodedConcept("121106", "DCM", "Comment")
_FAMILY = CodedConcept("123110", "DCM", "Artificial Intelligence")
_VISUAL_EXPLANATION = CodedConcept("130401", "DCM", "Visual explanation")
_QUALITATIVE_EVALUATIONS = CodedConcept("C0034375", "UMLS", "Qualitative Evaluations")
_SUMMARY = CodedConcept("111017", "DCM", "CAD Processing and Findings Summary")
_OVERALL_ASSESSMENT = CodedConcept("111413", "DCM", "Overall Assessment")
_ABNORMAL = CodedConcept("263654008", "SCT", "Abnormal")
_NORMALITY_UNDETERMINED = CodedConcept("371934000", "SCT", "Normality Undetermined")

_PRESENCE_VALUES = {
    Presence.PRESENT: CodedConcept("52101004", "SCT", "Present"),
    Presence.ABSENT: CodedConcept("272519000", "SCT", "Absent"),
    Presence.UNDETERMINED: CodedConcept("373068000", "SCT", "Undetermined"),
    Presence.NOT_EVALUATED: CodedConcept("373121007", "SCT", "Not Evaluated"),
}
_SUMMARIES = {
    (True, False): CodedConcept("111241", "DCM", "All algorithms succeeded; without findings"),
    (True, True): CodedConcept("111242", "DCM", "All algorithms succeeded; with findings"),
    (False, False): CodedConcept("111243", "DCM", "Not all algorithms succeeded; without findings"),
    (False, True): CodedConcept("111244", "DCM", "Not all algorithms succeeded; with findings"),
}
_NONE_SUCCEEDED = CodedConcept("111245", "DCM", "No algorithms succeeded; without findings")
_ACTIONABLE = {
    1: CodedConcept("RID49480", "RADLEX", "ACR Category 1 Actionable Finding"),
    2: CodedConcept("RID49481", "RADLEX", "ACR Category 2 Actionable Finding"),
}
_PROCEDURES = {
    **dict.fromkeys(("CR", "DX", "RG"), CodedConcept("43468-8", "LN", "XR Unspecified Body Region")),
    "CT": CodedConcept("25045-6", "LN", "CT Unspecified Body Region"),
    "MR": CodedConcept("25056-3", "LN", "MRI Unspecified Body Region"),
}
_ANY_PROCEDURE = CodedConcept("363679005", "SCT", "Imaging Procedure")


@dataclass(frozen=True, slots=True)
class OverlayReference:
    """Where the picture of one image's activations is."""

    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str


@dataclass(frozen=True, slots=True)
class AnalysedImage:
    """One image that a package was asked about."""

    header: InstanceHeader
    findings: tuple[Finding, ...]
    """One for each output of the package, also for a run that failed or did not apply."""
    succeeded: bool
    provider: str | None
    overlay: OverlayReference | None


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
    dataset.SOPClassUID = Comprehensive3DSRStorage
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
    if any(output.code_scheme == PRIVATE_SCHEME for output in package.outputs):
        dataset.CodingSchemeIdentificationSequence = [_private_scheme()]
    study_uid = images[0].header.study_instance_uid or ""
    dataset.CurrentRequestedProcedureEvidenceSequence = [_references(study_uid, _evidence(images))]
    if predecessor is not None:
        before = (predecessor.series_instance_uid, predecessor.sop_instance_uid, predecessor.sop_class_uid)
        dataset.PredecessorDocumentsSequence = [_references(study_uid, [before])]
    for element in _content(package, images, key):
        dataset.add(element)
    return dataset


def _content(package: ModelPackage, images: Sequence[AnalysedImage], key: ResultKey) -> Dataset:
    groups = [
        _group(package, output, image, key)
        for image in images
        for output in package.outputs
    ]  # fmt: skip
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
        procedure_reported=_PROCEDURES.get(images[0].header.modality or "", _ANY_PROCEDURE),
        imaging_measurements=groups,
        title=CodedConcept("126000", "DCM", "Imaging Measurement Report"),
        language_of_content_item_and_descendants=LanguageOfContentItemAndDescendants(
            CodedConcept("en-US", "RFC5646", "English (United States)")
        ),
    )[0]
    root.ContentSequence.append(_summary(package, images))
    content: Dataset = root
    return content


def _group(package: ModelPackage, output: Output, image: AnalysedImage, key: ResultKey) -> Dataset:
    """One TID 1501 group: what is sought, whether it is there, how sure, by which algorithm, on which image."""
    finding = next(found for found in image.findings if found.channel == output.channel)
    image_uid = image.header.sop_instance_uid or ""
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            identifier=f"{package.name}/{output.finding}",
            # Without the revision: the same finding on the same image keeps its UID when the study is run again.
            uid=derived_uid(f"tracking/{key.study_public_id}/{image_uid}/{package.name}/{output.finding}"),
        ),
        finding_category=_FINDING_CATEGORY,
        finding_type=CodedConcept(output.code_value, output.code_scheme, output.code_meaning[:64]),
        algorithm_id=_algorithm(package, output, image.provider),
        measurements=None
        if finding.probability is None
        else [Measurement(name=_PROBABILITY, value=round(finding.probability, 6), unit=_NO_UNITS)],
        qualitative_evaluations=[QualitativeEvaluation(_PRESENCE, _PRESENCE_VALUES[finding.presence])],
        source_images=[SourceImageForMeasurementGroup(image.header.sop_class_uid, image_uid)],
    )
    contains = RelationshipTypeValues.CONTAINS
    if finding.reason is not None:
        words = f"not evaluated: {finding.reason.value.replace('_', ' ')}"
        group[0].ContentSequence.append(TextContentItem(_COMMENT, words, contains))
    if finding.presence is Presence.PRESENT and image.overlay is not None:
        overlay = image.overlay
        group[0].ContentSequence.append(
            ImageContentItem(_VISUAL_EXPLANATION, overlay.sop_class_uid, overlay.sop_instance_uid, None, None, contains)
        )
    item: Dataset = group
    return item


def _algorithm(package: ModelPackage, output: Output, provider: str | None) -> AlgorithmIdentification:
    """TID 4019, with everything that the probability and the decision depend on."""
    calibration = output.calibration
    return AlgorithmIdentification(
        name=package.name,
        version=package.version,
        manufacturer=package.manufacturer,
        family=_FAMILY,
        parameters=[
            f"threshold={output.operating_point.threshold:g}",
            f"operating_point={output.operating_point.name}",
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
    is_found = any(f.presence is Presence.PRESENT and not f.experimental for f in findings)
    # A run that evaluated nothing has not succeeded "without findings": unknown is never negative.
    succeeded = [
        image.succeeded and any(f.presence is not Presence.NOT_EVALUATED for f in image.findings) for image in images
    ]
    items = [
        (_SUMMARY, _SUMMARIES[all(succeeded), is_found] if any(succeeded) else _NONE_SUCCEEDED),
        (_OVERALL_ASSESSMENT, _ABNORMAL if is_found else _NORMALITY_UNDETERMINED),
    ]
    priority = ai_priority(findings, package.outputs)
    if priority in _ACTIONABLE:
        items.append((_FINDING, _ACTIONABLE[priority]))
    container = ContainerContentItem(_QUALITATIVE_EVALUATIONS, relationship_type=RelationshipTypeValues.CONTAINS)
    container.ContentSequence = ContentSequence(
        [CodeContentItem(name, value, RelationshipTypeValues.CONTAINS) for name, value in items]
    )
    return container


_Reference = tuple[str, str, str]
"""Series Instance UID, SOP Instance UID, SOP Class UID."""


def _evidence(images: Iterable[AnalysedImage]) -> list[_Reference]:
    references = []
    for image in images:
        header, overlay = image.header, image.overlay
        references.append((header.series_instance_uid or "", header.sop_instance_uid or "", header.sop_class_uid or ""))
        if overlay is not None:
            references.append((overlay.series_instance_uid, overlay.sop_instance_uid, overlay.sop_class_uid))
    return references


def _references(study_uid: str, references: Iterable[_Reference]) -> Dataset:
    """Hierarchical SOP Instance Reference (PS3.3 C.17.2.1)."""
    by_series: dict[str, list[Dataset]] = {}
    for series_uid, instance_uid, class_uid in references:
        item = Dataset()
        item.ReferencedSOPClassUID = class_uid
        item.ReferencedSOPInstanceUID = instance_uid
        by_series.setdefault(series_uid, []).append(item)
    study = Dataset()
    study.ReferencedSeriesSequence = []
    for series_uid, items in by_series.items():
        series = Dataset()
        series.ReferencedSOPSequence = items
        series.SeriesInstanceUID = series_uid
        study.ReferencedSeriesSequence.append(series)
    study.StudyInstanceUID = study_uid
    return study


def _private_scheme() -> Dataset:
    item = Dataset()
    item.CodingSchemeDesignator = PRIVATE_SCHEME
    item.CodingSchemeName = "Pandok findings without a confirmed public code"
    item.CodingSchemeResponsibleOrganization = "Pandok"
    return item
