"""Wrong times, counts and headers: rejected in one line, or read correctly, in bounded time and memory."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import hostile_maker as hostile
from tests.support.hostile_maker import box, element, full, jpeg, number, u32
from tests.support.hostile_probe import probed, reporting_children
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


TIMES: dict[str, Callable[[Path], Path]] = {
    "steps of 2^32 seconds": lambda p: hostile.mp4(
        p, [jpeg()] * 5, timescale=1, stts=full(b"stts", u32(1, 5, 2**32 - 1))),
    "steps of a year": lambda p: hostile.mp4(
        p, [jpeg()] * 5, timescale=1, stts=full(b"stts", u32(1, 5, 31_536_000))),
    "a header of 10^9 seconds": lambda p: hostile.mp4(p, [jpeg()] * 5, timescale=1, duration=10**9),
    "a header of 2^63": lambda p: hostile.mp4(p, [jpeg()] * 5, duration=2**63 - 1),
    "an edit of 2^62": lambda p: hostile.mp4(p, [jpeg()] * 5, edits=hostile.edit((2**62, -1), (5, 0))),
    "an edit of a year": lambda p: hostile.mp4(
        p, [jpeg()] * 5, edits=hostile.edit((30 * 31_536_000, -1), (5, 0)), duration=30 * 31_536_000),
    "offsets of 2^31": lambda p: hostile.mp4(
        p, [jpeg()] * 5, timescale=1, ctts=full(b"ctts", u32(2, 3, 0, 2, 2**31 - 1))),
    "clusters 2^62 apart": lambda p: hostile.mkv(p, [jpeg()] * 4, cluster_times=(0, 2**62)),
    "clusters of 2^63": lambda p: hostile.mkv(p, [jpeg()] * 4, cluster_times=(2**63 - 1, 2**63)),
    "a year of clusters": lambda p: hostile.mkv(p, [jpeg()] * 4, cluster_times=(0, 31_536_000_000)),
    "a tick of 2^63": lambda p: hostile.mkv(p, [jpeg()] * 4, scale=2**63, cluster_times=(0, 1)),
    "a tick of nothing": lambda p: hostile.mkv(p, [jpeg()] * 4, scale=0, cluster_times=(0, 10**15)),
    "a duration of 10^9 seconds": lambda p: hostile.mkv(p, [jpeg()] * 4, duration=1e12),
    "a duration of 10^300": lambda p: hostile.mkv(p, [jpeg()] * 4, duration=1e300),
    "a duration of infinity": lambda p: hostile.mkv(p, [jpeg()] * 4, duration=math.inf),
    "frames of a century": lambda p: hostile.avi(p, jpeg(), 5, scale=2**32 - 1, rate=1),
    "no frame rate": lambda p: hostile.avi(p, jpeg(), 5, scale=0, rate=0),
}  # fmt: skip


@pytest.mark.parametrize("kind", TIMES)
def test_timestamp_bombs(tmp_path: Path, kind: str) -> None:
    found = probed(TIMES[kind](tmp_path / "match.mp4"))
    if kind in MAY_BE_READ:
        assert found in {4, 5}
    else:
        assert re.search("lasts|are invalid|is damaged", str(found)), found


#: FFmpeg ignores these values: what is left is a video of some frames.
MAY_BE_READ = {
    "steps of 2^32 seconds",
    "a header of 10^9 seconds",
    "a header of 2^63",
    "an edit of a year",
    "a duration of 10^300",
    "a duration of infinity",
    "no frame rate",
}


COUNTS: dict[str, Callable[[Path], Path]] = {
    "a million samples of a byte": lambda p: hostile.mp4(
        p, [jpeg(), bytes(10**6)], stsz=full(b"stsz", u32(1, 10**6)), stts=full(b"stts", u32(1, 10**6, 1)),
        stsc=full(b"stsc", u32(1, 1, 10**6, 1)), timescale=30_000),
    "a million chunks": lambda p: hostile.avi(p, b"", 10**6, scale=1, rate=10**5),
    "a million blocks": lambda p: hostile.mkv(p, [jpeg(), *[b"\xff"] * 300_000]),
    "10^9 samples of a byte": lambda p: hostile.mp4(
        p, [jpeg()] * 5, stsz=full(b"stsz", u32(1, 10**9)), stts=full(b"stts", u32(1, 10**9, 1)),
        stsc=full(b"stsc", u32(1, 1, 10**9, 1))),
    "10^9 sizes": lambda p: hostile.mp4(p, [jpeg()] * 5, stsz=full(b"stsz", u32(0, 10**9))),
    "2^32 time steps": lambda p: hostile.mp4(p, [jpeg()] * 5, stts=full(b"stts", u32(2**32 - 1, 5, 1))),
    "2^32 offsets": lambda p: hostile.mp4(p, [jpeg()] * 5, ctts=full(b"ctts", u32(2**32 - 1, 5, 1))),
    "10^8 offsets of one entry": lambda p: hostile.mp4(p, [jpeg()] * 5, ctts=full(b"ctts", u32(1, 10**8, 1))),
    "2^32 chunks": lambda p: hostile.mp4(p, [jpeg()] * 5, stco=full(b"stco", u32(2**32 - 1, 40))),
    "2^32 samples a chunk": lambda p: hostile.mp4(p, [jpeg()] * 5, stsc=full(b"stsc", u32(1, 1, 2**32 - 1, 1))),
    "2^32 edits": lambda p: hostile.mp4(
        p, [jpeg()] * 5, edits=box(b"edts", full(b"elst", u32(2**32 - 1, 5, 0, 65536)))),
    "10^9 frames promised": lambda p: hostile.avi(p, jpeg(), 5, claimed=10**9),
}  # fmt: skip


@pytest.mark.parametrize("kind", COUNTS)
def test_wrong_counts(tmp_path: Path, kind: str) -> None:
    found = probed(COUNTS[kind](tmp_path / "match.mp4"))
    assert isinstance(found, str) or found == (1 if kind == "2^32 samples a chunk" else 5)
    if kind in WHY:
        assert WHY[kind] in str(found)


WHY = {
    "a million samples of a byte": "more than 50000 frames",
    "a million blocks": "more than 50000 frames",
    "2^32 time steps": "header is damaged",
    "10^9 frames promised": "stops after 0:00",
}


METADATA: dict[str, Callable[[Path], Path]] = {
    "udta in udta": lambda p: hostile.mp4(p, [jpeg()] * 5, more=hostile.nested(b"udta", 10_000)),
    "trak in trak": lambda p: hostile.mp4(p, [jpeg()] * 5, more=hostile.nested(b"trak", 10_000)),
    "moov in moov": lambda p: write(p, box(b"ftyp", b"qt  ", u32(0)), hostile.nested(b"moov", 10_000)),
    "moof in moof": lambda p: hostile.mp4(p, [jpeg()] * 5, more=hostile.nested(b"moof", 10_000)),
    "20 MB of a title": lambda p: hostile.mp4(p, [jpeg()] * 5, more=hostile.title(20 << 20)),
    "100,000 titles": lambda p: hostile.mp4(p, [jpeg()] * 5, more=hostile.title(1, 100_000)),
    "a box larger than the file": lambda p: hostile.mp4(p, [jpeg()] * 5, more=box(b"udta", size=2**32 - 1)),
    "boxes of no size": lambda p: hostile.mp4(p, [jpeg()] * 5, more=box(b"udta", size=0) * 10_000),
    "a moov of zeros": lambda p: sparse(p, box(b"ftyp", b"qt  ", u32(0)), box(b"moov", size=100 << 20), 100 << 20),
    "a deflated moov": lambda p: hostile.compressed_moov(p, 256 << 20),
    "tags in tags": lambda p: hostile.mkv(p, [jpeg()] * 5, more=elements("1254C367", "7373", "67C8", 5_000)),
    "elements without an end": lambda p: hostile.mkv(p, [jpeg()] * 5, more=element("1254C367", size=-1) * 2_000),
    "an element larger than the file": lambda p: hostile.mkv(p, [jpeg()] * 5, more=element("1254C367", size=2**55)),
    "a seek head that names itself": lambda p: hostile.mkv(p, [jpeg()] * 5, more=seek_heads(500)),
    "a segment without an end": lambda p: hostile.mkv(p, [jpeg()] * 5, segment_size=-1),
}  # fmt: skip


@pytest.mark.parametrize("kind", METADATA)
def test_metadata_without_end(tmp_path: Path, kind: str) -> None:
    found = probed(METADATA[kind](tmp_path / "match.mp4"))
    assert isinstance(found, str) or found == 5, found


def write(path: Path, *parts: bytes) -> Path:
    path.write_bytes(b"".join(parts))
    return path


def sparse(path: Path, *parts_and_size: object) -> Path:
    *parts, size = parts_and_size
    write(path, *parts)  # type: ignore[arg-type]
    with path.open("r+b") as file:
        file.truncate(size)  # type: ignore[arg-type]
    return path


def elements(*names: object) -> bytes:
    *identities, depth = names
    inner = b""
    for _ in range(int(str(depth))):
        inner = element(str(identities[-1]), inner)
    for identity in reversed(identities[:-1]):
        inner = element(str(identity), inner)
    return inner


def seek_heads(count: int) -> bytes:
    """Seek heads that point to the first of them."""
    where = element("4DBB", element("53AB", bytes.fromhex("114D9B74")), number("53AC", 60))
    return element("114D9B74", where) * count
