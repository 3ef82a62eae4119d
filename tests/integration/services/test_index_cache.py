"""What a chunk costs does not grow with its video: the frame index is read once by a worker, and kept."""

from __future__ import annotations

from sqlalchemy import event

from pipeline.db.engine import transaction
from pipeline.services.index_cache import IndexCache
from tests.support.analysis import analyse
from tests.support.harness import run_of, sql
from tests.support.long_run import make_long_run


def test_a_worker_reads_the_index_of_a_video_once(system, short_clip):
    """However many chunks it analyses: the cost of a chunk does not grow with its video."""
    statements = []
    event.listen(system.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    run_id = analyse(system, short_clip, finish=False)
    assert sql(system, "SELECT count(*) > 2 FROM chunk WHERE run_id = :id AND state = 'done'", id=run_id) == [(True,)]
    read = [s for s in statements if s.startswith("SELECT video.frame_index \n")]
    assert len(read) == 2, "by the plan, and by the first chunk"


def test_few_indexes_are_kept(system):
    """At least the last one, and no more than fit."""
    ids = [run_of(system, make_long_run(system, frames, people=0)).video_id for frames in (10, 20)]
    cache = IndexCache(max_bytes=1)
    with transaction(system.engine) as connection:
        first = cache.get(connection, ids[0])
        assert cache.get(connection, ids[0]) is first
        assert len(cache.get(connection, ids[1])) == 20
        assert cache.get(connection, ids[0]) is not first
