"""Uploads that go on after a broken connection."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply this step."""
    op.create_table(
        "resumable_upload",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("site_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("public_id", sa.String(length=32), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("offset_bytes", sa.BigInteger(), nullable=False),
        sa.Column("content_sha256", sa.String(length=64), nullable=True),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.Column("taken_at", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("fk_resumable_upload_site_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_resumable_upload")),
        sa.UniqueConstraint("public_id", name=op.f("uq_resumable_upload_public_id")),
    )
    with op.batch_alter_table("resumable_upload", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_resumable_upload_site_id"), ["site_id"], unique=False)
        batch_op.create_index("ix_resumable_upload_expires_at", ["expires_at"], unique=False)


def downgrade() -> None:
    """Undo this step. Uploads that are on their way begin again."""
    op.drop_table("resumable_upload")
