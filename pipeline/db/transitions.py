"""The one way to change a state: `UPDATE … WHERE state IN (states from which the table allows it)`."""

from __future__ import annotations

from sqlalchemy import Table, Update, update

from pipeline.core.states import ChunkState, ProxyState, RunState, State, VideoState, sources
from pipeline.db.tables import chunk, proxy, run, video

_TABLES: dict[type[State], Table] = {VideoState: video, RunState: run, ChunkState: chunk, ProxyState: proxy}


def move_to(target: State, **values: object) -> Update:
    """An UPDATE that moves rows to `target` from the states that may precede it; rows in other states are left alone.

    The caller adds which rows (`.where(...)`) and what to return.
    """
    table = _TABLES[type(target)]
    allowed = [str(source) for source in sources(target)]
    return update(table).where(table.c.state.in_(allowed)).values(state=str(target), **values)
