"""Files that refer to other files, and frames that are too large: rejected, and nothing else is opened.

A canary file and a canary server see no access, and another video is read right after each.
"""

from __future__ import annotations

import gzip
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import hostile_maker as hostile
from tests.support.canary import canary_file, canary_server
from tests.support.hostile_maker import element, full, jpeg, number, u32
from tests.support.hostile_probe import LIMITS, probed, reporting_children
from tests.support.video_maker import make_video


@pytest.fixture(scope="module", autouse=True)
def _children_that_report_what_they_used() -> Iterator[None]:
    with reporting_children():
        yield


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("video") / "v.mp4", 10)


@pytest.fixture(autouse=True)
def _another_video_is_fine_right_after(good: Path) -> Iterator[None]:
    yield
    assert probed(good) == 10


LISTS = {
    "ffconcat": "ffconcat version 1.0\nfile {name}\n",
    "ffconcat absolute": "ffconcat version 1.0\nfile {path}\nfile http://127.0.0.1:{port}/a.ts\n",
    "m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{name}\n#EXT-X-ENDLIST\n",
    "m3u8 absolute": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{path}\n#EXT-X-ENDLIST\n",
    "m3u8 http": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:{port}/a.ts\n#EXT-X-ENDLIST\n",
    "m3u8 of lists": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nhttp://127.0.0.1:{port}/a.m3u8\n",
    "m3u8 key": '#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="http://127.0.0.1:{port}/k"\n#EXTINF:1,\n{name}\n',
    "dash": '<?xml version="1.0"?><MPD type="static"><BaseURL>http://127.0.0.1:{port}/</BaseURL><Period>'
    '<AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>{path}</BaseURL>'
    "</Representation></AdaptationSet></Period></MPD>",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {port} RTP/AVP 96\n",
    "rtsp": "[Playlist]\nFile1=rtsp://127.0.0.1:{port}/\n",
    "smil": '<smil><body><video src="http://127.0.0.1:{port}/a.mp4"/></body></smil>',
    "imf": '<CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2016"></CompositionPlaylist>',
}


@pytest.mark.parametrize("ending", ["mp4", "ts", "mkv", "m3u8"])
def test_lists_of_other_files_open_nothing(tmp_path: Path, good: Path, ending: str) -> None:
    with canary_server() as server, canary_file(good.read_bytes()) as canary:
        for kind, text in LISTS.items():
            path = canary.with_name(f"match.{ending}")
            path.write_text(text.format(name=canary.name, path=canary, port=server.port))
            assert "not a video" in str(probed(path)), kind
            path.unlink()


def test_a_reference_to_another_teams_file_opens_nothing(good: Path) -> None:
    """As a QuickTime alias, as a URL, as a URN; the samples are said to lie in the other file."""
    with canary_server() as server, canary_file(good.read_bytes()) as canary:
        for reference in (
            hostile.alias_to(canary),
            full(b"url ", f"file://{canary}\0".encode()),
            full(b"url ", f"http://127.0.0.1:{server.port}/a.mov\0".encode()),
            full(b"urn ", f"x\0file://{canary}\0".encode()),
            full(b"rsrc", hostile.alias_to(canary)[12:]),
        ):
            path = canary.with_name("match.mov")
            hostile.mp4(path, [jpeg()] * 5, dref=reference, stco=full(b"stco", u32(1, 1 << 20)))
            assert "upload it again" in str(probed(path))
            path.unlink()


def test_linked_segments_open_nothing(good: Path) -> None:
    with canary_server() as server, canary_file(good.read_bytes()) as canary:
        path = canary.with_name("match.mkv")
        links = (
            element("73A4", bytes(16)) + element("3EB923", bytes(15) + b"\1") + element("3CB923", bytes(15) + b"\2")
            + element("3E83BB", canary.name.encode()) + element("3C83AB", str(canary).encode())
        )  # fmt: skip
        chapter = element(
            "1043A770", element("45B9", number("45DD", 1), element("B6", number("91", 0), element("6E67", bytes(16))))
        )
        attached = element(
            "1941A469",
            element("61A7", element("466E", str(canary).encode()), element("4660", b"x"), element("465C", b"y")),
        )
        tag = element(
            "1254C367",
            element(
                "7373", element("67C8", element("45A3", b"URL"), element("4487", b"http://127.0.0.1:%d/" % server.port))
            ),
        )
        hostile.mkv(path, [jpeg()] * 5, info=links, more=chapter + attached + tag)
        assert probed(path) == 5
        path.unlink()


@pytest.mark.parametrize("admit", [True, False], ids=["told in the header", "hidden in the stream"])
@pytest.mark.parametrize("kind", ["h264", "mjpeg", "vp9", "png"])
def test_pixel_bombs(tmp_path: Path, kind: str, admit: bool) -> None:
    size = (hostile.BOMB_SIDE, hostile.BOMB_SIDE)
    path = tmp_path / "match.mp4"
    if kind == "h264":
        hostile.h264_bomb(path, admit=admit)
    elif kind == "mjpeg":
        hostile.mp4(path, [jpeg(size)] * 5, size=size if admit else (16, 16))
    elif kind == "png":
        hostile.mp4(path, [png(*size)] * 5, entry=hostile.picture_entry(b"png ", size), size=size)
    else:
        small = make_video(tmp_path / "small.webm", 5, codec="libvpx-vp9", options={"deadline": "realtime"})
        hostile.vp9_bomb(path, small)
    message = str(probed(path))
    assert probed(path, replace(LIMITS, memory_bytes=2 << 30)) == message, "it takes the limit of memory to stop it"
    assert "16000 x 16000" in message or "can be decoded" in message or "png" in message
    assert path.stat().st_size < 1 << 20


def test_the_bombs_are_videos_but_for_their_size(tmp_path: Path) -> None:
    """Otherwise they would be refused for another reason."""
    assert probed(hostile.h264_bomb(tmp_path / "a.mp4", admit=True, side=640)) == 10
    assert probed(hostile.mp4(tmp_path / "b.mp4", [jpeg()] * 5)) == 5
    assert probed(hostile.mkv(tmp_path / "c.mkv", [jpeg()] * 5)) == 5
    assert probed(hostile.avi(tmp_path / "d.avi", jpeg(), 5)) == 5
    small = make_video(tmp_path / "small.webm", 5, codec="libvpx-vp9", options={"deadline": "realtime"})
    assert probed(hostile.vp9_bomb(tmp_path / "e.webm", small, side=160)) in (5, 6)


def test_archives(tmp_path: Path) -> None:
    path = tmp_path / "match.mp4"
    path.write_bytes(gzip.compress(bytes(50 << 20)))
    assert "not a video" in str(probed(path))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("match.mp4", bytes(50 << 20))
    assert "not a video" in str(probed(path))


def test_a_file_over_the_memory_limit_is_rejected(tmp_path: Path) -> None:
    path = make_video(tmp_path / "v.mp4", 4, width=1920, height=1080)
    message = probed(path, replace(LIMITS, memory_bytes=8 << 20))
    assert "more than 8 MiB of memory" in str(message)


def png(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header + bytes(4)
