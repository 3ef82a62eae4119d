"""Batch work beside live sessions: it goes on, for a fifth of the time."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine

import pipeline.video.decoder_process
from pipeline.core.live_protocol import Mode
from pipeline.db.live_processes import LiveProcess
from pipeline.inference.engines.placement import Placement
from pipeline.services.detect import detect_chunk
from pipeline.services.ingest import ingest_video
from pipeline.services.live.processes import list_processes, register_process, remove_process, report_process
from pipeline.services.live.yielding import LiveNeighbour, machine_id
from pipeline.services.model_cache import ModelCache
from pipeline.services.proxy import make_proxy
from pipeline.services.proxy_request import request_proxy
from pipeline.services.system import System
from tests.support.analysis import MODEL, put_model
from tests.support.harness import ask, run_of, sql
from tests.support.video_maker import make_video


def process(name: str, machine: str, sessions: int) -> LiveProcess:
    return LiveProcess(name, "ws://x", machine, 1, "0", "m", "d", 30.0, None, 40.0, Mode.FULL, sessions)


def test_only_open_sessions_on_this_machine_count(system: System) -> None:
    def rest_s(worked_s: float = 0.05) -> float:
        return replace(system, neighbour=LiveNeighbour()).rest_s(worked_s)

    def begin(name: str, machine: str, sessions: int) -> datetime:
        return register_process(system, process(name, machine, sessions))

    begin("idle", machine_id(), 0)
    begin("elsewhere", "another machine", 3)
    assert rest_s() == 0
    busy = begin("busy", machine_id(), 1)
    assert rest_s() == pytest.approx(0.2)
    assert rest_s(100.0) == 1
    assert replace(system, settings=system.settings.model_copy(update={"live_yield": False})).rest_s(1.0) == 0
    remove_process(system, "busy", busy)
    assert rest_s() == 0


def test_a_process_is_told_from_others_of_its_name(system: System) -> None:
    """From one that was there before it, and from one that came after it, whatever either reports late."""
    before, after = process("track", "a", 1), process("track", "b", 2)

    def there() -> list[str]:
        return [row.machine for row in list_processes(system)]

    first = register_process(system, before)
    assert report_process(system, before, first)
    second = register_process(system, after)
    assert not report_process(system, before, first)
    remove_process(system, "track", first)
    assert there() == ["b"]
    assert report_process(system, after, second)
    # What was forgotten while it was cut off comes back.
    sql(system, "DELETE FROM live_process")
    assert report_process(system, after, second)
    assert there() == ["b"]
    remove_process(system, "track", second)
    assert there() == []


def test_all_work_beside_a_live_session_rests_as_it_goes(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worked: list[float] = []

    def note(_: LiveNeighbour, engine: Engine, worked_s: float) -> float:
        worked.append(worked_s)
        return 0.0

    def rests() -> int:
        assert not worked or min(worked) > 0
        count = len(worked)
        worked.clear()
        return count

    monkeypatch.setattr(LiveNeighbour, "rest_s", note)
    monkeypatch.setattr(pipeline.video.decoder_process, "POLL_S", 0.0)
    put_model(system.settings.models_path)
    run_id = ask(system, make_video(tmp_path / "clip.mp4", frames=12), model=MODEL)
    video_id = run_of(system, run_id).video_id
    ingest_video(system, video_id, "w")
    assert rests() > 2  # for what is copied, and while the decoder works
    detect_chunk(system, ModelCache(system, Placement("cpu")), run_id, 0, "w")
    assert rests() >= 12
    request_proxy(system, video_id, team=run_of(system, run_id).team)
    make_proxy(system, video_id, "w")
    assert rests() >= 12
