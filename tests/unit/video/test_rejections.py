"""What is turned away at ingest, and in which message."""

from __future__ import annotations

import random
import shutil

import pytest

from pipeline.core.video_limits import VideoLimits
from pipeline.errors import VideoRejected
from pipeline.video.reader import check, probe
from pipeline.video.source import open_source
from pipeline.video.truncation import promised_bytes
from tests.support.paths import SHARED_CLIPS
from tests.support.video_maker import CODEC, make_sound, make_video

LIMITS = VideoLimits(max_pixels=4096 * 2304, max_frames=10_000, stall_s=20)
FASTSTART = {"movflags": "faststart"}


def reason(path, limits=LIMITS) -> str:
    with open_source(path) as source, pytest.raises(VideoRejected) as caught:
        probe(source, limits)
    with open_source(path) as source, pytest.raises(VideoRejected) as checked:
        check(source, limits)
    assert checked.value.message == caught.value.message
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 200
    return caught.value.message


def cut(path, share):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"Dear coach, here is the match.\n" * 100, "not a video"),
        (b"\0" * 5000, "not a video"),
        (random.Random(1).randbytes(5000), "not a video"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "not a video"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "cut off before its index"),
    ],
    ids=["empty", "text", "zeros", "random", "png", "ftyp only"],
)
def test_no_video(tmp_path, content, message):
    path = tmp_path / "match.mp4"
    path.write_bytes(content)
    assert message in reason(path)


def test_sound_only(tmp_path):
    assert "no video" in reason(make_sound(tmp_path / "v.mp4"))


def test_cover_art_is_no_video(tmp_path):
    path = make_sound(tmp_path / "v.m4a")
    assert "no video" in reason(path)


def test_index_at_the_end_cut_off(tmp_path):
    assert "cut off before its index" in reason(cut(make_video(tmp_path / "v.mp4", noise=True), 0.7))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("v.mp4", {"container_options": FASTSTART, "b_frames": 2}, "stops after 0:04 of 0:08; upload it again"),
        ("v.mp4", {"container_options": FASTSTART, "audio_s": 8.0}, "upload it again"),
        ("v.mkv", {}, "stops after 0:0"),
        ("v.avi", {"codec": "mpeg4"}, "stops after 0:0"),
    ],
    ids=["mp4", "mp4 with sound", "mkv", "avi"],
)
def test_half_an_upload(tmp_path, name, options, message):
    path = make_video(tmp_path / name, 240, noise=True, **options)
    with open_source(path) as source:
        assert len(probe(source, LIMITS).index) == 240
    assert message in reason(cut(path, 0.52))


@pytest.mark.parametrize("lost_bytes", [1, 100, 5000])
@pytest.mark.parametrize("name", ["v.mp4", "v.mkv", "v.webm", "v.avi"])
def test_a_missing_tail(tmp_path, name, lost_bytes):
    codec = {"v.webm": "libvpx", "v.avi": "mjpeg"}.get(name, CODEC)
    options = FASTSTART if name == "v.mp4" else {}
    path = make_video(tmp_path / name, 60, noise=True, codec=codec, container_options=options)
    with open_source(path) as source:
        assert len(probe(source, LIMITS).index) == 60
    path.write_bytes(path.read_bytes()[:-lost_bytes])
    assert "upload it again" in reason(path)


@pytest.mark.parametrize(
    ("head", "promised"),
    [
        (b"", 0),
        (b"RIFF\x10\0\0\0AVI ", 24),
        (b"RIFF\x10", 0),
        (b"RIFF\0\0\0\0AVI ", 0),
        (b"RIFF\xff\xff\xff\xffAVI ", 0),
        (b"\x1aE\xdf\xa3\x81x\x18S\x80g\x90", 6 + 5 + 16),
        (b"\x1aE\xdf\xa3\x81x\x18S\x80g\x01" + b"\xff" * 7, 0),
        (b"\x1aE\xdf\xa3\x81x\x18S\x80g\0" + b"\xff" * 7, 0),
        (b"\x1aE\xdf\xa3\x81x\x18S\x80g\x01\0", 0),
        (b"\x1aE\xdf\xa3", 0),
        (b"\x1aE\xdf\xa3\x01" + b"\xff" * 7, 0),
        (b"\0\0\0\x18ftypmp42", 0),
    ],
)
def test_where_a_file_says_that_it_ends(head, promised):
    assert promised_bytes(head) == promised


@pytest.mark.parametrize("audio_s", [1.0, 6.0])
def test_sound_of_another_length_is_no_truncation(tmp_path, audio_s):
    for name in ("v.mp4", "v.mkv"):
        with open_source(make_video(tmp_path / name, 60, audio_s=audio_s)) as source:
            assert len(probe(source, LIMITS).index) == 60


@pytest.mark.skipif(not SHARED_CLIPS, reason="no ../shared/clips")
def test_half_a_clip(tmp_path):
    for clip in SHARED_CLIPS:
        path = tmp_path / clip.name
        shutil.copyfile(clip, path)
        path.chmod(0o600)
        assert "upload it again" in reason(cut(path, 0.5))


def test_encrypted(tmp_path):
    key = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "ab" * 16, "encryption_kid": "cd" * 16}
    assert "encrypted" in reason(make_video(tmp_path / "v.mp4", container_options=key))


def test_unknown_codec(tmp_path):
    path = make_video(tmp_path / "v.mp4", codec=CODEC)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"avc1\0\0", b"zzzz\0\0", 2).replace(b"mp4v\0\0", b"zzzz\0\0", 2))
    assert "codec (unknown) is not supported" in reason(path)


def test_codec_that_is_not_allowed(tmp_path):
    path = make_video(tmp_path / "v.mkv", 3, codec="mpeg4")
    data = path.read_bytes()
    assert data.count(b"V_MPEG4/ISO/ASP") == 1
    path.write_bytes(data.replace(b"V_MPEG4/ISO/ASP", b"V_SNOW\0\0\0\0\0\0\0\0\0"))
    assert "is not supported" in reason(path)


def test_nothing_decodes(tmp_path):
    path = make_video(tmp_path / "v.mp4", 20, codec="mjpeg")
    with open_source(path) as source:
        index = probe(source, LIMITS).index
    data = bytearray(path.read_bytes())
    for at, size in zip(index.position_bytes.tolist(), index.size_bytes.tolist(), strict=True):
        data[at : at + size] = bytes(size)
    path.write_bytes(data)
    assert "No frame of this video can be decoded" in reason(path)
