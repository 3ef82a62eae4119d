"""Models: the description of each that a run was made with, beside the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from pipeline.core.precision import Precision
from pipeline.db.tables import model, run


def ensure_model(connection: Connection, fingerprint: str, name: str, spec: Mapping[str, Any]) -> None:
    """Keep what a model is, beside the runs that it made.

    Its name, licence, source and limbs are no part of its fingerprint: what was said of them last counts.
    """
    given = insert(model).values(fingerprint=fingerprint, name=name, spec=dict(spec))
    connection.execute(
        given.on_conflict_do_update(
            index_elements=["fingerprint"],
            set_={"name": given.excluded.name, "spec": given.excluded.spec},
            where=(model.c.name != given.excluded.name) | (model.c.spec != given.excluded.spec),
        )
    )


def select_precision(connection: Connection, run_id: UUID) -> Precision:
    """In which a run is to be computed."""
    statement = select(model.c.precision).join(run, run.c.model_fingerprint == model.c.fingerprint)
    precision: Precision = connection.execute(statement.where(run.c.id == run_id)).scalar_one()
    return precision


def select_model_spec(connection: Connection, fingerprint: str) -> Mapping[str, Any]:
    """What a model was when it was asked for."""
    spec: Mapping[str, Any] = connection.execute(
        select(model.c.spec).where(model.c.fingerprint == fingerprint)
    ).scalar_one()
    return spec
