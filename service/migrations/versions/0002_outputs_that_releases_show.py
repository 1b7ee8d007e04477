"""Outputs that releases show: what of a run readers see, and how far it was tested."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply this step. What was scored before stays as readers saw it: all of it shown."""
    with op.batch_alter_table("release", schema=None) as batch_op:
        batch_op.add_column(sa.Column("shows", sa.JSON(), server_default="[]", nullable=False))
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.add_column(sa.Column("shown", sa.JSON(), nullable=True))
    with op.batch_alter_table("finding", schema=None) as batch_op:
        batch_op.add_column(sa.Column("shown", sa.Boolean(), server_default=sa.true(), nullable=False))
        batch_op.add_column(sa.Column("calibrated", sa.Boolean(), server_default=sa.true(), nullable=False))
        batch_op.add_column(sa.Column("evidence", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Undo this step."""
    with op.batch_alter_table("finding", schema=None) as batch_op:
        batch_op.drop_column("evidence")
        batch_op.drop_column("calibrated")
        batch_op.drop_column("shown")
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.drop_column("shown")
    with op.batch_alter_table("release", schema=None) as batch_op:
        batch_op.drop_column("shows")
