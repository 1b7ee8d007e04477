"""Series keep how their slices lie: stacks in order, affine, and what is wrong with them."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply this step. Series that came before have none until their study is scored again."""
    with op.batch_alter_table("series", schema=None) as batch_op:
        batch_op.add_column(sa.Column("geometry", sa.JSON(none_as_null=True), nullable=True))
        batch_op.add_column(sa.Column("slice_faults", sa.JSON(none_as_null=True), nullable=True))


def downgrade() -> None:
    """Undo this step."""
    with op.batch_alter_table("series", schema=None) as batch_op:
        batch_op.drop_column("slice_faults")
        batch_op.drop_column("geometry")
