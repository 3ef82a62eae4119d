"""Every id that is in the database, read in a stream, to be compared with those that were erased."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from sqlalchemy import Connection, select, text

from pipeline.db.tables import frame_removal, run, team, video

_FETCH_ROWS = 10_000
# From one run to the next in the primary key, however many frames each has.
_RUNS_OF_FRAMES = text("""
WITH RECURSIVE of_frames AS (
    (SELECT run_id FROM frame ORDER BY run_id LIMIT 1)
    UNION ALL
    SELECT (SELECT run_id FROM frame WHERE run_id > of_frames.run_id ORDER BY run_id LIMIT 1)
    FROM of_frames WHERE of_frames.run_id IS NOT NULL
)
SELECT run_id FROM of_frames WHERE run_id IS NOT NULL
""")
_DONE_TO = text("""
SELECT CAST(subject AS uuid) AS id FROM audit
WHERE subject ~ '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'
""")


def iter_ids(connection: Connection) -> Iterator[tuple[str, UUID]]:
    """The ids of all videos, runs and teams, of the runs that have frames, and of what somebody did something to: in
    which table each is, and the id."""
    for table in (video, run, team):
        rows = connection.execution_options(yield_per=_FETCH_ROWS).execute(select(table.c.id))
        for row in rows:
            yield table.name, row.id
    for row in connection.execution_options(yield_per=_FETCH_ROWS).execute(select(frame_removal.c.run_id)):
        yield "frame", row.run_id
    for row in connection.execution_options(yield_per=_FETCH_ROWS).execute(_RUNS_OF_FRAMES):
        yield "frame", row.run_id
    for row in connection.execution_options(yield_per=_FETCH_ROWS).execute(_DONE_TO):
        yield "audit", row.id
