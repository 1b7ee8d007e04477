"""What decoded the bytes that killed their decoder: a quarantine ends when the decoders change."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply this step. What died before under decoders that nobody noted is tried again."""
    with op.batch_alter_table("poison", schema=None) as batch_op:
        batch_op.add_column(sa.Column("decoders", sa.String(length=128), nullable=True))


def downgrade() -> None:
    """Undo this step."""
    with op.batch_alter_table("poison", schema=None) as batch_op:
        batch_op.drop_column("decoders")
