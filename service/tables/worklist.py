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
    Text,
)

from service.tables.columns import metadata, of_site, own_id

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
    Column("center_due_at", Float, nullable=False, server_default="0"),  # due time that nothing of the AI moved
    Column("fence", Integer, nullable=False, server_default="0"),  # grows with every claim; a write shows its own
    Column("claimed_by_id", ForeignKey("account.id")),
    Column("claimed_at", Float),
    Column("claim_expires_at", Float),
    Column("completed_at", Float),
    Index("ix_worklist_item_order", "state", "priority_class", "due_at", "id"),
    Index("ix_worklist_item_blind_order", "state", "center_due_at", "id"),
    Index("ix_worklist_item_updated_at", "updated_at"),
    Index("ix_worklist_item_claimed_by_id", "claimed_by_id"),
)

claim_event = Table(
    "claim_event",
    metadata,
    own_id(),
    of_site(),
    Column("study_id", ForeignKey("study.id"), nullable=False),
    Column("account_id", ForeignKey("account.id"), nullable=False),
    Column("fence", Integer, nullable=False),
    Column("kind", String(16), nullable=False),  # claimed, released, expired, taken, completed
    Column("reason", Text),  # why a chief took it
    Column("at", Float, nullable=False),
    Index("ix_claim_event_study_id", "study_id", "id"),
)
