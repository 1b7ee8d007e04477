"""What a run reads: one stored image, or every file of a series."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from service.inference import records
from service.inference.plan import Planned
from service.inference.records import StoredInstance
from service.inference.revision_records import Revision
from service.inference.volumes import content_of, members

SERIES_SYNTAX = "series"
"""Stands for the transfer syntaxes of many files, of which each file itself tells its own."""


@dataclass(frozen=True, slots=True)
class Source:
    """Stored files that become one tensor.

    Attributes:
        anchor: The image; of a series the slice that stands for it.
        files: The image alone, or every file of the series.
        is_series: They are read as one volume.
    """

    anchor: StoredInstance
    files: tuple[StoredInstance, ...]
    is_series: bool

    @property
    def content_sha256(self) -> str:
        """Names the content, for what is remembered of it and for quarantine."""
        return content_of(self.files) if self.is_series else self.anchor.content_sha256

    @property
    def transfer_syntax_uid(self) -> str:
        """Of the image."""
        return SERIES_SYNTAX if self.is_series else self.anchor.transfer_syntax_uid

    @property
    def slices(self) -> int:
        """How many frames the files hold."""
        return sum(int(str(one.header.get("number_of_frames") or 1)) for one in self.files)


def find_source(tx: Connection, revision: Revision, planned: Planned, *, is_series: bool) -> Source:
    """Return what a planned run reads."""
    anchor = records.find_instance(tx, planned.instance_id)
    files = members(records.list_series(tx, anchor.series_id, revision.number)) if is_series else (anchor,)
    return Source(anchor, files, is_series)
