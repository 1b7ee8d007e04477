"""Storage commitment: what peers asked us to vouch for, where they hear the answer, and whose certificate they show."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply this step."""
    with op.batch_alter_table("dicom_peer", schema=None) as batch_op:
        batch_op.add_column(sa.Column("certificate_subject", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("certificate_issuer", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("answer_host", sa.String(length=255), nullable=True))
        batch_op.add_column(sa.Column("answer_port", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("answer_tls", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_table(
        "commitment",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("site_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("dicom_peer_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("transaction_uid", sa.String(length=64), nullable=False),
        sa.Column("asked", sa.JSON(), nullable=False),
        sa.Column("failed", sa.JSON(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_try_at", sa.Float(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("asked_at", sa.Float(), nullable=False),
        sa.Column("ended_at", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["dicom_peer_id"], ["dicom_peer.id"], name=op.f("fk_commitment_dicom_peer_id")),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("fk_commitment_site_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_commitment")),
    )
    with op.batch_alter_table("commitment", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_commitment_site_id"), ["site_id"], unique=False)
        batch_op.create_index("ix_commitment_transaction", ["dicom_peer_id", "transaction_uid"], unique=False)
        batch_op.create_index(
            "ix_commitment_next_try_at",
            ["next_try_at"],
            unique=False,
            sqlite_where=sa.text("next_try_at IS NOT NULL"),
            postgresql_where=sa.text("next_try_at IS NOT NULL"),
        )


def downgrade() -> None:
    """Undo this step."""
    op.drop_table("commitment")
    with op.batch_alter_table("dicom_peer", schema=None) as batch_op:
        for column in ("answer_tls", "answer_port", "answer_host", "certificate_issuer", "certificate_subject"):
            batch_op.drop_column(column)
