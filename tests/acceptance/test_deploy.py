"""A deploy under load costs no attempt and loses nothing, and a run that is cancelled frees its slot at once."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from pipeline.cli.main import main
from pipeline.services.cancel import cancel_run
from pipeline.services.status import get_status
from pipeline.services.system import System
from pipeline.settings import Settings
from tests.support.harness import ask, assert_nothing_left, export_bytes, processes, sql, wait_done, wait_until


def said(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    capsys.readouterr()
    assert main([*args]) == 0, capsys.readouterr().err
    return capsys.readouterr().out


def busy(system: System, name: str) -> bool:
    """Whether that worker has a chunk in hand of which it has done a part."""
    begun = "SELECT 1 FROM chunk WHERE state = 'running' AND frames_done > 0 AND split_part(worker, '@', 1) = :name"
    return bool(sql(system, begun, name=name))


@pytest.mark.soak
def test_a_rolling_restart_under_load_costs_no_attempt_and_loses_nothing(
    configured: Settings,
    system: System,
    short_clip: Path,
    reference: bytes,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Three workers, one after the other: drained and stopped by its supervisor, drained and stopped by the command,
    and stopped without having been drained, which gives its chunks back."""
    names = ("a", "b", "c")
    with processes(configured, tmp_path / "logs") as running:
        running.beat()
        workers = {name: running.worker("--slots", "1", "--name", name) for name in names}
        wait_until(lambda: len(get_status(system).workers) == 3, 60, "three workers")
        run_ids = [ask(system, short_clip, team="t")]
        for name in names:
            run_ids.append(ask(system, short_clip, team=f"at {name}"))  # so that there is work, however fast they are
            wait_until(lambda name=name: busy(system, name), 60, f"{name} at work")
            if name == "a":
                [state] = json.loads(said(capsys, "drain", name, "--json"))
                assert state["state"] in {"draining", "drained"}
                shown = said(capsys, "status")
                assert "is draining since" in shown or "is drained since" in shown
                [state] = json.loads(said(capsys, "drain", name, "--wait", "--json"))
                assert (state["state"], state["in_hand"]) == ("drained", 0)
                assert workers[name].poll() is None
                before = sql(system, "SELECT sum(attempts) FROM chunk WHERE split_part(worker, '@', 1) = 'a'")
                run_ids.append(ask(system, short_clip, team="meanwhile"))
                wait_until(lambda: busy(system, "b") or busy(system, "c"), 60, "another at work")
                assert sql(system, "SELECT sum(attempts) FROM chunk WHERE split_part(worker, '@', 1) = 'a'") == before
                assert "is drained since" in said(capsys, "status")
                workers[name].send_signal(signal.SIGTERM)
            elif name == "b":
                [state] = json.loads(said(capsys, "drain", name, "--stop", "--json"))
                assert state["state"] == "gone"
            else:
                workers[name].send_signal(signal.SIGTERM)
            assert workers[name].wait(30) == 0
            running.worker("--slots", "1", "--name", name)
        for number, run_id in enumerate(run_ids):
            wait_done(system, run_id, 180)
            assert export_bytes(system, run_id, tmp_path / f"{number}.jsonl") == reference
        for run_id in run_ids:
            assert_nothing_left(system, run_id)
        counted = "SELECT DISTINCT attempts, errors, expirations, deaths FROM chunk"
        assert sql(system, counted) == [(1, 0, 0, 0)], "a restart cost an attempt"
        assert sql(system, "SELECT max(attempts) FROM run") == [(1,)]
        assert sql(system, "SELECT 1 FROM worker WHERE draining_at IS NOT NULL") == [], "it was started again"


def test_a_drained_worker_takes_work_again_when_that_is_undone(
    configured: Settings, system: System, short_clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with processes(configured, tmp_path / "logs") as running:
        running.beat()
        running.worker("--slots", "1", "--name", "only")
        wait_until(lambda: get_status(system).workers, 60, "a worker")
        assert main(["drain", "nobody"]) == 2
        assert "no worker is called 'nobody'; workers: only@" in capsys.readouterr().err
        assert main(["drain", "only", "--wait"]) == 0
        printed = capsys.readouterr()
        assert "only@" in printed.out
        assert printed.out.strip().endswith(": drained")
        assert "no worker takes work now" in printed.err
        main(["doctor", "--json"])
        [wrong] = [each for each in json.loads(capsys.readouterr().out) if each["part"] == "workers"]
        assert wrong["message"].startswith("no worker takes work: only@")
        ask(system, short_clip)
        wait_until(lambda: system.queue.waiting("control"), 30, "a message that nobody takes")
        assert sql(system, "SELECT attempts FROM video") == [(0,)]
        assert said(capsys, "drain", "only", "--undo").strip().endswith(": takes work")
        wait_until(lambda: busy(system, "only"), 60, "the video ingested and its first frames done")


def test_a_cancelled_run_frees_its_slot_within_a_heartbeat_and_commits_nothing(
    system: System, short_clip: Path, tmp_path: Path
) -> None:
    """One slot, a chunk of several seconds, and another run behind it, which begins as soon as the slot is free."""
    settings = system.settings.model_copy(update={"chunk_frames": 100_000})
    with processes(settings, tmp_path / "logs") as running:
        running.beat()
        running.worker("--slots", "1")
        cancelled, other = (ask(system, short_clip, team=team) for team in ("a", "b"))
        begun = "SELECT run_id FROM chunk WHERE state = 'running' AND frames_done > 3"
        [(first,)] = wait_until(lambda: sql(system, begun), 60, "the first frames")
        behind = other if first == cancelled else cancelled
        queued = "SELECT 1 FROM chunk WHERE state = 'queued' AND run_id = :id"
        wait_until(lambda: sql(system, queued, id=behind), 60, "the other run's message")
        cancel_run(system, first, team=None)  # type: ignore[arg-type]
        at = time.monotonic()
        wait_until(lambda: "lease_lost" in running.output(), 30, "the worker to see it")
        seen_after_s = time.monotonic() - at
        begun = "SELECT 1 FROM chunk WHERE state = 'running' AND run_id = :id"
        wait_until(lambda: sql(system, begun, id=behind), 30, "the other run to begin")
        assert sql(system, "SELECT count(*) FROM frame WHERE run_id = :id", id=first) == [(0,)]
        assert sql(system, "SELECT state, attempts FROM chunk WHERE run_id = :id", id=first) == [("cancelled", 1)]
    assert seen_after_s < settings.heartbeat_s + 2.0, f"the slot was free after {seen_after_s:.1f} s"
