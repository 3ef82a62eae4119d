"""A command that is in another's way, each waiting for rows that the other has locked, is tried again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from uuid import UUID

import pytest
from sqlalchemy import text

from pipeline.db.engine import transaction
from pipeline.errors import Deadlock, NotFound
from pipeline.services.promote import promote, rollback
from pipeline.services.system import System
from tests.support.harness import sql, wait_until
from tests.support.versions import current_of, make_run, make_video


def in_the_way_of_an_erasure(
    system: System, video_id: UUID, call: Callable[[], object], then: str = ""
) -> list[object]:
    """What a call returns or raises while another session locks the runs of a video, then the video, as an erasure
    does, and commits `then` with it."""
    ended: list[object] = []

    def run() -> None:
        try:
            ended.append(call())
        except Exception as error:  # noqa: BLE001 - the test looks at it
            ended.append(error)

    with transaction(system.engine) as connection:
        connection.execute(text("SELECT 1 FROM run WHERE video_id = :id FOR UPDATE"), {"id": video_id})
        thread = threading.Thread(target=run)
        thread.start()
        wait_until(lambda: sql(system, "SELECT count(*) FROM pg_locks WHERE NOT granted") != [(0,)], 10)
        # It has the video and waits for the runs; Postgres ends it, for it has waited longer.
        connection.execute(text("SELECT 1 FROM video WHERE id = :id FOR UPDATE"), {"id": video_id})
        for statement in then.split(";"):
            connection.execute(text(statement or "SELECT :id"), {"id": video_id})
    thread.join(30)
    return ended


def test_a_promotion_and_a_rollback_are_done_after_a_deadlock(system: System) -> None:
    video_id = make_video(system)
    first, second = (make_run(system, video_id, model=name) for name in ("older", "newer"))
    assert current_of(system, video_id) == second
    [change] = in_the_way_of_an_erasure(
        system, video_id, lambda: promote(system, str(first), team=None, by="a coach").action
    )
    assert (change, current_of(system, video_id)) == ("promoted", first)
    [change] = in_the_way_of_an_erasure(
        system, video_id, lambda: rollback(system, str(video_id), team=None, by="a coach").action
    )
    assert (change, current_of(system, video_id)) == ("rolled_back", second)


def test_a_promotion_that_an_erasure_overtakes_says_that_there_is_nothing_any_more(system: System) -> None:
    video_id = make_video(system)
    first, _ = (make_run(system, video_id, model=name) for name in ("older", "newer"))
    erased = (
        "UPDATE video SET current_run_id = NULL WHERE id = :id; DELETE FROM promotion WHERE video_id = :id;"
        "DELETE FROM comparison WHERE run_id IN (SELECT id FROM run WHERE video_id = :id);"
        "DELETE FROM chunk WHERE run_id IN (SELECT id FROM run WHERE video_id = :id);"
        "DELETE FROM run WHERE video_id = :id"
    )
    [error] = in_the_way_of_an_erasure(
        system, video_id, lambda: promote(system, str(first), team=None, by="a coach"), erased
    )
    assert isinstance(error, NotFound), error


def test_a_deadlock_is_not_told_as_an_outage(system: System) -> None:
    video_id = make_video(system)
    make_run(system, video_id)

    def as_a_promotion_does() -> None:
        with transaction(system.engine) as connection:
            for table, column in (("video", "id"), ("run", "video_id")):
                connection.execute(text(f"SELECT 1 FROM {table} WHERE {column} = :id FOR UPDATE"), {"id": video_id})

    [error] = in_the_way_of_an_erasure(system, video_id, as_a_promotion_does)
    assert isinstance(error, Deadlock)
    with pytest.raises(Deadlock, match="try again"):
        raise error
    assert "start it" not in error.message
