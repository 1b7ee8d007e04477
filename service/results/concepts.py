"""The coded concepts of our SR: DICOM PS3.16, SNOMED CT, LOINC, UMLS, RadLex, and our own where there is none."""

from __future__ import annotations

from highdicom.sr import CodedConcept

from service.results.findings import Presence

PRIVATE_SCHEME = "99PANDOK"

FINDING = CodedConcept("121071", "DCM", "Finding")
FINDING_CATEGORY = CodedConcept("404684003", "SCT", "Clinical finding")
PROBABILITY = CodedConcept("122157", "DCM", "Probability")
NO_UNITS = CodedConcept("1", "UCUM", "no units")
PRESENCE = CodedConcept("121052", "DCM", "Presence of property")
COMMENT = CodedConcept("121106", "DCM", "Comment")
FAMILY = CodedConcept("123110", "DCM", "Artificial Intelligence")
VISUAL_EXPLANATION = CodedConcept("130401", "DCM", "Visual explanation")
QUALITATIVE_EVALUATIONS = CodedConcept("C0034375", "UMLS", "Qualitative Evaluations")
SUMMARY = CodedConcept("111017", "DCM", "CAD Processing and Findings Summary")
OVERALL_ASSESSMENT = CodedConcept("111413", "DCM", "Overall Assessment")
ABNORMAL = CodedConcept("263654008", "SCT", "Abnormal")
NORMALITY_UNDETERMINED = CodedConcept("371934000", "SCT", "Normality Undetermined")

UNCALIBRATED_SCORE = CodedConcept("uncalibrated", PRIVATE_SCHEME, "Uncalibrated score")
"""It ranks images and is no probability, which 122157 would call it."""

PRESENCE_VALUES = {
    Presence.PRESENT: CodedConcept("52101004", "SCT", "Present"),
    Presence.ABSENT: CodedConcept("272519000", "SCT", "Absent"),
    Presence.UNDETERMINED: CodedConcept("373068000", "SCT", "Undetermined"),
    Presence.NOT_EVALUATED: CodedConcept("373121007", "SCT", "Not Evaluated"),
}
SUMMARIES = {
    (True, False): CodedConcept("111241", "DCM", "All algorithms succeeded; without findings"),
    (True, True): CodedConcept("111242", "DCM", "All algorithms succeeded; with findings"),
    (False, False): CodedConcept("111243", "DCM", "Not all algorithms succeeded; without findings"),
    (False, True): CodedConcept("111244", "DCM", "Not all algorithms succeeded; with findings"),
}
NONE_SUCCEEDED = CodedConcept("111245", "DCM", "No algorithms succeeded; without findings")
ACTIONABLE = {
    1: CodedConcept("RID49480", "RADLEX", "ACR Category 1 Actionable Finding"),
    2: CodedConcept("RID49481", "RADLEX", "ACR Category 2 Actionable Finding"),
}
PROCEDURES = {
    **dict.fromkeys(("CR", "DX", "RG"), CodedConcept("43468-8", "LN", "XR Unspecified Body Region")),
    "CT": CodedConcept("25045-6", "LN", "CT Unspecified Body Region"),
    "MR": CodedConcept("25056-3", "LN", "MRI Unspecified Body Region"),
}
ANY_PROCEDURE = CodedConcept("363679005", "SCT", "Imaging Procedure")
