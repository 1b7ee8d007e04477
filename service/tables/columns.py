"""What every table is built with: the metadata, and the columns that most of them have."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Integer,
    MetaData,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def own_id() -> Column[int]:
    """Return the column of our own row numbers."""
    return Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)


def of_site(*, nullable: bool = False) -> Column[int]:
    """Return the column of the site that a row belongs to."""
    return Column("site_id", ForeignKey("site.id"), nullable=nullable, index=True)


def of(target: str, *, nullable: bool = False) -> Column[Any]:
    """Return the column `<target>_id` that points to a row of another table."""
    return Column(f"{target}_id", ForeignKey(f"{target}.id"), nullable=nullable)
