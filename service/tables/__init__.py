"""Every table of ours. Times are seconds since 1970 UTC; every row of a site's data carries its site."""

from service.tables.access import account, api_key, audit_event, dicom_peer, session, sign_in_link, sign_in_try, site
from service.tables.columns import metadata
from service.tables.commitment import commitment
from service.tables.inference import executor, finding, poison, release, revision, run
from service.tables.intake import instance, problem, resumable_upload, series, study
from service.tables.reading import clinical_question, first_impression, image_quality, reading_event, verdict
from service.tables.reports import report, report_document, report_draft, report_read, report_version
from service.tables.routing import rule_set
from service.tables.worklist import claim_event, worklist_item

__all__ = [
    "account",
    "api_key",
    "audit_event",
    "claim_event",
    "clinical_question",
    "commitment",
    "dicom_peer",
    "executor",
    "finding",
    "first_impression",
    "image_quality",
    "instance",
    "metadata",
    "poison",
    "problem",
    "reading_event",
    "release",
    "report",
    "report_document",
    "report_draft",
    "report_read",
    "report_version",
    "resumable_upload",
    "revision",
    "rule_set",
    "run",
    "series",
    "session",
    "sign_in_link",
    "sign_in_try",
    "site",
    "study",
    "verdict",
    "worklist_item",
]
