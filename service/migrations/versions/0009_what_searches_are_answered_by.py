"""Indexes for searches that read whole tables: by modality, description, birth date, study ID, and far pages."""

from collections.abc import Sequence

from alembic import op

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply this step."""
    op.create_index("ix_series_modality", "series", ["site_id", "modality", "study_id"])
    op.create_index("ix_study_description", "study", ["site_id", "study_description"])
    op.create_index("ix_study_birth_date", "study", ["site_id", "patient_birth_date"])
    op.create_index("ix_study_study_id_text", "study", ["site_id", "study_id_text"])
    op.drop_index("ix_study_newest", table_name="study")
    op.create_index("ix_study_newest", "study", ["study_date", "id", "site_id"])


def downgrade() -> None:
    """Undo this step."""
    op.drop_index("ix_study_newest", table_name="study")
    op.create_index("ix_study_newest", "study", ["study_date", "id"])
    op.drop_index("ix_study_study_id_text", table_name="study")
    op.drop_index("ix_study_birth_date", table_name="study")
    op.drop_index("ix_study_description", table_name="study")
    op.drop_index("ix_series_modality", table_name="series")
