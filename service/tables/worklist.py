"""What waits for a person."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
)

from service.tables.base import metadata, of_site, own_id

worklist_item = Table(
    "worklist_item",
    metadata,
    own_id(),
    of_site(),
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
