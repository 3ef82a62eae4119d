"""Index and frames through the sandbox, held against one plain pass of the decoder."""

from __future__ import annotations

import hashlib
import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pipeline.core.spans import plan_chunks
from pipeline.video.letterbox import letterbox
from pipeline.video.sandbox import Limits, iter_frames, probe
from pipeline.video.source import open_source
from tests.unit import video_maker
from tests.unit.video_maker import CLIPS, CODEC, decode_in_one_pass, make_video, read_number

LIMITS = Limits(max_pixels=4096 * 2304, max_frames=10_000, stall_s=20)
VFR_PTS = np.cumsum(np.tile([1, 3, 2, 7, 1, 1], 10)).tolist()

VIDEOS = {
    "plain": {"gop": 12},
    "b_frames": {"b_frames": 3},
    "vfr": {"pts": VFR_PTS, "time_base": Fraction(1, 90), "b_frames": 2},
    "one_keyframe": {"gop": 1000},
    "all_keyframes": {"gop": 1},
    "fragmented": {"b_frames": 2, "container_options": {"movflags": "frag_keyframe+empty_moov"}},
    "start_late": {"pts": list(range(100, 160)), "b_frames": 2},
    "mkv": {"b_frames": 3, "suffix": ".mkv"},
    "avi": {"codec": "mpeg4", "suffix": ".avi"},
    "avi_b_frames": {"codec": "mpeg4", "b_frames": 2, "suffix": ".avi"},
    "avi_mjpeg": {"codec": "mjpeg", "suffix": ".avi"},
    "ts": {"b_frames": 2, "suffix": ".ts"},
    "ps": {"codec": "mpeg2video", "b_frames": 2, "suffix": ".mpg"},
    "odd_size": {"width": 162, "height": 90, "b_frames": 2},
    "vp9": {"codec": "libvpx-vp9", "suffix": ".webm", "options": {"cpu-used": "8"}},
    "vp8_hidden": {"codec": "libvpx", "suffix": ".webm", "options": {"auto-alt-ref": "1", "lag-in-frames": "16"}},
    "open_gop": {"codec": "libx264", "b_frames": 3, "options": {"x264-params": "open-gop=1:bframes=3:keyint=12"}},
    "interlaced": {"codec": "libx264", "b_frames": 2, "options": {"flags": "+ildct+ilme"}},
    "hevc": {"codec": "libx265", "b_frames": 3, "options": {"preset": "ultrafast", "x265-params": "log-level=none"}},
    "intra_refresh_ts": {"codec": "libx264", "suffix": ".ts", "options": {"x264-params": "intra-refresh=1"}},
    "with_sound": {"b_frames": 2, "audio_s": 2.0},
}


@pytest.fixture(params=VIDEOS)
def video(request, tmp_path) -> Path:
    options = dict(VIDEOS[request.param])
    if options.get("codec", CODEC) not in video_maker.av.codecs_available:
        pytest.skip(f"PyAV has no {options['codec']}")
    path = tmp_path / f"video{options.pop('suffix', '.mp4')}"
    return make_video(path, **options)


@pytest.fixture(params=CLIPS or [None], ids=lambda path: path.stem if path else "none")
def clip(request) -> Path:
    if request.param is None:
        pytest.skip("no ../shared/clips")
    return request.param


def digest(image):
    return hashlib.blake2b(np.ascontiguousarray(image), digest_size=16).hexdigest()


def test_index_is_one_pass_and_frames_are_their_numbers(video):
    expected = [pts for pts, _ in decode_in_one_pass(video)]
    with open_source(video) as source:
        info = probe(source, LIMITS)
        assert info.index.pts.tolist() == expected
        assert len(expected) == 60
        assert info.index.keyframe[0]
        numbers = [
            read_number(frame.image)
            for frame in iter_frames(source, wanted_pts=info.index.pts, seek_pts=expected[0], limits=LIMITS, side=None)
        ]
    assert numbers == list(range(60))


@pytest.mark.parametrize("target_frames", [1, 7, 16, 25, 60])
def test_chunks_are_the_whole(video, target_frames):
    with open_source(video) as source:
        index = probe(source, LIMITS).index
        whole = dict(pixels(source, index.pts, int(index.pts[0])))
        chunks = plan_chunks(index, target_frames, max_waste=1.0)
        pieces: dict[int, str] = {}
        for chunk in chunks if target_frames > 1 else chunks[::10]:
            wanted = index.pts[chunk.first_frame : chunk.first_frame + chunk.frames]
            piece = dict(pixels(source, wanted, chunk.seek_pts))
            assert list(piece) == wanted.tolist()
            pieces |= piece
    assert pieces == {pts: whole[pts] for pts in pieces}
    assert target_frames == 1 or len(pieces) == 60


def pixels(source, wanted, seek_pts, side=None):
    for frame in iter_frames(source, wanted_pts=wanted, seek_pts=seek_pts, limits=LIMITS, side=side):
        yield frame.pts, digest(frame.image)


@pytest.mark.parametrize("side", [384, None])
def test_clip_equals_plain_decoding(clip, side):
    expected = {}
    for pts, image in decode_in_one_pass(clip):
        expected[pts] = digest(image if side is None else letterbox(image, side)[0])
    with open_source(clip) as source:
        index = probe(source, LIMITS).index
        assert index.pts.tolist() == list(expected)
        assert dict(pixels(source, index.pts, int(index.pts[0]), side)) == expected


@pytest.mark.parametrize("target_frames", [33, 60, 120])
def test_clip_in_chunks(clip, target_frames):
    with open_source(clip) as source:
        index = probe(source, LIMITS).index
        whole = dict(pixels(source, index.pts, int(index.pts[0]), 384))
        pieces = {}
        for chunk in plan_chunks(index, target_frames):
            wanted = index.pts[chunk.first_frame : chunk.first_frame + chunk.frames]
            pieces |= dict(pixels(source, wanted, chunk.seek_pts, 384))
    assert pieces == whole


@pytest.mark.parametrize("clockwise_deg", [0, 90, 180, 270])
def test_rotation(tmp_path, clockwise_deg):
    turns = clockwise_deg // 90
    path = make_video(tmp_path / "v.mp4", 8, width=160, height=96)
    upright = {pts: np.rot90(image, -turns) for pts, image in decode_in_one_pass(path)}
    video_maker.rotate_header(path, clockwise_deg)
    with open_source(path) as source:
        info = probe(source, LIMITS)
        assert info.rotation_deg == clockwise_deg
        assert (info.width, info.height) == ((160, 96), (96, 160))[turns % 2]
        for side in (None, 64):
            frames = 0
            for frame in iter_frames(source, wanted_pts=info.index.pts, seek_pts=0, limits=LIMITS, side=side):
                want = np.ascontiguousarray(upright[frame.pts])
                np.testing.assert_array_equal(frame.image, want if side is None else letterbox(want, side)[0])
                frames += 1
            assert frames == 8


def test_trimmed_on_the_phone(tmp_path):
    """An edit list starts between keyframes: what lies before is decoded, but is no frame of the video."""
    path = make_video(tmp_path / "v.mp4", 60, gop=20)
    data = bytearray(path.read_bytes())
    at = data.index(b"elst") + 16
    struct.pack_into(">i", data, at, struct.unpack_from(">i", data, at)[0] + 5 * 512)
    path.write_bytes(data)
    expected = dict(decode_in_one_pass(path))
    assert [read_number(image) for image in expected.values()] == list(range(5, 60))
    with open_source(path) as source:
        index = probe(source, LIMITS).index
        assert index.pts.tolist() == list(expected)
        for chunk in plan_chunks(index, 10, max_waste=1.0):
            wanted = index.pts[chunk.first_frame : chunk.first_frame + chunk.frames]
            for pts, pixel in pixels(source, wanted, chunk.seek_pts):
                assert pixel == digest(expected[pts])


def test_only_wanted_frames_and_only_read_only(tmp_path):
    path = make_video(tmp_path / "v.mp4", 60, b_frames=2)
    with open_source(path) as source:
        index = probe(source, LIMITS).index
        wanted = index.pts[[3, 5, 41]]
        got = []
        for frame in iter_frames(
            source, wanted_pts=np.append(wanted, 1 + index.pts[41]), seek_pts=0, limits=LIMITS, side=64
        ):
            assert not frame.image.flags.writeable
            assert frame.scale == 64 / 160
            got.append(frame.pts)
    assert got == wanted.tolist()


def test_a_damaged_packet_costs_its_own_frames_only(tmp_path):
    path = make_video(tmp_path / "v.mp4", 60, codec="mjpeg", noise=True)
    with open_source(path) as source:
        index = probe(source, LIMITS).index
        before = dict(pixels(source, index.pts, 0))
    data = bytearray(path.read_bytes())
    at = int(index.position_bytes[30])
    data[at : at + int(index.size_bytes[30])] = bytes(int(index.size_bytes[30]))
    path.write_bytes(data)
    with open_source(path) as source:
        assert len(probe(source, LIMITS).index) == 60
        after = dict(pixels(source, index.pts, 0))
    missing = int(index.pts[30])
    assert after == {pts: pixel for pts, pixel in before.items() if pts != missing}
