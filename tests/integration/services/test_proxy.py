"""Copies for browsers have the same frames at the same times, are made once, and leave nothing behind."""

from __future__ import annotations

import threading
from fractions import Fraction
from pathlib import Path
from uuid import UUID

import av
import pytest

from pipeline.core.object_keys import proxy_key
from pipeline.core.states import ProxyState
from pipeline.db.engine import transaction
from pipeline.db.proxies import claim_proxy
from pipeline.db.videos import select_frame_index
from pipeline.errors import NotFound, OriginalRemoved
from pipeline.services.ingest import ingest_video
from pipeline.services.proxy import make_proxy
from pipeline.services.proxy_request import find_proxy, forget_lost_proxy, request_proxy
from pipeline.services.reconcile import tick
from pipeline.services.system import System
from pipeline.services.upload import upload_file
from tests.support.beep_maker import beeps_s, flashes_s, make_beeps
from tests.support.harness import processes, report_worker, sql, wait_until
from tests.support.video_maker import make_turned, make_video, read_number


def take_in(system: System, path: Path) -> UUID:
    video_id = upload_file(system, path, "team").video.id
    ingest_video(system, video_id, "w")
    return video_id


def made(system: System, video_id: UUID, folder: Path) -> Path:
    """The finished copy, as a file."""
    found = find_proxy(system, video_id, team="team")
    assert found is not None
    assert found.source is not None
    path = folder / f"{video_id}.mp4"
    path.write_bytes(b"".join(system.store.iter_whole(found.source)))
    return path


UNEVEN = [0, 1, 5, 6, 7, 30, 31, 33, 60, 61, 62, 90]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("vfr.mkv", {"codec": "mpeg4", "pts": UNEVEN, "frames": len(UNEVEN)}),
        ("late.mp4", {"pts": [15 + number for number in range(40)], "frames": 40, "b_frames": 2}),
        ("ntsc.mov", {"time_base": Fraction(1001, 30000), "frames": 40}),
        ("large.avi", {"codec": "mjpeg", "width": 1280, "height": 720, "frames": 12}),
    ],
)
def test_every_frame_is_there_at_its_own_time(
    system: System, tmp_path: Path, name: str, options: dict[str, object]
) -> None:
    video_id = take_in(system, make_video(tmp_path / name, **options))  # type: ignore[arg-type]
    asked = request_proxy(system, video_id, team="team")
    assert asked.state is ProxyState.WANTED
    make_proxy(system, video_id, "w")
    with transaction(system.engine) as connection:
        index = select_frame_index(connection, video_id)
    with av.open(str(made(system, video_id, tmp_path))) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert min(stream.width, stream.height) <= 540
        frames = [(frame.pts * frame.time_base, read_number(frame.to_ndarray(format="bgr24")))
                  for frame in container.decode(stream)]  # fmt: skip
    assert frames == [(int(pts) * index.time_base, number) for number, pts in enumerate(index.pts)]


def test_a_turned_picture_stands_upright_and_is_not_turned_again(system: System, tmp_path: Path) -> None:
    video_id = take_in(system, make_turned(tmp_path / "turned.mp4", (1, False)))
    request_proxy(system, video_id, team="team")
    make_proxy(system, video_id, "w")
    with av.open(str(made(system, video_id, tmp_path))) as container:
        frames = list(container.decode(container.streams.video[0]))
    assert (frames[0].width, frames[0].height) == (96, 160)
    assert not frames[0].rotation
    assert [read_number(frame.to_ndarray(format="bgr24")) for frame in frames] == list(range(24))


def test_sound_stays_with_the_picture(system: System, tmp_path: Path) -> None:
    path = make_beeps(tmp_path / "beeps.mkv")
    video_id = take_in(system, path)
    request_proxy(system, video_id, team="team")
    make_proxy(system, video_id, "w")
    copy = made(system, video_id, tmp_path)
    assert flashes_s(copy) == pytest.approx(flashes_s(path), abs=0.002)
    assert beeps_s(copy) == pytest.approx(beeps_s(path), abs=0.02)


def test_it_is_made_once_by_a_worker_and_again_where_it_was_lost(system: System, tmp_path: Path) -> None:
    video_id = take_in(system, make_video(tmp_path / "v.mp4", 30))
    with processes(system.settings, tmp_path / "logs") as running:
        running.worker("--slots", "1")
        running.beat()
        request_proxy(system, video_id, team="team")
        wait_until(lambda: find_proxy(system, video_id, team="team").state is ProxyState.READY, 60)  # type: ignore[union-attr]
        first = request_proxy(system, video_id, team="team")
        assert first.source is not None
        assert request_proxy(system, video_id, team="team") == first
        system.store.delete(first.source.key)
        forget_lost_proxy(system, video_id)
        request_proxy(system, video_id, team="team")
        wait_until(lambda: find_proxy(system, video_id, team="team").state is ProxyState.READY, 60)  # type: ignore[union-attr]
    again = find_proxy(system, video_id, team="team")
    assert again is not None
    assert again.source is not None
    assert again.source.etag == first.source.etag, "the same video gives the same copy"
    assert list((system.settings.home / "scratch").glob("proxy-*")) == []


def test_another_team_has_no_copy_of_it(system: System, tmp_path: Path) -> None:
    video_id = take_in(system, make_video(tmp_path / "v.mp4", 30))
    for ask in (find_proxy, request_proxy):
        with pytest.raises(NotFound):
            ask(system, video_id, team="other")


def test_what_cannot_be_made_says_why(system: System, tmp_path: Path) -> None:
    video_id = take_in(system, make_video(tmp_path / "v.mp4", 30))
    sql(system, "UPDATE video SET original_removed_at = now()")
    with pytest.raises(OriginalRemoved):
        request_proxy(system, video_id, team="team")
    assert find_proxy(system, video_id, team="team") is None


def test_a_worker_that_dies_over_it_does_not_keep_it(system: System, tmp_path: Path) -> None:
    video_id = take_in(system, make_video(tmp_path / "v.mp4", 30))
    request_proxy(system, video_id, team="team")
    report_worker(system, "dead")
    with transaction(system.engine) as connection:
        assert claim_proxy(connection, video_id, "dead", 2) is not None
    make_proxy(system, video_id, "w")
    assert find_proxy(system, video_id, team="team").state is ProxyState.WANTED  # type: ignore[union-attr]
    sql(system, "UPDATE worker SET seen_at = now() - interval '1 hour'")
    sql(system, "UPDATE proxy SET lease_until = now() - interval '1 hour'")
    tick(system)
    assert sql(system, "SELECT lease_token, deaths FROM proxy") == [(None, 1)]
    sql(system, "UPDATE proxy SET not_before = now()")
    make_proxy(system, video_id, "w")
    assert find_proxy(system, video_id, team="team").state is ProxyState.READY  # type: ignore[union-attr]


def test_a_video_erased_meanwhile_leaves_no_copy(system: System, tmp_path: Path) -> None:
    video_id = take_in(system, make_video(tmp_path / "v.mp4", 30))
    request_proxy(system, video_id, team="team")
    [(team_id,)] = sql(system, "SELECT team_id FROM video")
    putting = system.store.put_file

    def put_then_erase(*args: object, **more: object) -> object:
        stored = putting(*args, **more)  # type: ignore[arg-type]
        sql(system, "DELETE FROM video")
        return stored

    object.__setattr__(system.store, "put_file", put_then_erase)
    make_proxy(system, video_id, "w", threading.Event())
    key = proxy_key(UUID(str(team_id)), video_id)
    assert system.store.versions.find(system.store.bucket, key).versions == 0
