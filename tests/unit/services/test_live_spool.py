"""What a live session leaves in its folder, and the video that it becomes: each picture once, at its own time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import av
import numpy as np
import pytest

from pipeline.core.live_protocol import Codec
from pipeline.core.live_record import LiveRecord, encode_entry
from pipeline.core.live_results import Fate
from pipeline.core.poses import FramePoses
from pipeline.services.live.spool import LOG, VIDEO, About, End, SpoolWriter, iter_left, take
from pipeline.services.live.spooled import Spool
from tests.support.live import H264Camera, jpeg
from tests.support.oracle_maker import LYING
from tests.support.video_maker import read_number

FAILED = b"waits for a keyframe"


def begin(home: Path, codec: Codec = Codec.H264) -> SpoolWriter:
    """A session that begins."""
    return SpoolWriter(home, About(str(uuid4()), "ours", str(uuid4()), "", codec, "{}", "a CPU", "full"))


def write(
    writer: SpoolWriter, number: int, data: bytes, fate: Fate = Fate.ANALYSED, size: tuple[int, int] = LYING
) -> None:
    """A frame whose pose is its number, or that has none."""
    writer.write_frame(number, 1000.0 + 40 * number, data)
    one = FramePoses(np.full(1, 0.5), np.full((1, 4), number), np.full((1, 1, 3), number))
    decoded = fate is not Fate.FAILED
    entry = encode_entry(fate, one if fate is Fate.ANALYSED else None, "" if decoded else FAILED.decode())
    writer.write_fate(number, entry, decoded=decoded, size=size if decoded else (0, 0))


def end(writer: SpoolWriter, how: End | None = None) -> None:
    """Its end."""
    writer.end(how or End())
    writer.taken.close()


def pictures(file: Path) -> list[tuple[int, int]]:
    """The pts and the painted number of each picture."""
    with av.open(str(file)) as container:
        return [
            (frame.pts, read_number(frame.to_ndarray(format="bgr24")))
            for frame in container.decode(video=0)
            if frame.pts is not None
        ]


def poses(file: Path, spool: Spool) -> dict[int, int]:
    """The number that the poses at each pts are of; -1 where there are none."""
    data = file.read_bytes()
    record = LiveRecord(lambda at, size: data[at : at + size], len(data), spool.session_id)
    found = record.iter_entries(0, 2**60)
    return {pts: int(entry.poses.keypoints[0, 0, 0]) if len(entry.poses) else -1 for pts, entry in found}


def finished(folder: Path) -> tuple[Spool, list[tuple[int, int]], dict[int, int]]:
    """The video of a folder: its pictures, and its poses."""
    spool = Spool(folder)
    size = spool.finish_video()
    assert spool.finish_video() == size == (folder / VIDEO).stat().st_size
    return spool, pictures(folder / VIDEO), poses(folder / VIDEO, spool)


@pytest.mark.parametrize("codec", list(Codec))
def test_a_session_becomes_a_video_with_each_picture_and_its_poses_at_its_time(tmp_path: Path, codec: Codec) -> None:
    writer, camera = begin(tmp_path, codec), H264Camera()
    times: Sequence[int] = [number for number in range(1, 41) if number % 7]
    for number in times:
        data = camera.encode(number)[0] if codec is Codec.H264 else jpeg(number)
        write(writer, number, data, Fate.SUPERSEDED if number % 5 == 0 else Fate.ANALYSED)
    end(writer, End({"captured": 40}, "the client ended it"))
    spool, seen, found = finished(writer.taken.folder)
    assert seen == [(3600 * (number - 1), number) for number in times]
    assert found == {pts: -1 if number % 5 == 0 else number for pts, number in seen}
    assert spool.left_out == 0
    assert (spool.end.counts, spool.end.reason, spool.size) == ({"captured": 40}, "the client ended it", LYING)


def test_what_gave_no_picture_is_left_out_with_all_that_refers_to_it(tmp_path: Path) -> None:
    writer, camera = begin(tmp_path), H264Camera()
    for number in range(1, 25):
        data, _ = camera.encode(number, keyframe=number == 14)
        lost = 6 <= number < 10
        write(writer, number, data[: len(data) // 2] if lost else data, Fate.FAILED if lost else Fate.SUPERSEDED)
    write(writer, 25, camera.encode(25)[0], size=(64, 64))
    end(writer)
    spool, seen, _ = finished(writer.taken.folder)
    assert [number for _, number in seen] == [*range(1, 6), *range(14, 25)]
    assert spool.left_out == 9


@pytest.mark.parametrize("cut", range(0, 400, 23))
def test_wherever_a_process_was_killed_the_pictures_before_are_a_video(tmp_path: Path, cut: int) -> None:
    writer, camera = begin(tmp_path), H264Camera()
    for number in range(1, 9):
        write(writer, number, camera.encode(number)[0])
    folder = writer.taken.folder
    logged = (folder / LOG).stat().st_size
    assert take(folder) is None
    assert not list(iter_left(tmp_path))
    writer.end(End())
    writer.taken.close()
    with (folder / LOG).open("r+b") as log:
        log.truncate(logged - cut)
    with (folder / VIDEO).open("ab") as video:
        video.write(b"half a picture")
    [left] = iter_left(tmp_path)
    spool, seen, found = finished(folder)
    assert 1 <= len(seen) <= 8
    assert [number for _, number in seen] == list(found.values()) == list(range(1, len(seen) + 1))
    assert spool.end.reason == "the live process ended"
    left.remove()
    assert not list(iter_left(tmp_path))
    assert not folder.exists()


def test_clocks_that_jump_make_times_that_rise_by_a_minute_at_most(tmp_path: Path) -> None:
    writer = begin(tmp_path, Codec.JPEG)
    for number, ms in enumerate([0.0, -5e9, 100.0, 1e12, 1e12]):
        writer.write_frame(number, ms, jpeg(number))
        writer.write_fate(number, encode_entry(Fate.SUPERSEDED, None), decoded=True, size=LYING)
    end(writer)
    _, seen, _ = finished(writer.taken.folder)
    assert [pts for pts, _ in seen] == [0, 1, 9000, 9000 + 60 * 90_000, 9000 + 60 * 90_000 * 2]


def test_a_session_without_a_picture_is_none_and_says_so(tmp_path: Path) -> None:
    writer = begin(tmp_path)
    write(writer, 1, b"no H.264", Fate.FAILED)
    end(writer)
    with pytest.raises(ValueError, match="no picture of it could be decoded"):
        Spool(writer.taken.folder).finish_video()
    assert json.loads((writer.taken.folder / "about.json").read_text())["team"] == "ours"
