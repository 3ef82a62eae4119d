"""A worker reads what its chunk needs of a stored video, and little else; and notices when it is not the same video."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from uuid import uuid4

import av
import pytest

from pipeline.core.chunk_plan import plan_chunks
from pipeline.core.video_limits import VideoLimits
from pipeline.errors import SourceGone
from pipeline.services.system import System
from pipeline.storage.blocks import BLOCK_BYTES, BlockCache, ObjectSource
from pipeline.storage.objects import build_object_store
from pipeline.video.reader import VideoReader, probe
from pipeline.video.source import open_source
from tests.support.video_maker import make_video

LIMITS = VideoLimits(max_pixels=10**7, max_frames=10**6, stall_s=20)
WORKERS = 4
FRAMES = 1800
#: A little longer than the clip, whose sound may outlast its pictures.
TURN_S = Fraction(21, 2)
SOAK = "POSELINE_SOAK" in os.environ


def loop(clip: Path, to: Path, times: int) -> Path:
    """The clip's packets over and over, with sound and picture interleaved as they are."""
    options = {"movflags": "faststart"} if to.suffix == ".mp4" else {}
    with av.open(str(to), "w", options=options) as target:
        copies = None
        for turn in range(times):
            with av.open(str(clip)) as source:
                if copies is None:
                    copies = [target.add_stream_from_template(stream) for stream in source.streams]
                for packet in source.demux():
                    if packet.dts is None or packet.pts is None:
                        continue
                    copy = copies[packet.stream_index]
                    shift = round(turn * TURN_S / packet.time_base)
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = copy
                    target.mux(packet)
    return to


# To open a TS the first 5 MB and the end are read once per worker, which is much of so small a file.
@pytest.mark.parametrize(
    ("name", "gop", "most"), [("a.mp4", 250, 1.2), ("b.mp4", 30, 1.2), ("c.mkv", 60, 1.2), ("d.ts", 60, 2)]
)
def test_all_chunks_together_read_little_more_than_the_file(
    system: System, tmp_path: Path, name: str, gop: int, most: float
) -> None:
    seconds = 3600 if SOAK else FRAMES // 30
    clip = make_video(tmp_path / f"clip-{name}", 300, gop=gop, noise=True, audio_s=10.0, options={"crf": "12"})
    path = loop(clip, tmp_path / name, seconds // 10)
    with open_source(path) as source:
        info = probe(source, LIMITS)
    pinned = system.store.put_file(path, f"test/{uuid4()}")
    stores = [build_object_store(system.settings) for _ in range(WORKERS)]
    read_bytes = given = 0
    for plan in plan_chunks(info.index, 120):
        source = ObjectSource(stores[plan.idx % WORKERS], pinned)
        stop = plan.first_frame + plan.frames
        for frame in VideoReader(source, info.index, info.size, LIMITS).frames(plan.first_frame, stop, 64):
            assert frame.number == given
            given += 1
        read_bytes += source.bytes_read
    for store in stores:
        store.close()
    assert given == len(info.index) == seconds * 30
    assert read_bytes / path.stat().st_size <= most


def test_a_video_that_was_changed_or_removed_is_noticed_though_its_bytes_are_at_hand(
    system: System, tmp_path: Path
) -> None:
    path = make_video(tmp_path / "v.mp4")
    pinned = system.store.put_file(path, f"test/{uuid4()}")
    source = ObjectSource(system.store, pinned)
    whole = source.read_at(0, pinned.size_bytes)
    assert whole == path.read_bytes()
    system.store.check_unchanged(pinned)
    system.store.put_file(make_video(tmp_path / "other.mp4", 61), pinned.key)
    assert source.read_at(0, pinned.size_bytes) == whole, "never a mix"
    with pytest.raises(SourceGone, match="changed"):
        system.store.check_unchanged(pinned)
    system.store.delete(pinned.key)
    with pytest.raises(SourceGone, match="gone"):
        system.store.check_unchanged(pinned)


def test_blocks_are_kept_up_to_their_limit_and_read_once() -> None:
    data = os.urandom(10 * BLOCK_BYTES + 17)
    fetched: list[tuple[int, int]] = []

    def fetch(offset: int, size: int) -> bytes:
        fetched.append((offset, size))
        return data[offset : offset + size]

    cache = BlockCache(4 * BLOCK_BYTES)
    a, b = object(), object()
    assert cache.read(a, 5, 3 * BLOCK_BYTES, fetch) == data[5 : 5 + 3 * BLOCK_BYTES]
    assert fetched == [(0, 4 * BLOCK_BYTES)]
    assert cache.read(a, BLOCK_BYTES, BLOCK_BYTES, fetch) == data[BLOCK_BYTES : 2 * BLOCK_BYTES]
    assert len(fetched) == 1
    assert cache.read(b, 0, 1, fetch) == data[:1], "of another object"
    assert len(fetched) == 2
    assert cache.read(a, 10 * BLOCK_BYTES, 17, fetch) == data[10 * BLOCK_BYTES :]
    assert cache.read(a, 0, 1, fetch) == data[:1], "the oldest had to go"
    assert fetched[-1] == (0, BLOCK_BYTES)
