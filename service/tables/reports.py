"""Reports: drafts that change, and versions that never do."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
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

report = Table(
    "report",
    metadata,
    own_id(),
    of_site(),
    Column("study_id", ForeignKey("study.id"), nullable=False, unique=True),
    Column("public_id", String(32), nullable=False, unique=True),
    Column("created_at", Float, nullable=False),
)

report_draft = Table(
    "report_draft",
    metadata,
    own_id(),
    of_site(),
    of("study"),
    of("account"),
    Column("content", JSON, nullable=False),
    Column("updated_at", Float, nullable=False),
    UniqueConstraint("study_id", "account_id"),
)

report_version = Table(
    "report_version",
    metadata,
    own_id(),
    of_site(),
    of("report"),
    Column("number", Integer, nullable=False),
    Column("status", String(16), nullable=False),  # preliminary, final, appended, amended, cancelled
    Column("study_revision", Integer, nullable=False),
    Column("content", JSON, nullable=False),
    Column("content_sha256", String(64), nullable=False),
    Column("language", String(8), nullable=False),  # the author's: free text stands in it
    of("account"),  # who signed
    Column("signer_name", Text, nullable=False),
    Column("signer_licence", Text),
    Column("reason", Text),  # of an amendment or a retraction
    Column("signed_at", Float, nullable=False),
    Column("previous_sha256", String(64), nullable=False),
    Column("sha256", String(64), nullable=False, unique=True),
    UniqueConstraint("report_id", "number"),
)

report_document = Table(
    "report_document",
    metadata,
    own_id(),
    of_site(),
    of("report_version"),
    Column("language", String(8), nullable=False),
    Column("pdf_sha256", String(64), nullable=False),  # of the PDF; it lies in the archive of documents
    Column("size_bytes", Integer, nullable=False),
    Column("instance_id", ForeignKey("instance.id")),  # the Encapsulated PDF, for the site's own language
    Column("made_at", Float, nullable=False),
    UniqueConstraint("report_version_id", "language"),
)

report_read = Table(
    "report_read",
    metadata,
    own_id(),
    of_site(),
    of("report_version"),
    of("account"),
    Column("language", String(8), nullable=False),
    Column("read_at", Float, nullable=False),
    Index("ix_report_read_version", "report_version_id"),
)
