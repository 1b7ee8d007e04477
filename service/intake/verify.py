"""What an instance must satisfy before we keep it."""

from __future__ import annotations

import re
from functools import cache

from pydicom.uid import UID_dictionary

from preprocessing.header import InstanceHeader
from service.intake.outcomes import IntakeReason

MEDIA_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"
LABEL_MAP_SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.7"
"""Younger than pydicom's dictionary."""

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_UID_LENGTH = 64


def is_valid_uid(uid: str) -> bool:
    """Tell whether the text may be a UID: components of digits, parted by dots, at most 64 characters (PS3.5 9.1).

    A leading zero in a component is against the standard but harmless, and real files have it.
    """
    return len(uid) <= _UID_LENGTH and _UID.fullmatch(uid) is not None


@cache
def storage_classes() -> frozenset[str]:
    """Return every Storage SOP Class of the standard, retired ones included: old PACS still send them."""
    return frozenset(
        uid
        for uid, (name, kind, *_rest) in UID_dictionary.items()
        if kind == "SOP Class" and "Storage" in name and "Commitment" not in name and uid != MEDIA_STORAGE_DIRECTORY
    ) | {LABEL_MAP_SEGMENTATION}


def belongs_nowhere(header: InstanceHeader) -> bool:
    """Tell whether this is a readable image that names no study or series to stand in.

    It is held for an operator: refusing it would lose a picture that somebody may need, and inventing its UIDs would
    make a study that the center does not know.
    """
    return header.has_pixel_data and not (header.study_instance_uid and header.series_instance_uid)


def verify(
    header: InstanceHeader,
    *,
    sop_class_uid: str | None,
    sop_instance_uid: str | None,
    study_instance_uid: str | None,
) -> IntakeReason | None:
    """Return why the instance must be refused, or None when it may be kept.

    Args:
        header: What was read of the data set.
        sop_class_uid: As the command or the file meta declared it; None when it did not.
        sop_instance_uid: Likewise.
        study_instance_uid: As the address declared it; None when it did not.
    """
    own = [header.sop_class_uid, header.sop_instance_uid]
    if not belongs_nowhere(header):
        own += [header.study_instance_uid, header.series_instance_uid]
    if MEDIA_STORAGE_DIRECTORY in (header.sop_class_uid, sop_class_uid):
        return IntakeReason.DICOMDIR
    if any(not uid for uid in own):
        return IntakeReason.MISSING_UID
    if not all(is_valid_uid(uid) for uid in own if uid):
        return IntakeReason.INVALID_UID
    if sop_class_uid not in (None, header.sop_class_uid) or sop_instance_uid not in (None, header.sop_instance_uid):
        return IntakeReason.UID_MISMATCH
    if header.sop_class_uid not in storage_classes():
        return IntakeReason.CLASS_NOT_SUPPORTED
    if study_instance_uid not in (None, header.study_instance_uid):
        return IntakeReason.STUDY_MISMATCH
    return None
