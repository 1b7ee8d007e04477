"""What peers asked us to vouch for (PS3.4 annex J), until they have heard the answer."""

from __future__ import annotations

from sqlalchemy import JSON, Column, Float, Index, Integer, String, Table, Text, text

from service.tables.columns import metadata, of, of_site, own_id

commitment = Table(
    "commitment",
    metadata,
    own_id(),
    of_site(),
    of("dicom_peer"),
    Column("transaction_uid", String(64), nullable=False),
    Column("asked", JSON, nullable=False),  # [[SOP class, SOP instance], ...], each pair once
    Column("failed", JSON),  # [[SOP class, SOP instance, failure reason], ...]; null until checked
    Column("state", String(16), nullable=False),  # asked, checked, answered, given_up
    Column("attempts", Integer, nullable=False),
    Column("next_try_at", Float),  # null: over
    Column("last_error", Text),  # no address and no UID in it
    Column("asked_at", Float, nullable=False),
    Column("ended_at", Float),
    Index("ix_commitment_transaction", "dicom_peer_id", "transaction_uid"),
    Index(
        "ix_commitment_next_try_at",
        "next_try_at",
        sqlite_where=text("next_try_at IS NOT NULL"),
        postgresql_where=text("next_try_at IS NOT NULL"),
    ),
)
