"""The only way to change a state: `UPDATE … WHERE state IN (what the table allows)`."""

from __future__ import annotations

from sqlalchemy import Table, Update, update

from pipeline.core.states import ChunkState, RunState, State, VideoState, sources
from pipeline.db.tables import chunk, run, video

_TABLES: dict[type[State], Table] = {VideoState: video, RunState: run, ChunkState: chunk}


def move_to(target: State, **values: object) -> Update:
    """An UPDATE that moves rows to `target`, from where it may be reached and nowhere else.

    The caller adds which rows (`.where(...)`) and what to return; rows in another state are left alone.
    """
    table = _TABLES[type(target)]
    allowed = [str(source) for source in sources(target)]
    return update(table).where(table.c.state.in_(allowed)).values(state=str(target), **values)
