"""What becomes of a live session's folder: a video of its team, once, whatever ends or is erased meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

import pytest

from pipeline.core.live_protocol import Codec, Mode
from pipeline.core.live_record import encode_entry
from pipeline.core.live_results import Fate
from pipeline.core.poses import FramePoses
from pipeline.db.engine import transaction
from pipeline.db.live_sessions import begin_session
from pipeline.db.queue_state import select_model_pace
from pipeline.db.teams import ensure_team, lock_team, update_team
from pipeline.errors import NotKept
from pipeline.inference.zoo import find_model
from pipeline.live.keeping import FOLDER, Keeper
from pipeline.services.compare import compare_runs
from pipeline.services.ingest import ingest_video
from pipeline.services.live.keeping import reserve, store
from pipeline.services.live.spool import About, End, SpoolWriter
from pipeline.services.live.spooled import Spool
from pipeline.services.promote import get_history
from pipeline.services.request import request_run
from pipeline.services.retry import retry
from pipeline.services.system import System
from pipeline.services.verify import verify_run
from tests.support.analysis import MODEL, put_oracle
from tests.support.erased import erase, is_gone
from tests.support.harness import sql, wait_until
from tests.support.kept_session import done, live_run_of, numbers_of
from tests.support.live import jpeg
from tests.support.oracle_maker import LYING

FRAMES = 12


@dataclass(frozen=True)
class Left:
    """A session whose process ended."""

    id: UUID
    folder: Path

    def spool(self) -> Spool:
        """Its folder, read."""
        return Spool(self.folder)


@pytest.fixture
def left(system: System) -> Left:
    """A session of which every third frame was analysed, and nobody there."""
    put_oracle(system.settings.models_path)
    spec = find_model(MODEL, system.settings.models_path).spec
    with transaction(system.engine) as connection:
        team_id = ensure_team(connection, "ours")
        session_id = begin_session(
            connection, team_id, account_id=None, api_key_id=None, mode=Mode.FULL, name="bars", at_most=1, keep=True
        )
    about = About(str(session_id), "ours", str(team_id), "bars", Codec.JPEG, spec.to_json(), "a GPU", "full")
    writer = SpoolWriter(system.settings.home / FOLDER, about)
    for number in range(1, FRAMES + 1):
        writer.write_frame(number, 40.0 * number, jpeg(number))
        fate = Fate.SUPERSEDED if number % 3 else Fate.ANALYSED
        writer.write_fate(number, encode_entry(fate, FramePoses.empty()), decoded=True, size=LYING)
    writer.end(End({"captured": 40, "received": FRAMES}, "the client ended it"))
    writer.taken.close()
    assert session_id is not None
    return Left(session_id, writer.taken.folder)


def videos(system: System) -> list[tuple[object, ...]]:
    """Names and states of all videos, with the lane and state of each one's runs."""
    return sql(
        system,
        "SELECT v.state, r.lane, r.state FROM video v LEFT JOIN run r ON r.video_id = v.id ORDER BY v.created_at",
    )


def test_the_next_process_takes_up_what_one_left_and_full_runs_come_first(system: System, left: Left) -> None:
    keeper = Keeper(system)
    keeper.start()
    live = live_run_of(system, str(left.id))
    wait_until(lambda: not left.folder.exists(), 10)
    keeper.close()
    assert live.state == "done"  # though two of three frames were not analysed
    assert live.summary is not None
    assert (live.summary["frames"], live.summary["frames_missing"]) == (FRAMES, 8)
    assert live.summary["live"]["line"] == "4 of 12 frames were analysed live; 28 captured frames were not sent"
    assert sql(system, "SELECT computed_with, frames FROM chunk WHERE run_id = :id", id=live.id) == [
        ("a GPU, live", 12)
    ]
    assert verify_run(system, live.id).good
    with transaction(system.engine) as connection:
        fetched = select_model_pace(connection, find_model(MODEL, system.settings.models_path).spec.fingerprint)
    assert fetched is None, "fetching poses tells nothing of how long it takes to find them"
    assert retry(system, str(live.id), team=None).action == "none"
    # A run of all frames is another run, and takes the place of a live one whatever its rule.
    full_id = request_run(system, live.video_id, MODEL).run_id
    assert full_id != live.id
    assert request_run(system, live.video_id, MODEL).run_id == full_id
    sql(system, "UPDATE run SET promotion = 'manual' WHERE id = :id RETURNING id", id=full_id)
    full = done(system, full_id)
    assert full.is_current
    assert list(numbers_of(system, full_id).values()) == list(range(1, FRAMES + 1))
    history = get_history(system, str(live.video_id), team=None)
    assert [(entry.run_id, entry.reason) for entry in history.entries] == [
        (full_id, "it is of all frames: the current one is of those that were analysed live"),
        (live.id, "the video's first run"),
    ]
    figures = compare_runs(system, live.id, full_id, team=None).figures
    assert figures.frames == FRAMES
    assert figures.frames_missing_before == 8


def test_a_live_run_that_ends_after_a_full_one_does_not_take_its_place(system: System, left: Left) -> None:
    video_id = reserve(system, left.spool())
    store(system, left.spool(), video_id, lambda: None)
    [(live_id,)] = sql(system, "SELECT id FROM run")
    ingest_video(system, video_id, "w")
    full = done(system, request_run(system, video_id, MODEL).run_id)
    assert full.is_current
    assert not done(system, UUID(str(live_id))).is_current
    [kept_back, _] = get_history(system, str(video_id), team=None).entries
    assert kept_back.reason == "a live run: the current one is of all frames"


def test_each_step_can_be_repeated(system: System, left: Left) -> None:
    video_id = reserve(system, left.spool())
    assert reserve(system, left.spool()) == video_id
    (left.folder / "video_id").unlink()  # killed before it was noted
    assert reserve(system, left.spool()) == video_id
    assert videos(system) == [("uploading", "live", "waiting")]
    store(system, left.spool(), video_id, lambda: None)
    store(system, left.spool(), video_id, lambda: None)
    assert reserve(system, left.spool()) == video_id
    assert videos(system) == [("stored", "live", "waiting")]
    assert len(sql(system, "SELECT 1 FROM audit WHERE action = 'video_uploaded'")) == 1


def test_a_session_whose_team_has_no_room_is_not_kept_and_says_why(system: System, left: Left) -> None:
    with transaction(system.engine) as connection:
        row = lock_team(connection, "ours")
        assert row is not None
        update_team(connection, replace(row, quota_bytes=1000))
    keeper = Keeper(system)
    keeper.start()
    wait_until(lambda: not left.folder.exists(), 10)
    keeper.close()
    [(reason,)] = sql(system, "SELECT not_kept FROM live_session")
    assert str(reason).startswith("the team uses 0 bytes of its 1000 bytes, and this has")
    assert videos(system) == []


def test_nothing_comes_back_of_what_was_erased(system: System, left: Left) -> None:
    video_id = reserve(system, left.spool())
    erase(system, str(video_id), team="ours")
    with pytest.raises(NotKept, match="erased"):
        store(system, left.spool(), video_id, lambda: None)
    with pytest.raises(NotKept, match="erased"):
        reserve(system, left.spool())
    assert videos(system) == []


def test_what_is_erased_while_it_is_stored_leaves_no_object(system: System, left: Left) -> None:
    video_id = reserve(system, left.spool())

    def erase_once() -> None:
        if videos(system):
            erase(system, str(video_id), team="ours")

    with pytest.raises(NotKept, match="erased"):
        store(system, left.spool(), video_id, erase_once)
    assert is_gone(system, video_id)


def test_a_session_goes_with_its_team(system: System, left: Left) -> None:
    erase(system, team="ours")
    with pytest.raises(NotKept, match="erased"):
        reserve(system, left.spool())
    assert videos(system) == []
