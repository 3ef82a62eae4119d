"""A session goes on whatever its disk does; it is kept up to there, and says so once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest

from pipeline.core.live_protocol import Codec, Frame
from pipeline.core.live_results import Fate
from pipeline.live import keeping
from pipeline.live.camera_thread import Received
from pipeline.live.keeping import KeptSession
from pipeline.services.live.spool import VIDEO, About, End, SpoolWriter
from pipeline.services.live.spooled import Spool
from tests.support.live import jpeg
from tests.support.oracle_maker import LYING


class Told:
    """Why keeping ended, each time that it was told."""

    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.told = threading.Event()

    def tell(self, reason: str) -> None:
        """Take a reason."""
        self.reasons.append(reason)
        self.told.set()


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[SpoolWriter]:
    """The folder of a session."""
    made = SpoolWriter(tmp_path, About(str(uuid4()), "ours", str(uuid4()), "", Codec.JPEG, "{}", "a CPU", "full"))
    yield made
    made.taken.close()


def wait(event: threading.Event) -> None:
    """As a disk that is slow."""
    assert event.wait(10)


def film(kept: KeptSession, number: int) -> None:
    """Keep a frame, and what became of it."""
    kept.write_frame(Frame(number, True, 40.0 * number, 0.0, 0.0, jpeg(number)))
    kept.write_fate(Received(number, 40.0 * number, 0.0, size=LYING), Fate.SUPERSEDED, None, "")


def test_where_the_disk_is_full_what_was_kept_before_is_a_video(writer: SpoolWriter) -> None:
    told = Told()
    kept = KeptSession(writer, 0, 2**40, told.tell)
    for number in range(5):
        film(kept, number)
    kept.write_fate(Received(99, 0.0, 0.0), Fate.FAILED, None, "of no frame that was kept")
    written = threading.Event()
    kept._inbox.put(written.set)
    assert written.wait(10)
    writer._video.close()
    with Path("/dev/full").open("wb", buffering=0) as writer._video:
        film(kept, 5)
        assert told.told.wait(10)
        film(kept, 6)
        kept.finish(End({"received": 7}, "the client ended it"))
    assert told.reasons == ["the live process cannot write it: No space left on device"]
    spool = Spool(writer.taken.folder)
    assert spool.finish_video() == (writer.taken.folder / VIDEO).stat().st_size
    assert len(spool.samples.pts) == 5
    assert spool.end.not_kept == told.reasons[0]
    assert spool.end.counts == {"received": 7}


def test_keeping_ends_before_the_disk_is_full(writer: SpoolWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "_LOOK_EVERY_S", 0.0)
    told = Told()
    kept = KeptSession(writer, 2**60, 2**40, told.tell)
    film(kept, 0)
    assert told.told.wait(10)
    for number in range(1, 5):
        film(kept, number)
    kept.finish(End())
    [reason] = told.reasons
    assert "left, 1.07e+09 GiB are to stay free" in reason
    spool = Spool(writer.taken.folder)
    assert len(spool.samples.pts) == 1
    assert spool.end.not_kept == reason


def test_a_session_does_not_wait_for_its_disk(writer: SpoolWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "_MOST_WAITING_BYTES", 2 * len(jpeg(0)))
    told, goes_on = Told(), threading.Event()
    kept = KeptSession(writer, 0, 2**40, told.tell)
    kept._inbox.put(partial(wait, goes_on))
    for number in range(20):
        film(kept, number)
    assert told.reasons == ["the disk of the live process is too slow for it"]
    goes_on.set()
    kept.finish(End())
    assert 1 <= len(Spool(writer.taken.folder).samples.pts) <= 2


def test_a_session_that_would_be_too_large_a_video_is_kept_up_to_there(writer: SpoolWriter) -> None:
    told = Told()
    kept = KeptSession(writer, 0, 3 * len(jpeg(0)) + 100, told.tell)
    for number in range(10):
        film(kept, number)
    kept.finish(End())
    [reason] = told.reasons
    assert reason.endswith("as much as a kept session of this team may have")
    assert len(Spool(writer.taken.folder).samples.pts) in {2, 3}
