"""A copy that is probed while it grows gives what the whole file gives, and fails as its writer fails."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.core.video_limits import VideoLimits
from pipeline.errors import ServiceUnavailable, Stopping, VideoRejected
from pipeline.video import growing_copy
from pipeline.video.growing_copy import GrowingCopy
from pipeline.video.reader import VideoInfo, probe
from pipeline.video.source import open_source
from tests.support.video_maker import make_video

LIMITS = VideoLimits(max_pixels=10**7, max_frames=10_000, stall_s=20)
PIECE_BYTES = 5_000
#: Larger than what counts as far, with its index at the end, at the start, and in none.
KINDS = {
    "index last": (".mp4", {}),
    "index first": (".mp4", {"movflags": "faststart"}),
    "fragments": (".mp4", {"movflags": "frag_keyframe+empty_moov"}),
    "matroska": (".mkv", {}),
    "avi": (".avi", {}),
    "transport stream": (".ts", {}),
}
#: Of these FFmpeg reads the end before anything else.
AT_THE_END = ("index last",)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("videos")
    return {
        name: make_video(
            folder / f"{number}{suffix}", 90, noise=True, gop=30, options={"crf": "4"}, container_options=options
        )
        for number, (name, (suffix, options)) in enumerate(KINDS.items())
    }


@pytest.fixture(params=[True, False], ids=["descriptor", "bytes are sent"])
def handed_out(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the child gets a descriptor of the copy; a system without `/proc` gives none."""
    if not request.param:
        monkeypatch.setattr(GrowingCopy, "open_for_child", lambda _: None)
    return bool(request.param)


class Growing:
    """A copy of a file, written by a thread: up to `held_at` bytes, and the rest once `go` is set."""

    def __init__(self, path: Path, file: object, held_at: int) -> None:
        self.data, self.held_at, self.go = path.read_bytes(), held_at, threading.Event()
        self.ahead: list[tuple[int, int]] = []
        self.goes_on_after_a_fetch = True
        self.copy = GrowingCopy(file, len(self.data), self._fetch)  # type: ignore[arg-type]
        self.thread = threading.Thread(target=self._write)

    def _fetch(self, offset: int, size: int) -> bytes:
        self.ahead.append((offset, size))
        if self.goes_on_after_a_fetch:
            self.go.set()
        return self.data[offset : offset + size]

    def _write(self) -> None:
        for at in range(0, len(self.data), PIECE_BYTES):
            if at >= self.held_at:
                self.go.wait(30)
            self.copy.append(self.data[at : at + PIECE_BYTES])


@contextmanager
def growing(path: Path, held_at: int) -> Iterator[Growing]:
    with tempfile.TemporaryFile() as file:
        made = Growing(path, file, held_at)
        made.thread.start()
        try:
            yield made
        finally:
            made.go.set()
            made.thread.join()


def described(info: VideoInfo) -> tuple[object, ...]:
    return info.index.to_bytes(), info.size, info.rotation_deg, info.codec, info.container, info.notes


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.usefixtures("handed_out")
def test_it_gives_the_index_of_the_whole_file(videos, monkeypatch, name):
    """Far is near here, so that what lies at the end is fetched; only then comes the rest."""
    monkeypatch.setattr(growing_copy, "FAR_BYTES", 20_000)
    monkeypatch.setattr(growing_copy, "FIRST_AHEAD_BYTES", 2_000)
    path = videos[name]
    with open_source(path) as source:
        whole = probe(source, LIMITS)
    with growing(path, held_at=100_000) as made:
        if name not in AT_THE_END:
            made.go.set()
        assert described(probe(made.copy, LIMITS)) == described(whole)


@pytest.mark.usefixtures("handed_out")
def test_the_end_is_fetched_at_once_but_not_for_ever(videos, monkeypatch):
    monkeypatch.setattr(growing_copy, "FAR_BYTES", 20_000)
    monkeypatch.setattr(growing_copy, "FIRST_AHEAD_BYTES", 1_000)
    with growing(videos["index last"], held_at=10_000) as made:
        made.goes_on_after_a_fetch = False
        size_bytes = len(made.data)
        assert made.copy.read_at(size_bytes - 5_000, 100) == made.data[-5_000:-4_900]
        assert made.copy.read_at(size_bytes - 4_900, 4_900) == made.data[-4_900:]
        assert made.ahead == [(size_bytes - 5_000, 1_000), (size_bytes - 4_000, 4_000)]
        monkeypatch.setattr(made.copy, "_ahead_left_bytes", 100)
        threading.Timer(0.1, made.go.set).start()
        assert made.copy.read_at(size_bytes - 9_000, 2_000) == made.data[-9_000:-7_000]
        assert len(made.ahead) == 2, "beyond what may be fetched, it waits"


@pytest.mark.usefixtures("handed_out")
def test_what_the_writer_fails_with_surfaces_unchanged(videos):
    error = ServiceUnavailable("the store is away")
    with tempfile.TemporaryFile() as file:
        data = videos["index first"].read_bytes()
        copy = GrowingCopy(file, len(data), lambda *_: b"")
        copy.append(data[:50_000])
        threading.Timer(0.1, copy.fail, [error]).start()
        with pytest.raises(ServiceUnavailable) as caught:
            probe(copy, LIMITS)
        assert caught.value is error
        assert copy.read_at(40_000, 10_000) == data[40_000:50_000]


@pytest.mark.usefixtures("handed_out")
def test_interrupted_while_waiting_for_the_next_bytes(videos):
    interrupted = threading.Event()
    with growing(videos["index first"], held_at=50_000) as made:
        threading.Timer(0.2, interrupted.set).start()
        with pytest.raises(Stopping):
            probe(made.copy, LIMITS, interrupted=interrupted)
        assert not made.go.is_set()


def test_what_is_no_video_is_refused_before_all_of_it_is_here(tmp_path, handed_out):
    path = tmp_path / "notes.mp4"
    path.write_bytes(b"no video at all, " * 400_000)
    with growing(path, held_at=4_000_000) as made:
        with pytest.raises(VideoRejected, match="not a video"):
            probe(made.copy, LIMITS)
        assert not made.go.is_set(), handed_out
