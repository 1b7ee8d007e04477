"""Revisions of a study, the runs on them, their findings, and what is released for whom."""

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
    true,
)

from service.tables.columns import metadata, of, of_site, own_id

revision = Table(
    "revision",
    metadata,
    own_id(),
    of_site(),
    of("study"),
    Column("number", Integer, nullable=False),
    Column("state", String(16), nullable=False),  # settled, running, scored, unscored, superseded, canceled
    Column("reason", String(40)),
    Column("detail", Text),
    Column("settled_by", String(16), nullable=False),  # done, count, quiet, limit
    Column("settled_at", Float, nullable=False),
    Column("queued_at", Float),
    Column("started_at", Float),
    Column("finished_at", Float),
    Column("attempt", Integer, nullable=False),  # 1, then one more for each restart by an operator
    UniqueConstraint("study_id", "number"),
    Index("ix_revision_state", "state"),
)

run = Table(
    "run",
    metadata,
    own_id(),
    of_site(),
    of("study"),
    of("revision"),
    Column("instance_id", ForeignKey("instance.id"), nullable=False),
    Column("package", String(64)),  # null when no release applied
    Column("package_version", String(32)),
    Column("package_sha256", String(64)),
    Column("recipe", String(64)),
    Column("outcome", String(16), nullable=False),  # done, not_applicable, failed
    Column("reason", String(40)),
    Column("detail", Text),
    Column("view", String(16)),
    Column("view_source", String(32)),
    Column("notes", JSON, nullable=False),  # words such as "unknown_age_as_adult", "lossy"
    Column("decoder", String(64)),
    Column("provider", String(64)),
    Column("tensor_sha256", String(64)),
    Column("heat_map_sha256", String(64)),
    Column("routing", JSON),  # list of Decision: which rule chose this package, or left all out
    Column("shown", JSON),  # findings that readers see of this run; null: all, from before releases chose
    Column("started_at", Float, nullable=False),
    Column("finished_at", Float, nullable=False),
    UniqueConstraint("revision_id", "instance_id", "package"),
)

finding = Table(
    "finding",
    metadata,
    own_id(),
    of_site(),
    of("study"),
    of("revision"),
    of("run"),
    Column("channel", Integer, nullable=False),
    Column("finding", String(64), nullable=False),
    Column("presence", String(16), nullable=False),  # present, absent, undetermined, not_evaluated
    Column("reason", String(40)),  # Reason, when not evaluated
    Column("probability", Float),
    Column("raw_score", Float),
    Column("operating_point", String(32)),
    Column("threshold", Float),
    Column("raises_priority", Boolean, nullable=False),  # present, and at or above its raise point
    Column("experimental", Boolean, nullable=False),
    Column("shown", Boolean, nullable=False, server_default=true()),  # to readers; the others are for the record
    Column("calibrated", Boolean, nullable=False, server_default=true()),
    Column("evidence", JSON),  # Evidence, as a reader of this finding was told it
    Column("place", JSON),  # box in full-resolution columns and rows: [left, top, right, bottom]
    UniqueConstraint("run_id", "channel"),
    Index("ix_finding_revision_id", "revision_id"),
)

release = Table(
    "release",
    metadata,
    own_id(),
    of_site(),
    Column("package", String(64), nullable=False),
    Column("package_version", String(32), nullable=False),
    Column("package_sha256", String(64), nullable=False),
    Column("since", Float, nullable=False),
    Column("until", Float),
    Column("released_by", Text, nullable=False),
    Column("shows", JSON, nullable=False, server_default="[]"),  # experimental findings that readers see
    Index("ix_release_site", "site_id", "package"),
)

poison = Table(
    "poison",
    metadata,
    own_id(),
    of_site(),
    Column("content_sha256", String(64), nullable=False),
    Column("deaths", Integer, nullable=False),
    Column("last_reason", Text, nullable=False),
    Column("last_at", Float, nullable=False),
    Column("quarantined_at", Float),
    Column("decoders", String(128)),  # their versions; under others the bytes are tried again
    UniqueConstraint("site_id", "content_sha256"),
)

executor = Table(
    "executor",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("started_at", Float, nullable=False),
    Column("seen_at", Float, nullable=False),
    Column("provider", String(64)),  # what scoring really runs on
    Column("alarm", Text),  # a loud state, such as a requested but missing GPU
)
