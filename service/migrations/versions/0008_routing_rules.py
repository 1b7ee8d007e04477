"""Routing rules: their revisions, what they decided of studies and runs, and who sent an image."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply this step. What was decided before was decided without rules."""
    op.create_table(
        "rule_set",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("rules", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("changed_by", sa.String(length=64), nullable=False),
        sa.Column("changed_at", sa.Float(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rule_set")),
    )
    # Plain ALTER TABLE: a batch would copy tables of millions of rows, and drop triggers on the way.
    op.add_column("study", sa.Column("rule_priority", sa.Integer(), nullable=True))
    op.add_column("study", sa.Column("routing", sa.JSON(), nullable=True))
    op.add_column("instance", sa.Column("sender", sa.Text(), nullable=True))
    op.add_column("run", sa.Column("routing", sa.JSON(), nullable=True))
    if op.get_bind().dialect.name == "sqlite":
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER rule_set_no_{change.lower()} BEFORE {change} ON rule_set "
                "BEGIN SELECT RAISE(ABORT, 'rule_set is append-only'); END"
            )
    else:
        op.execute(
            "CREATE TRIGGER rule_set_append_only BEFORE UPDATE OR DELETE ON rule_set "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )


def downgrade() -> None:
    """Undo this step. The rules and what they decided are lost."""
    op.drop_column("run", "routing")
    op.drop_column("instance", "sender")
    op.drop_column("study", "routing")
    op.drop_column("study", "rule_priority")
    op.drop_table("rule_set")
