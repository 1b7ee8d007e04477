"""What arrived: studies, series, instances, and what went wrong at the doors."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
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
    text,
)

from service.tables.columns import metadata, of, of_site, own_id

study = Table(
    "study",
    metadata,
    own_id(),
    of_site(),
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
    Column("referring_physician_folded", Text),
    Column("timezone_offset_from_utc", String(16)),
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
    Column("rule_priority", Integer),  # the class that a routing rule raises to; null: none does
    Column("rule_policy", String(16)),  # triage, blind: what a routing rule says; null: reader and site decide
    Column("routing", JSON),  # list of Decision: which rule decided what of the study
    UniqueConstraint("site_id", "study_instance_uid"),
    Index(
        "ix_study_settle_at",
        "settle_at",
        sqlite_where=text("settle_at IS NOT NULL"),
        postgresql_where=text("settle_at IS NOT NULL"),
    ),
    Index("ix_study_date", "site_id", "study_date", "id"),
    Index("ix_study_newest", "study_date", "id", "site_id"),
    Index("ix_study_birth_date", "site_id", "patient_birth_date"),
    Index("ix_study_description", "site_id", "study_description"),
    Index("ix_study_study_id_text", "site_id", "study_id_text"),
    Index("ix_study_patient_id", "site_id", "patient_id"),
    Index("ix_study_accession_number", "site_id", "accession_number"),
    Index("ix_study_patient_name_folded", "site_id", "patient_name_folded"),
    Index("ix_study_referring_physician_folded", "site_id", "referring_physician_folded"),
)

series = Table(
    "series",
    metadata,
    own_id(),
    of_site(),
    of("study"),
    Column("series_instance_uid", String(64), nullable=False),
    Column("modality", String(16)),
    Column("series_number", Integer),
    Column("series_description", Text),
    Column("body_part_examined", String(64)),
    Column("performed_date", String(8)),
    Column("performed_time", String(16)),
    Column("requested_procedure_id", Text),
    Column("scheduled_procedure_step_id", Text),
    Column("instance_count", Integer, nullable=False),
    Column("is_result", Boolean, nullable=False),
    Column("geometry", JSON(none_as_null=True)),  # of CT and MR: stacks, their order, what is wrong; when settled
    Column("slice_faults", JSON(none_as_null=True)),  # what the center can put right: problem → slices; null: nothing
    UniqueConstraint("study_id", "series_instance_uid"),
    Index("ix_series_uid", "site_id", "series_instance_uid"),
    Index("ix_series_modality", "site_id", "modality", "study_id"),
    Index(
        "ix_series_requested_procedure_id",
        "site_id",
        "requested_procedure_id",
        sqlite_where=text("requested_procedure_id IS NOT NULL"),
        postgresql_where=text("requested_procedure_id IS NOT NULL"),
    ),
)

instance = Table(
    "instance",
    metadata,
    own_id(),
    of_site(),
    of("study"),
    of("series"),
    Column("sop_instance_uid", String(64), nullable=False),
    Column("sop_class_uid", String(64), nullable=False),
    Column("transfer_syntax_uid", String(64), nullable=False),
    Column("instance_number", Integer),
    Column("content_sha256", String(64), nullable=False),  # of the data set: the archive's name for it
    Column("size_bytes", BigInteger, nullable=False),
    Column("header", JSON, nullable=False),
    Column("revision", Integer, nullable=False),  # of the study, in which it first counts
    Column("door", String(16), nullable=False),
    Column("sender", Text),  # AE title, key or account: a routing rule may ask; null: from before it was kept
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
    own_id(),
    of_site(nullable=True),  # null: the sender is nobody we know
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

resumable_upload = Table(
    "resumable_upload",
    metadata,
    own_id(),
    of_site(),
    Column("public_id", String(32), nullable=False, unique=True),
    Column("sender", Text, nullable=False),  # key prefix or account
    Column("size_bytes", BigInteger, nullable=False),
    Column("offset_bytes", BigInteger, nullable=False),  # so much stands on the disk
    Column("content_sha256", String(64)),  # what the sender says of the whole file
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("taken_at", Float),  # kept from then on only for its sender to ask again
    Index("ix_resumable_upload_expires_at", "expires_at"),
)
