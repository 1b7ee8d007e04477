"""Every table of ours. Times are seconds since 1970 UTC; every row of a site's data carries its site."""

from service.tables.access import api_key, dicom_peer, session, sign_in_link, site
from service.tables.base import metadata
from service.tables.inference import executor, finding, poison, release, revision, run
from service.tables.intake import instance, problem, series, study
from service.tables.worklist import worklist_item

__all__ = [
    "api_key",
    "dicom_peer",
    "executor",
    "finding",
    "instance",
    "metadata",
    "poison",
    "problem",
    "release",
    "revision",
    "run",
    "series",
    "session",
    "sign_in_link",
    "site",
    "study",
    "worklist_item",
]
