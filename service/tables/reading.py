"""What radiologists said of a study before and after they saw the AI. Rows are added, never edited."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from service.tables.columns import metadata, of, of_site, own_id

first_impression = Table(
    "first_impression",
    metadata,
    own_id(),
    of_site(),
    of("study"),
    of("account"),
    Column("revision", Integer, nullable=False),  # of the study, whose images the reader had before them
    Column("impression", String(16), nullable=False),  # normal, abnormal, cannot_tell
    Column("places", JSON, nullable=False),  # [{instance, x, y}] in full-resolution columns and rows
    Column("policy", String(16), nullable=False),  # triage, blind: what the reader could have known
    Column("seconds", Float),  # from the case's opening
    Column("made_at", Float, nullable=False),
    UniqueConstraint("study_id", "account_id", "revision"),
)

verdict = Table(
    "verdict",
    metadata,
    own_id(),
    of_site(),
    of("study"),
    of("account"),
    Column("revision", Integer, nullable=False),
    of("finding", nullable=True),  # null: the reader added what the AI missed
    Column("instance_id", ForeignKey("instance.id")),
    Column("finding_code", String(64), nullable=False),
    Column("judgement", String(16), nullable=False),  # confirmed, rejected, uncertain, missed
    Column("place", JSON),  # box in full-resolution columns and rows: [left, top, right, bottom]
    Column("side", String(16)),
    Column("severity", String(16)),
    Column("ai_visible", Boolean, nullable=False),
    Column("seconds", Float),
    Column("presence", String(16)),  # what the AI said when it was judged; null: it was missed
    Column("probability", Float),
    Column("threshold", Float),
    Column("package", String(64)),
    Column("package_version", String(32)),
    Column("package_sha256", String(64)),
    Column("made_at", Float, nullable=False),
    Column("replaced_at", Float),  # when the same reader said it anew; the only column that changes
    Index("ix_verdict_study_id", "study_id", "account_id", "revision"),
)

image_quality = Table(
    "image_quality",
    metadata,
    own_id(),
    of_site(),
    of("study"),
    of("account"),
    Column("revision", Integer, nullable=False),
    Column("grade", String(16), nullable=False),  # good, limited, insufficient
    Column("reasons", JSON, nullable=False),
    Column("made_at", Float, nullable=False),
    Column("replaced_at", Float),
    Index("ix_image_quality_study_id", "study_id", "account_id", "revision"),
)

reading_event = Table(
    "reading_event",
    metadata,
    own_id(),
    of_site(),
    of("study"),
    of("account"),
    Column("kind", String(24), nullable=False),  # opened, impression, overlay_on, overlay_off, ...
    Column("detail", JSON, nullable=False),
    Column("at", Float, nullable=False),
    Index("ix_reading_event_study_id", "study_id", "id"),
)

clinical_question = Table(
    "clinical_question",
    metadata,
    own_id(),
    of_site(),
    Column("study_instance_uid", String(64), nullable=False),  # may be told before the first image arrives
    of("account", nullable=True),
    Column("question", Text, nullable=False),
    Column("history", Text, nullable=False),
    Column("language", String(8), nullable=False),
    Column("made_at", Float, nullable=False),
    Index("ix_clinical_question_study", "site_id", "study_instance_uid"),
)
