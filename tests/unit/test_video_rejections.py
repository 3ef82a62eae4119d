"""What is turned away at ingest, and in which words."""

from __future__ import annotations

import ctypes
import os
import random
import shutil

import pytest

from pipeline.errors import VideoRejected
from pipeline.video.sandbox import Limits, probe
from pipeline.video.source import open_source
from tests.unit.video_maker import CLIPS, CODEC, make_sound, make_video

LIMITS = Limits(max_pixels=4096 * 2304, max_frames=10_000, stall_s=20)
FASTSTART = {"movflags": "faststart"}


def reason(path, limits=LIMITS) -> str:
    with open_source(path) as source, pytest.raises(VideoRejected) as caught:
        probe(source, limits)
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 200
    return caught.value.message


def cut(path, share):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


@pytest.mark.parametrize(
    ("content", "words"),
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
def test_no_video(tmp_path, content, words):
    path = tmp_path / "match.mp4"
    path.write_bytes(content)
    assert words in reason(path)


def test_sound_only(tmp_path):
    assert "no picture" in reason(make_sound(tmp_path / "v.mp4"))


def test_cover_art_is_no_video(tmp_path):
    path = make_sound(tmp_path / "v.m4a")
    assert "no picture" in reason(path)


def test_index_at_the_end_cut_off(tmp_path):
    assert "cut off before its index" in reason(cut(make_video(tmp_path / "v.mp4", noise=True), 0.7))


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("v.mp4", {"container_options": FASTSTART, "b_frames": 2}, "stops after 0:04 of 0:08; upload it again"),
        ("v.mp4", {"container_options": FASTSTART, "audio_s": 8.0}, "upload it again"),
        ("v.mkv", {}, "stops after 0:0"),
        ("v.avi", {"codec": "mpeg4"}, "stops after 0:0"),
    ],
    ids=["mp4", "mp4 with sound", "mkv", "avi"],
)
def test_half_an_upload(tmp_path, name, options, words):
    path = make_video(tmp_path / name, 240, noise=True, **options)
    with open_source(path) as source:
        assert len(probe(source, LIMITS).index) == 240
    assert words in reason(cut(path, 0.52))


@pytest.mark.parametrize("lost_bytes", [1, 100, 5000])
def test_a_missing_tail(tmp_path, lost_bytes):
    path = make_video(tmp_path / "v.mp4", 60, noise=True, container_options=FASTSTART)
    path.write_bytes(path.read_bytes()[:-lost_bytes])
    assert "upload it again" in reason(path)


@pytest.mark.parametrize("audio_s", [1.0, 6.0])
def test_sound_of_another_length_is_no_truncation(tmp_path, audio_s):
    for name in ("v.mp4", "v.mkv"):
        with open_source(make_video(tmp_path / name, 60, audio_s=audio_s)) as source:
            assert len(probe(source, LIMITS).index) == 60


@pytest.mark.skipif(not CLIPS, reason="no ../shared/clips")
def test_half_a_clip(tmp_path):
    for clip in CLIPS:
        path = tmp_path / clip.name
        shutil.copyfile(clip, path)
        path.chmod(0o600)
        assert "upload it again" in reason(cut(path, 0.5))


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv", "v.ts"])
def test_too_many_pixels(tmp_path, name):
    path = make_video(tmp_path / name, 4, width=640, height=480)
    words = reason(path, Limits(max_pixels=640 * 479, max_frames=100, stall_s=20))
    assert "640 x 480" in words
    assert "export it smaller" in words


def test_too_many_frames(tmp_path):
    path = make_video(tmp_path / "v.mp4", 30)
    assert "more than 29 frames" in reason(path, Limits(max_pixels=10**7, max_frames=29, stall_s=20))
    with open_source(path) as source:
        assert len(probe(source, Limits(max_pixels=10**7, max_frames=30, stall_s=20)).index) == 30


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


@pytest.mark.skipif(CODEC != "libx264", reason="needs an H.264 encoder")
def test_times_that_run_backwards(tmp_path):
    assert "no usable times" in reason(make_video(tmp_path / "v.avi", b_frames=3))


def test_nothing_decodes(tmp_path):
    path = make_video(tmp_path / "v.mp4", 20, codec="mjpeg")
    with open_source(path) as source:
        index = probe(source, LIMITS).index
    data = bytearray(path.read_bytes())
    for at, size in zip(index.position_bytes.tolist(), index.size_bytes.tolist(), strict=True):
        data[at : at + size] = bytes(size)
    path.write_bytes(data)
    assert "No picture of this video can be decoded" in reason(path)


@pytest.mark.parametrize("kind", ["ffconcat", "m3u8", "m3u8 absolute", "sdp", "dash"])
def test_lists_of_other_files_open_nothing(tmp_path, kind):
    """The canary is a good video beside the list; inotify tells of whoever opens it."""
    canary = make_video(tmp_path / "canary.ts", 10)
    was_opened = watch_opens(canary)
    content = {
        "ffconcat": "ffconcat version 1.0\nfile canary.ts\n",
        "m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\ncanary.ts\n#EXT-X-ENDLIST\n",
        "m3u8 absolute": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{canary}\n#EXT-X-ENDLIST\n",
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
        "dash": f'<?xml version="1.0"?><MPD><BaseURL>file://{canary}</BaseURL></MPD>',
    }[kind]
    path = tmp_path / "match.mp4"
    path.write_text(content)
    assert "not a video" in reason(path)
    assert not was_opened()
    canary.read_bytes()
    assert was_opened()


def watch_opens(path):
    """A function that tells whether the file was opened since."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "inotify_init1"):
        pytest.skip("inotify is Linux's")
    fd = libc.inotify_init1(os.O_NONBLOCK)
    assert fd >= 0
    assert libc.inotify_add_watch(fd, os.fsencode(path), 0x20) >= 0  # IN_OPEN

    def was_opened():
        try:
            return bool(os.read(fd, 4096))
        except BlockingIOError:
            return False

    return was_opened
