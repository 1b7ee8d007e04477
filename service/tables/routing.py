"""The routing rules, every revision of them."""

from __future__ import annotations

from sqlalchemy import Column, Float, Integer, String, Table, Text

from service.tables.columns import metadata, own_id

rule_set = Table(
    "rule_set",
    metadata,
    own_id(),  # the revision; the newest one holds
    Column("text", Text, nullable=False),  # the whole file
    Column("rules", Integer, nullable=False),  # how many
    Column("sha256", String(64), nullable=False),
    Column("changed_by", String(64), nullable=False),  # account's public id, or "system"
    Column("changed_at", Float, nullable=False),
    Column("note", Text, nullable=False),  # why, in the words of who changed them
)
"""Append-only: the database refuses changes."""
