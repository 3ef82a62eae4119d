"""Batch work beside live sessions: it goes on, for a fifth of the time."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from pipeline.core.live_protocol import Mode
from pipeline.db.live_processes import LiveProcess
from pipeline.services.live.processes import remove_process, report_process
from pipeline.services.live.yielding import LiveNeighbour, machine_id
from pipeline.services.system import System
from tests.support.analysis import analyse
from tests.support.harness import run_of
from tests.support.video_maker import make_video


class Rests(threading.Event):
    """Notes for how long it is waited for, and does not wait."""

    def __init__(self) -> None:
        super().__init__()
        self.asked_s: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.asked_s.append(timeout)
        return False


def process(name: str, machine: str, sessions: int) -> LiveProcess:
    return LiveProcess(name, "ws://x", machine, 1, "0", "m", "d", 30.0, None, 40.0, Mode.FULL, sessions)


def test_only_open_sessions_on_this_machine_count(system: System) -> None:
    def rests(worked_s: float = 0.05) -> list[float | None]:
        event = Rests()
        LiveNeighbour().rest(system.engine, worked_s, event)
        return event.asked_s

    report_process(system, process("idle", machine_id(), 0))
    report_process(system, process("elsewhere", "another machine", 3))
    assert rests() == []
    report_process(system, process("busy", machine_id(), 1))
    assert rests() == [pytest.approx(0.2)]
    assert rests(100.0) == [1.0]
    remove_process(system, "busy")
    assert rests() == []


def test_a_run_beside_a_live_session_rests_after_each_frame(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worked: list[float] = []
    monkeypatch.setattr(LiveNeighbour, "rest", lambda *given: worked.append(given[2]))
    run_id = analyse(system, make_video(tmp_path / "clip.mp4", frames=12))
    assert run_of(system, run_id).frames_done == len(worked) == 12
    assert min(worked) > 0
