"""What a simulation expects of the images that came in: what senders were told, and what an operator sees."""

from __future__ import annotations

from collections import Counter

from service.intake.outcomes import IntakeReason, Kind
from tests.trials.simulated_images import Image, site_policy, study_uid
from tests.trials.simulated_tables import Tables


class ExpectedArrivals:
    """What was told to senders, and what must follow from it.

    Args:
        tables: What the service wrote.

    Attributes:
        kept: Content of each image that was acknowledged, and when.
        held: How often conflicting bytes came, by image and hash, since an operator last put things right.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self.kept: dict[Image, tuple[str, float]] = {}
        self.held: Counter[tuple[Image, str]] = Counter()
        self._put_right: list[tuple[Image, str, int]] = []

    def answer(self, image: Image, content: str, *, is_full: bool) -> tuple[Kind, IntakeReason | None]:
        """Return what the sender of an image is to be told."""
        if image in self.kept:
            is_same = self.kept[image][0] == content
            return (Kind.DUPLICATE, None) if is_same else (Kind.HELD, _conflict(image))
        return (Kind.REFUSED, IntakeReason.STUDY_FULL) if is_full else (Kind.STORED, None)

    def put_right(self) -> None:
        """Everything that an operator saw is dealt with: what comes again is told again."""
        self._put_right += [(*key, count) for key, count in self.held.items()]
        self.held.clear()

    def check(self) -> None:
        """What was acknowledged is there once, with its content; what was held aside is told once and counted."""
        rows = self._tables.rows(
            "SELECT i.*, e.series_instance_uid, e.study_id = i.study_id AS is_own, s.study_instance_uid"
            " FROM instance i JOIN series e ON e.id = i.series_id JOIN study s ON s.id = i.study_id"
        )
        assert len(rows) == len(self.kept)
        for image, (content, at) in self.kept.items():
            [row] = [one for one in rows if (one["site_id"], one["sop_instance_uid"]) == (image.site_id, image.uid)]
            assert (row["study_instance_uid"], row["series_instance_uid"]) == (study_uid(image.study), image.series)
            assert (row["content_sha256"], row["received_at"]) == (image.sha256(content), at)
            assert (row["transfer_syntax_uid"], row["is_own"]) == (image.header(content).transfer_syntax_uid, 1)
        told = self._tables.rows("SELECT * FROM problem WHERE kind = 'held'")
        held = [*((*key, count, True) for key, count in self.held.items()), *((*one, False) for one in self._put_right)]
        assert sorted(
            (image.site_id, study_uid(image.study), image.uid, sha256, count, is_open, _conflict(image).word)
            for image, sha256, count, is_open in held
        ) == sorted(
            (row["site_id"], row["study_instance_uid"], row["sop_instance_uid"], row["content_sha256"], row["count"],
             row["resolved_at"] is None, row["reason"]) for row in told
        )  # fmt: skip
        assert not self._tables.rows(
            "SELECT 1 FROM problem WHERE resolved_at IS NULL"
            " GROUP BY site_id, kind, study_instance_uid, sop_instance_uid, content_sha256 HAVING count(*) > 1"
        )


def _conflict(image: Image) -> IntakeReason:
    warns = site_policy(image.study).get("conflict_answer") == "warn"
    return IntakeReason.CONFLICT_KEPT if warns else IntakeReason.CONFLICT
