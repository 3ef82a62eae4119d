"""Comparisons that are kept: how a run differs from the one that was current when it was finished."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from pipeline.core.comparison_figures import ComparisonFigures
from pipeline.db.tables import comparison


def save_comparison(connection: Connection, run_id: UUID, against_run_id: UUID, figures: ComparisonFigures) -> None:
    """Keep a run's comparison; another one of the same run is replaced."""
    values = {"against_run_id": against_run_id, "figures": figures.to_dict()}
    statement = insert(comparison).values(run_id=run_id, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=[comparison.c.run_id], set_=values))


def select_comparison(connection: Connection, run_id: UUID) -> tuple[UUID, ComparisonFigures] | None:
    """With which run a run was compared, and how it differs; None where that is not known."""
    row = connection.execute(
        select(comparison.c.against_run_id, comparison.c.figures).where(comparison.c.run_id == run_id)
    ).first()
    if row is None:
        return None
    figures = ComparisonFigures.from_dict(row.figures)
    return None if figures is None else (row.against_run_id, figures)
