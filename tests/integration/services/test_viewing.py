"""What the viewer is sent: poses while a run goes on and after it, times, the timeline, and the video in ranges."""

from __future__ import annotations

import gzip
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
import pytest

from pipeline.core.pose_segment import DONE, MISSING, TO_COME
from pipeline.db.engine import transaction
from pipeline.db.frames import iter_frame_rows
from pipeline.errors import NotFound, SourceGone
from pipeline.services.cancel import cancel_run
from pipeline.services.detect import give_up_chunk
from pipeline.services.index_cache import IndexCache
from pipeline.services.system import System
from pipeline.services.viewing.media import open_media
from pipeline.services.viewing.runs import run_segment, run_times
from pipeline.services.viewing.timeline import TimelineCache, run_timeline
from tests.integration.db.test_chunks import claim
from tests.support.analysis import analyse, put_oracle
from tests.support.harness import run_of, sql
from tests.support.packed_reader import ReadSegment, read_frame_table, read_segment
from tests.support.paths import DEMO_CLIP
from tests.support.video_maker import make_video


def video_of(system: System, run_id: UUID) -> UUID:
    return run_of(system, run_id).video_id


def segment(system: System, run_id: UUID, number: int = 0) -> tuple[ReadSegment, bool]:
    packed = run_segment(system, IndexCache(), video_of(system, run_id), run_id, number, team="team")
    return read_segment(gzip.decompress(packed.gzipped)), packed.final


def test_a_run_is_sent_as_it_is_stored(system: System, tmp_path: Path) -> None:
    put_oracle(system.settings.models_path)
    run_id = analyse(system, make_video(tmp_path / "video.mp4"), put=False)
    header, pts = read_frame_table(
        gzip.decompress(run_times(system, IndexCache(), video_of(system, run_id), run_id, team="team").gzipped)
    )
    rows = list(iter_frame_rows(system.engine, run_id))
    assert pts == [row.pts for row in rows]
    assert header["segments"] == [0]
    assert len(header["keypoints"]) == 17
    assert header["skeleton"]
    read, final = segment(system, run_id)
    assert final
    assert read.states == [DONE] * len(rows)
    for row, people in zip(rows, read.people, strict=True):
        assert len(people) == len(row.poses)
        for (_, box, points), true_box, true_points in zip(
            people, row.poses.boxes_xyxy, row.poses.keypoints, strict=True
        ):
            assert box == pytest.approx(true_box, abs=0.0626)
            assert points[:, :2] == pytest.approx(true_points[:, :2], abs=0.0626)
    assert sum(len(row.poses) for row in rows) == 60
    strip = run_timeline(system, video_of(system, run_id), run_id, team="team")
    assert strip.final
    assert (strip.to_come, strip.not_analysed) == ([], [])
    assert [each.most_people for each in strip.stretches] == [len(row.poses) for row in rows]


def test_a_run_is_readable_while_it_goes_on(system: System, short_clip: Path) -> None:
    run_id = analyse(system, short_clip, chunks=[1])
    chunks = sql(system, "SELECT first_frame, frames FROM chunk WHERE run_id = :id ORDER BY idx", id=run_id)
    first, frames = (int(str(value)) for value in chunks[1])
    read, final = segment(system, run_id)
    assert not final
    there = np.array(read.states) == DONE
    assert np.flatnonzero(there).tolist() == list(range(first, first + frames))
    assert set(np.array(read.states)[~there].tolist()) == {TO_COME}
    strip = run_timeline(system, video_of(system, run_id), run_id, team="team")
    assert strip.to_come == [(0, first), (first + frames, 120)]
    assert sum(each.frames for each in strip.stretches) == frames
    assert not strip.final


def test_frames_that_were_given_up_say_why_and_may_come_until_the_run_has_ended(
    system: System, short_clip: Path
) -> None:
    run_id = analyse(system, short_clip, finish=False)
    sql(
        system,
        "UPDATE frame SET missing = 'not decoded', people = 0, scores = '{}', boxes = '{}', keypoints = '{}' "
        "WHERE run_id = :id AND frame BETWEEN 10 AND 12",
        id=run_id,
    )
    read, final = segment(system, run_id)
    assert not final
    assert [frame for frame, state in enumerate(read.states) if state == MISSING] == [10, 11, 12]
    assert read.header["reasons"] == ["not decoded"]
    (span,) = run_timeline(system, video_of(system, run_id), run_id, team="team").missing
    assert (span.first, span.stop, span.reason) == (10, 13, "not decoded")


def test_a_part_that_was_given_up_is_missing_and_not_still_to_come(system: System, short_clip: Path) -> None:
    run_id = analyse(system, short_clip, chunks=[])
    claimed = claim(system, run_id, 0)
    assert claimed is not None
    with transaction(system.engine) as connection:
        give_up_chunk(connection, claimed.lease, "3 workers died on this part of the video")
    strip = run_timeline(system, video_of(system, run_id), run_id, team="team")
    (span,) = strip.missing
    assert (span.first, span.reason) == (0, "3 workers died on this part of the video")
    assert strip.to_come == [(span.stop, 120)]
    assert cancel_run(system, run_id, team="team").was_open
    strip = run_timeline(system, video_of(system, run_id), run_id, team="team")
    assert (strip.to_come, strip.not_analysed) == ([], [(span.stop, 120)])


def test_the_timeline_of_a_run_that_ended_is_counted_once_and_again_when_it_ends_again(
    system: System, short_clip: Path
) -> None:
    run_id = analyse(system, short_clip)
    cache, video_id = TimelineCache(), video_of(system, run_id)
    strip = run_timeline(system, video_id, run_id, team="team", cache=cache)
    sql(system, "DELETE FROM frame WHERE run_id = :id AND frame >= 60", id=run_id)
    assert run_timeline(system, video_id, run_id, team="team", cache=cache) == strip
    sql(system, "UPDATE run SET finished_at = finished_at + interval '1 second' WHERE id = :id", id=run_id)
    again = run_timeline(system, video_id, run_id, team="team", cache=cache)
    assert [each.frames for each in again.stretches] == [1] * 60


def test_a_cancelled_run_says_of_the_rest_that_it_was_not_analysed(system: System, short_clip: Path) -> None:
    run_id = analyse(system, short_clip, chunks=[0])
    sql(system, "UPDATE chunk SET state = 'cancelled' WHERE run_id = :id AND state = 'ready'", id=run_id)
    sql(system, "UPDATE run SET state = 'cancelled', finished_at = now() WHERE id = :id", id=run_id)
    read, final = segment(system, run_id)
    assert final
    assert read.header["reasons"] == ["not analysed: the run was cancelled"]
    assert read.states[-1] == MISSING
    strip = run_timeline(system, video_of(system, run_id), run_id, team="team")
    analysed = sum(each.frames for each in strip.stretches)
    assert (strip.not_analysed, strip.to_come) == ([(analysed, 120)], [])


@pytest.mark.parametrize("team", ["other", "team"])
def test_another_team_learns_nothing(system: System, short_clip: Path, team: str) -> None:
    known = analyse(system, short_clip, finish=False)
    run_id, video_id = (known, run_of(system, known).video_id) if team == "other" else (uuid4(), uuid4())
    for ask in (
        lambda: run_times(system, IndexCache(), video_id, run_id, team=team),
        lambda: run_segment(system, IndexCache(), video_id, run_id, 0, team=team),
        lambda: run_timeline(system, video_id, run_id, team=team),
        lambda: open_media(system, video_id, team=team),
    ):
        with pytest.raises(NotFound):
            ask()


def test_a_run_is_read_through_its_own_video_alone(system: System, short_clip: Path, tmp_path: Path) -> None:
    """A link to one video opens no other."""
    run_id = analyse(system, short_clip, finish=False)
    other = video_of(system, analyse(system, make_video(tmp_path / "video.mp4"), finish=False, put=False))
    for ask in (
        lambda: run_times(system, IndexCache(), other, run_id, team="team"),
        lambda: run_segment(system, IndexCache(), other, run_id, 0, team="team"),
        lambda: run_timeline(system, other, run_id, team="team"),
    ):
        with pytest.raises(NotFound, match="of this video"):
            ask()


@pytest.mark.parametrize("number", [-1, 1])
def test_there_is_no_other_segment(system: System, short_clip: Path, number: int) -> None:
    with pytest.raises(NotFound, match="segments 0 to 0"):
        segment(system, analyse(system, short_clip, finish=False), number)


def test_the_video_is_read_in_ranges_and_never_another_one(system: System, short_clip: Path) -> None:
    run_id = analyse(system, short_clip, finish=False)
    media = open_media(system, run_of(system, run_id).video_id, team="team")
    whole = short_clip.read_bytes()
    assert media.content_type == "video/mp4"
    assert media.size_bytes == len(whole)
    for first, stop in [(0, len(whole)), (0, 1), (5, 105), (len(whole) - 1, len(whole)), (7, 7)]:
        assert b"".join(media.read(first, stop)) == whole[first:stop]
    system.store.put_file(DEMO_CLIP, media.source.key)
    with pytest.raises(SourceGone):
        b"".join(media.read(0, 10))
