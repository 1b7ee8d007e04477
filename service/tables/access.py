"""Sites, who may call for them, and their sessions."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)

from service.tables.columns import metadata, of, of_site, own_id

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
    Column("certificate_subject", Text),  # when set, only with one of this name by this authority (RFC 4514)
    Column("certificate_issuer", Text),
    Column("answer_host", String(255)),  # where it listens, for what we tell it by ourselves; null: nowhere
    Column("answer_port", Integer),
    Column("answer_tls", Boolean, nullable=False, server_default=false()),
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

account = Table(
    "account",
    metadata,
    own_id(),
    Column("public_id", String(32), nullable=False, unique=True),
    Column("login", String(128), nullable=False, unique=True),  # folded: no two differ by case only
    Column("name", Text, nullable=False),  # as it stands on a report
    Column("role", String(24), nullable=False),  # Role
    of_site(nullable=True),  # null: all sites
    Column("language", String(8), nullable=False),
    Column("time_zone", String(64), nullable=False),
    Column("licence_number", Text),  # of a physician who signs
    Column("reading_policy", String(16)),  # triage, blind; null: the site's
    Column("preferences", JSON, nullable=False),  # hot keys, presets, macros: the person's own
    Column("password_hash", Text),  # Argon2id; null until chosen
    Column("password_set_at", Float),
    Column("totp_secret", Text),  # sealed with the installation's key
    Column("totp_confirmed_at", Float),
    Column("totp_last_step", Integer),  # a code counts once
    Column("oidc_issuer", Text),
    Column("oidc_subject", Text),
    Column("created_at", Float, nullable=False),
    Column("disabled_at", Float),
    UniqueConstraint("oidc_issuer", "oidc_subject"),
)

sign_in_try = Table(
    "sign_in_try",
    metadata,
    own_id(),
    Column("login_sha256", String(64), nullable=False),  # of what was typed: it may be a password in the wrong field
    Column("address", String(64), nullable=False),
    Column("tried_at", Float, nullable=False),
    Column("succeeded", Boolean, nullable=False),
    Index("ix_sign_in_try_login", "login_sha256", "tried_at"),
    Index("ix_sign_in_try_address", "address", "tried_at"),
)

sign_in_link = Table(
    "sign_in_link",
    metadata,
    own_id(),
    of("account"),
    Column("token_sha256", String(64), nullable=False, unique=True),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("used_at", Float),
)

session = Table(
    "session",
    metadata,
    own_id(),
    of("account"),
    Column("token_sha256", String(64), nullable=False, unique=True),
    Column("created_at", Float, nullable=False),
    Column("seen_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("ended_at", Float),
    Column("confirmed_at", Float),  # when its person last proved who they are
    Index("ix_session_account_id", "account_id"),
)

audit_event = Table(
    "audit_event",
    metadata,
    own_id(),
    of_site(nullable=True),  # null: of the installation
    Column("at", Float, nullable=False),
    Column("actor", String(64), nullable=False),  # account's public id, key's prefix, or "system"
    Column("role", String(24)),
    Column("action", String(64), nullable=False),
    Column("outcome", String(16), nullable=False),  # success, refused
    Column("object_type", String(32)),
    Column("object_id", String(64)),
    Column("detail", JSON, nullable=False),  # no patient attribute
    Column("request_id", String(32)),
    Column("previous_sha256", String(64), nullable=False),
    Column("sha256", String(64), nullable=False, unique=True),
    Index("ix_audit_event_at", "at"),
    Index("ix_audit_event_object", "object_type", "object_id"),
)
