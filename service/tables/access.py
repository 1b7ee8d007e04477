"""Sites, who may call for them, and their sessions."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Column,
    Float,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from service.tables.base import metadata, of_site, own_id

site = Table(
    "site",
    metadata,
    own_id(),
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
    own_id(),
    of_site(),
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
    own_id(),
    of_site(),
    Column("name", Text, nullable=False),
    Column("prefix", String(12), nullable=False),
    Column("key_sha256", String(64), nullable=False, unique=True),
    Column("created_at", Float, nullable=False),
    Column("revoked_at", Float),
)

sign_in_link = Table(
    "sign_in_link",
    metadata,
    own_id(),
    of_site(nullable=True),  # null: all sites
    Column("token_sha256", String(64), nullable=False, unique=True),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("used_at", Float),
)

session = Table(
    "session",
    metadata,
    own_id(),
    of_site(nullable=True),
    Column("token_sha256", String(64), nullable=False, unique=True),
    Column("created_at", Float, nullable=False),
    Column("seen_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("ended_at", Float),
)
