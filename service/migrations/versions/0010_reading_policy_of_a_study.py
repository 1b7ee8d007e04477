"""The reading policy that a routing rule sets for one study."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply this step. No rule has set a policy before."""
    op.add_column("study", sa.Column("rule_policy", sa.String(length=16), nullable=True))


def downgrade() -> None:
    """Undo this step. Studies are read under the policies of reader and site again."""
    op.drop_column("study", "rule_policy")
