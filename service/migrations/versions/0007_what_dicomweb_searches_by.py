"""What DICOMweb searches by: referring physicians folded, the time zone, the request behind a series."""

import unicodedata
from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

BATCH = 1_000


def upgrade() -> None:
    """Apply this step. What came before knows its physicians; its time zone and requests were not kept."""
    with op.batch_alter_table("study", schema=None) as batch_op:
        batch_op.add_column(sa.Column("referring_physician_folded", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("timezone_offset_from_utc", sa.String(length=16), nullable=True))
        batch_op.create_index("ix_study_referring_physician_folded", ["site_id", "referring_physician_folded"])
        batch_op.create_index("ix_study_newest", ["study_date", "id"])
    with op.batch_alter_table("series", schema=None) as batch_op:
        batch_op.add_column(sa.Column("requested_procedure_id", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("scheduled_procedure_step_id", sa.Text(), nullable=True))
        batch_op.create_index(
            "ix_series_requested_procedure_id",
            ["site_id", "requested_procedure_id"],
            sqlite_where=sa.text("requested_procedure_id IS NOT NULL"),
            postgresql_where=sa.text("requested_procedure_id IS NOT NULL"),
        )
    _fold_physicians(op.get_bind())


def _fold_physicians(connection: sa.Connection) -> None:
    study = sa.table(
        "study", sa.column("id"), sa.column("referring_physician_name"), sa.column("referring_physician_folded")
    )
    last = 0
    while True:
        rows = connection.execute(
            sa.select(study.c.id, study.c.referring_physician_name)
            .where(study.c.id > last, study.c.referring_physician_name.is_not(None))
            .order_by(study.c.id)
            .limit(BATCH)
        ).all()
        if not rows:
            return
        change = sa.update(study).where(study.c.id == sa.bindparam("row"))
        connection.execute(
            change.values(referring_physician_folded=sa.bindparam("folded")),
            [{"row": number, "folded": _fold(name)} for number, name in rows],
        )
        last = rows[-1][0]


def _fold(name: str) -> str:
    """As names are folded at the time of this step."""
    decomposed = unicodedata.normalize("NFKD", name.replace("^", " ").replace("=", " ").casefold())
    plain = "".join(c for c in decomposed if not unicodedata.combining(c))
    return " ".join(unicodedata.normalize("NFC", plain).split())


def downgrade() -> None:
    """Undo this step."""
    with op.batch_alter_table("series", schema=None) as batch_op:
        batch_op.drop_index("ix_series_requested_procedure_id")
        batch_op.drop_column("scheduled_procedure_step_id")
        batch_op.drop_column("requested_procedure_id")
    with op.batch_alter_table("study", schema=None) as batch_op:
        batch_op.drop_index("ix_study_newest")
        batch_op.drop_index("ix_study_referring_physician_folded")
        batch_op.drop_column("timezone_offset_from_utc")
        batch_op.drop_column("referring_physician_folded")
