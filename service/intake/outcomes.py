"""What became of one received instance, in every door's words: DIMSE status, STOW reason, HTTP text."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum


class Door(StrEnum):
    """How an instance came in."""

    DIMSE = "dimse"
    STOW = "stow"
    UPLOAD = "upload"


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends: resolved by the door before the first byte is kept."""

    site_id: int
    door: Door
    name: str
    """AE title, key prefix or `session`: for operators, never a person's name."""


class Kind(StrEnum):
    """The four ends of a received instance."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    HELD = "held"
    REFUSED = "refused"


class IntakeReason(Enum):
    """Why an instance was not simply stored: (word, DIMSE status, what the sender is told, at most 64 characters).

    The status doubles as the STOW Failure or Warning Reason (DWB-4); statuses are those of STANDARDS 1A.3.
    """

    NOT_DICOM = ("not_dicom", 0xC001, "not a DICOM Part 10 file; send the original .dcm file")
    DAMAGED_HEADER = ("damaged_header", 0xC002, "cannot read the header; export the image again")
    TRUNCATED = ("truncated", 0xC003, "file ends too early; send it again")
    LIMIT_EXCEEDED = ("limit_exceeded", 0xC004, "too many or too large elements; export the image again")
    NO_STUDY = ("no_study", 0xB007, "no Study or Series UID: held aside; export the image again")
    MISSING_UID = ("missing_uid", 0xA900, "Study, Series, SOP Class or SOP Instance UID missing")
    INVALID_UID = ("invalid_uid", 0xA900, "a UID is not valid (digits and dots, 64 at most)")
    UID_MISMATCH = ("uid_mismatch", 0xA900, "SOP Class or Instance UID differs from the request")
    STUDY_MISMATCH = ("study_mismatch", 0xA901, "Study Instance UID differs from the address")
    CLASS_NOT_SUPPORTED = ("class_not_supported", 0x0122, "this SOP Class is not accepted here")
    DICOMDIR = ("dicomdir", 0x0122, "a DICOMDIR holds no image; send the image files")
    TRANSFER_SYNTAX_NOT_SUPPORTED = (
        "transfer_syntax",
        0xC122,
        "transfer syntax not supported; send uncompressed",
    )
    CONFLICT = ("conflict", 0x0111, "same SOP Instance UID, other content: held for an operator")
    CONFLICT_KEPT = ("conflict_kept", 0xB007, "same SOP Instance UID, other content: held aside")
    OUT_OF_RESOURCES = ("out_of_resources", 0xA700, "storage is full; keep the images and send again later")
    OVERLOADED = ("overloaded", 0xA700, "too much waits to be scored here; keep the images and send later")
    STUDY_FULL = ("study_full", 0xA700, "the study has more images than this service accepts")
    TOO_LARGE = ("too_large", 0xA700, "larger than this service accepts")
    PROCESSING_FAILURE = ("processing_failure", 0x0110, "internal failure; send again later")
    ABORTED = ("aborted", 0x0000, "the connection ended before the image was whole; send it again")

    def __init__(self, word: str, status: int, comment: str) -> None:
        self.word = word
        self.status = status
        self.comment = comment


class NoRoom(OSError):
    """Nothing more comes in: the hard mark of RELIABILITY 5.8 is crossed.

    Args:
        reason: What the sender is told, OUT_OF_RESOURCES or OVERLOADED.
    """

    def __init__(self, reason: IntakeReason) -> None:
        super().__init__(reason.comment)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer for one instance. Given only after what it says is durable."""

    kind: Kind
    reason: IntakeReason | None
    sop_class_uid: str | None
    sop_instance_uid: str | None
    study_instance_uid: str | None
    series_instance_uid: str | None = None

    @property
    def status(self) -> int:
        """DIMSE status to answer."""
        return self.reason.status if self.reason else 0x0000

    @property
    def is_kept(self) -> bool:
        """The bytes are durable in the archive and the sender may delete its copy."""
        return self.kind in (Kind.STORED, Kind.DUPLICATE) or self.reason in (
            IntakeReason.CONFLICT_KEPT,
            IntakeReason.NO_STUDY,
        )
