"""Every table of ours. Times are seconds since 1970 UTC; every row of a site's data carries its site."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
    true,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _id() -> Column[int]:
    return Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)


def _site(*, nullable: bool = False) -> Column[int]:
    return Column("site_id", ForeignKey("site.id"), nullable=nullable, index=True)


def _of(target: str, *, nullable: bool = False) -> Column[Any]:
    return Column(f"{target}_id", ForeignKey(f"{target}.id"), nullable=nullable)


site = Table(
    "site",
    metadata,
    _id(),
    Column("code", String(32), nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("country", String(2), nullable=False),
    Column("language", String(8), nullable=False),
    Column("time_zone", String(64), nullable=False),
    Column("policy", JSON, nullable=False),  # SitePolicy: quiet_s, unknown_age, conflict_answer, ...
    Column("created_at", Float, nullable=False),
)

dicom_peer = Table(
    "dicom_peer",
    metadata,
    _id(),
    _site(),
    Column("ae_title", String(16), nullable=False),
    Column("network", String(64), nullable=False),  # CIDR that the peer may call from
    Column("certificate_sha256", String(64)),  # when set, only over TLS with this client certificate
    Column("created_at", Float, nullable=False),
    Column("disabled_at", Float),
    UniqueConstraint("ae_title", "network"),
)

api_key = Table(
    "api_key",
    metadata,
    _id(),
    _site(),
    Column("name", Text, nullable=False),
    Column("prefix", String(12), nullable=False),
    Column("key_sha256", String(64), nullable=False, unique=True),
    Column("created_at", Float, nullable=False),
    Column("revoked_at", Float),
)

sign_in_link = Table(
    "sign_in_link",
    metadata,
    _id(),
    _site(nullable=True),  # null: all sites
    Column("token_sha256", String(64), nullable=False, unique=True),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("used_at", Float),
)

session = Table(
    "session",
    metadata,
    _id(),
    _site(nullable=True),
    Column("token_sha256", String(64), nullable=False, unique=True),
    Column("created_at", Float, nullable=False),
    Column("seen_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("ended_at", Float),
)

study = Table(
    "study",
    metadata,
    _id(),
    _site(),
    Column("public_id", String(32), nullable=False, unique=True),
    Column("study_instance_uid", String(64), nullable=False),
    Column("patient_id", Text),
    Column("patient_name", Text),
    Column("patient_name_folded", Text),
    Column("patient_birth_date", String(8)),
    Column("patient_sex", String(16)),
    Column("age_years", Float),
    Column("study_date", String(8)),
    Column("study_time", String(16)),
    Column("study_id_text", Text),
    Column("accession_number", Text),
    Column("referring_physician_name", Text),
    Column("study_description", Text),
    Column("modalities", Text, nullable=False),  # sorted, parted by a backslash
    Column("series_count", Integer, nullable=False),
    Column("instance_count", Integer, nullable=False),  # received ones; results are not counted
    Column("flags", JSON, nullable=False),  # list of words such as "charset:mislabelled", "patient_conflict"
    Column("state", String(16), nullable=False),  # arriving, settled, scored, unscored
    Column("reason", String(40)),  # Reason, when unscored
    Column("revision", Integer, nullable=False),
    Column("first_image_at", Float, nullable=False),
    Column("last_instance_at", Float, nullable=False),
    Column("arriving_since", Float, nullable=False),  # first instance of the current revision
    Column("settle_at", Float),  # null once settled
    Column("settle_by", String(16), nullable=False),  # quiet, limit, count, done: why settle_at is when it is
    Column("settled_at", Float),
    Column("scored_at", Float),
    Column("expected_instances", Integer),
    Column("center_priority", Integer, nullable=False),  # 1 stat, 2 urgent, 3 routine
    UniqueConstraint("site_id", "study_instance_uid"),
    Index(
        "ix_study_settle_at",
        "settle_at",
        sqlite_where=text("settle_at IS NOT NULL"),
        postgresql_where=text("settle_at IS NOT NULL"),
    ),
    Index("ix_study_date", "site_id", "study_date", "id"),
    Index("ix_study_patient_id", "site_id", "patient_id"),
    Index("ix_study_accession_number", "site_id", "accession_number"),
    Index("ix_study_patient_name_folded", "site_id", "patient_name_folded"),
)

series = Table(
    "series",
    metadata,
    _id(),
    _site(),
    _of("study"),
    Column("series_instance_uid", String(64), nullable=False),
    Column("modality", String(16)),
    Column("series_number", Integer),
    Column("series_description", Text),
    Column("body_part_examined", String(64)),
    Column("performed_date", String(8)),
    Column("performed_time", String(16)),
    Column("instance_count", Integer, nullable=False),
    Column("is_result", Boolean, nullable=False),
    UniqueConstraint("study_id", "series_instance_uid"),
    Index("ix_series_uid", "site_id", "series_instance_uid"),
)

instance = Table(
    "instance",
    metadata,
    _id(),
    _site(),
    _of("study"),
    _of("series"),
    Column("sop_instance_uid", String(64), nullable=False),
    Column("sop_class_uid", String(64), nullable=False),
    Column("transfer_syntax_uid", String(64), nullable=False),
    Column("instance_number", Integer),
    Column("content_sha256", String(64), nullable=False),  # of the data set: the archive's name for it
    Column("size_bytes", BigInteger, nullable=False),
    Column("header", JSON, nullable=False),
    Column("revision", Integer, nullable=False),  # of the study, in which it first counts
    Column("door", String(16), nullable=False),
    Column("received_at", Float, nullable=False),
    Column("is_result", Boolean, nullable=False),  # made by us: SR, overlay
    Column("run_id", ForeignKey("run.id", use_alter=True)),
    UniqueConstraint("site_id", "sop_instance_uid"),
    Index("ix_instance_study_id", "study_id"),
    Index("ix_instance_series_id", "series_id"),
)

problem = Table(
    "problem",
    metadata,
    _id(),
    _site(nullable=True),  # null: the sender is nobody we know
    Column("kind", String(16), nullable=False),  # refused, held, aborted, damaged, dead_letter
    Column("reason", String(40), nullable=False),
    Column("detail", Text, nullable=False),  # what the sender was told; no patient attribute
    Column("status", String(16), nullable=False),  # 0xC000, 409, ...
    Column("door", String(16), nullable=False),
    Column("sender", Text, nullable=False),  # AE title or key prefix
    Column("study_instance_uid", String(64)),
    Column("sop_instance_uid", String(64)),
    Column("content_sha256", String(64)),  # held bytes, in the archive
    Column("occurred_at", Float, nullable=False),
    Column("count", Integer, nullable=False, server_default="1"),
    Column("resolved_at", Float),
    Column("resolution", Text),
    Index("ix_problem_occurred_at", "occurred_at"),
)

revision = Table(
    "revision",
    metadata,
    _id(),
    _site(),
    _of("study"),
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
    _id(),
    _site(),
    _of("study"),
    _of("revision"),
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
    Column("shown", JSON),  # findings that readers see of this run; null: all, from before releases chose
    Column("started_at", Float, nullable=False),
    Column("finished_at", Float, nullable=False),
    UniqueConstraint("revision_id", "instance_id", "package"),
)

finding = Table(
    "finding",
    metadata,
    _id(),
    _site(),
    _of("study"),
    _of("revision"),
    _of("run"),
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
    _id(),
    _site(),
    Column("package", String(64), nullable=False),
    Column("package_version", String(32), nullable=False),
    Column("package_sha256", String(64), nullable=False),
    Column("since", Float, nullable=False),
    Column("until", Float),
    Column("released_by", Text, nullable=False),
    Column("shows", JSON, nullable=False, server_default="[]"),  # experimental findings that readers see
    Index("ix_release_site", "site_id", "package"),
)

worklist_item = Table(
    "worklist_item",
    metadata,
    _id(),
    _site(),
    Column("study_id", ForeignKey("study.id"), nullable=False, unique=True),
    Column("public_id", String(32), nullable=False, unique=True),
    Column("state", String(16), nullable=False),  # scheduled, in progress, completed, canceled
    Column("priority_class", Integer, nullable=False),  # min(center's, AI's): AI only raises
    Column("ai_priority", Integer),
    Column("due_at", Float, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Index("ix_worklist_item_order", "state", "priority_class", "due_at", "id"),
    Index("ix_worklist_item_updated_at", "updated_at"),
)

poison = Table(
    "poison",
    metadata,
    _id(),
    _site(),
    Column("content_sha256", String(64), nullable=False),
    Column("deaths", Integer, nullable=False),
    Column("last_reason", Text, nullable=False),
    Column("last_at", Float, nullable=False),
    Column("quarantined_at", Float),
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
