"""Last season is analysed again over three nights, by a model that is better for some videos and worse for others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import text

from pipeline.core.selection import Selection
from pipeline.db.engine import transaction
from pipeline.inference.weights.checksums import sha256_of, write_checksums
from pipeline.services.campaign_report import report_on
from pipeline.services.pass_list import PassProgress, list_passes
from pipeline.services.promote import iter_rollback
from pipeline.services.reconcile import tick
from pipeline.services.request import request_run
from pipeline.services.schedules import ScheduleOptions, add_schedule
from pipeline.services.system import System
from pipeline.services.upload import upload_file
from tests.support.harness import processes, sql, wait_done, wait_until
from tests.support.nights import Clock, with_clock
from tests.support.oracle_maker import make_oracle
from tests.support.video_maker import make_video

OLD, NEW = "rtmo-t", "rtmo-s"
FRAMES = 60
#: Videos whose numbers have the highest bit set: the new model sees nobody there.
DARK = ("video-2.mp4", "video-5.mp4")
VIDEOS = tuple(f"video-{number}.mp4" for number in range(1, 7))
#: The frames of the passes' chunks by state.
CHUNKS = (
    "SELECT chunk.state, sum(chunk.frames) FROM chunk JOIN run ON run.id = run_id WHERE lane = 'reprocess' GROUP BY 1"
)
CURRENT = """
SELECT video.name, model.name FROM video JOIN run ON run.id = current_run_id
JOIN model ON model.fingerprint = model_fingerprint WHERE video.name LIKE 'video-%' ORDER BY video.name
"""
#: Of each video: how many runs its view shows, and how many frames.
SEEN = "SELECT video, count(DISTINCT run_id), count(*) FROM current_frame WHERE video LIKE 'video-%' GROUP BY video"


def put_models(models_path: Path) -> None:
    """The old model finds everybody and is not sure; the new one is sure, and blind to dark videos."""
    models_path.mkdir(parents=True, exist_ok=True)
    old = make_oracle(models_path / f"{OLD}.onnx", confidence=0.6)
    new = make_oracle(models_path / f"{NEW}.onnx", side_px=640, confidence=0.9, blind_to=0)
    write_checksums(models_path, {OLD: sha256_of(old), NEW: sha256_of(new)})


def make_season(folder: Path) -> list[Path]:
    """Six videos of two chunks each."""
    clips = []
    for place, name in enumerate(VIDEOS, 1):
        first = 1000 * place + (0x8000 if name in DARK else 0)
        clips.append(make_video(folder / name, FRAMES, gop=30, numbers=range(first, first + FRAMES)))
    return clips


@contextmanager
def readers(system: System, count: int = 3) -> Iterator[Callable[[], int]]:
    """Read the views all the time, for one block: every video with all frames of one run, each time. Gives a function
    that tells how often they were read."""
    stop, torn, reads = threading.Event(), [], [0] * count

    def read(number: int) -> None:
        while not stop.wait(0.02):  # the rest of the machine is for what is read
            with transaction(system.engine) as connection:
                seen = connection.execute(text(SEEN)).all()
            reads[number] += 1
            if [tuple(row)[1:] for row in seen] != [(1, FRAMES)] * len(VIDEOS):
                torn.append(seen)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield lambda: sum(reads)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert torn == []


def last_pass(system: System) -> PassProgress:
    return list_passes(system, limit=1)[0]


def go_on_until(night: System, holds: Callable[[], object]) -> None:
    """Let beat tick, by the moved clock, until `holds()`."""

    def ticked() -> object:
        tick(night)
        return holds()

    wait_until(ticked, 90)


def test_three_nights(system: System, tmp_path: Path) -> None:
    put_models(system.settings.models_path)
    clips = make_season(tmp_path)
    clock = Clock("2027-03-01T12:00")
    night = with_clock(system, clock)
    with processes(system.settings, tmp_path / "logs") as running:
        running.worker("--slots", "1")
        for clip in clips:
            wait_done(system, request_run(system, upload_file(system, clip, "team").video.id, OLD).run_id)
        add_schedule(
            night,
            "season",
            ScheduleOptions(
                cron="0 22 * * *",
                timezone="UTC",
                window_s=8 * 3600,
                model=NEW,
                selection=Selection.parse([f"model={OLD}", "name=video-*"]),
                budget_frames=150,
                promotion="better",
            ),
        )
        tick(night)
        assert list_passes(system) == []
        before = dict(sql(system, CURRENT))
        with readers(system) as count_reads:
            # The first night: two videos and a half, which is its budget; a fresh video does not wait for it.
            clock.move_to("2027-03-01T22:00")
            tick(night)
            fresh = make_video(tmp_path / "fresh.mp4", 300, gop=30)
            fresh_id = request_run(system, upload_file(system, fresh, "team").video.id, OLD).run_id
            go_on_until(night, lambda: last_pass(system).one.closed_at)
            first = last_pass(system)
            assert (first.one.ended, first.counts["frames"]) == ("budget used up", 150)
            assert first.counts["done"] + first.counts["open"] + first.counts["held"] == 3
            wait_done(system, fresh_id)

            # The second: its window closes after the first chunk. What is in hand ends, the rest waits.
            go_on_until(night, lambda: not dict(sql(system, CHUNKS)).keys() & {"queued", "running"})
            done = dict(sql(system, CHUNKS))["done"]
            assert done == 150
            clock.move_to("2027-03-02T22:00")
            go_on_until(night, lambda: dict(sql(system, CHUNKS))["done"] > done)
            clock.move_to("2027-03-03T06:00")
            go_on_until(night, lambda: last_pass(system).one.closed_at)
            second = last_pass(system)
            assert second.one.ended in {"window closed", "budget used up"}
            assert 0 < second.counts["frames"] <= 150
            assert len(list_passes(system)) == 2

            # The third has what is left.
            clock.move_to("2027-03-03T22:00")
            go_on_until(night, lambda: last_pass(system).one.closed_at)
            third = last_pass(system)
            assert third.counts["frames"] <= 150
            if third.one.ended == "budget used up":
                clock.move_to("2027-03-04T22:00")
                go_on_until(night, lambda: last_pass(system).one.closed_at)
            assert last_pass(system).one.ended == "all done"
            assert sum(each.counts["frames"] for each in list_passes(system)) == len(VIDEOS) * FRAMES
            order = sql(system, "SELECT video.name FROM run JOIN video ON video.id = video_id "
                "WHERE pass_id IS NOT NULL ORDER BY run.finished_at")  # fmt: skip
            assert order == [(name,) for name in VIDEOS]

            # By rule: sure where the old one was not, and kept back where it lost everybody.
            after = {name: OLD if name in DARK else NEW for name in VIDEOS}
            assert dict(sql(system, CURRENT)) == after
            report = report_on(system, "season", team=None)
            assert (report.videos, report.promoted, report.compared) == (6, 4, 6)
            assert {one.video for one in report.kept_back} == set(DARK)

            rolled_back = list(iter_rollback(system, schedule_name="season", team=None, by="coach"))
            assert [change.action for change in rolled_back] == ["rolled_back"] * 4
            assert dict(sql(system, CURRENT)) == before
            assert count_reads() > 100
    assert sql(system, "SELECT count(*) FROM frame JOIN run ON run.id = run_id WHERE pass_id IS NOT NULL") == [
        (len(VIDEOS) * FRAMES,)
    ]
