"""On servers of one's own, `status` and `doctor` see a beat and a worker that are gone or hung."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from redis import Redis

from pipeline.cli.main import main
from pipeline.core.beat_report import BEAT_KEY, alive_after_tick_s
from pipeline.services.status import get_status
from pipeline.services.system import System
from pipeline.settings import Settings
from tests.support.harness import ask, environment, kill, processes, sql, wait_until


@pytest.fixture
def configured(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """This process is configured by its environment, as a person's own servers are."""
    for name, value in environment(settings).items():
        if name.startswith("POSELINE_"):
            monkeypatch.setenv(name, value)
    return settings


def doctor(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """What `doctor` finds wrong."""
    main(["doctor", "--json"])
    found = json.loads(capsys.readouterr().out)
    return {line["part"]: line["message"] for line in found if not line["ok"]}


def test_a_beat_that_hangs_is_seen(
    configured: Settings, system: System, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with processes(configured, tmp_path / "logs") as running:
        beat = running.beat()
        seen = wait_until(system.queue.last_beat, 30, "a tick")
        assert seen is not None
        assert seen.pid == beat.pid
        assert 0 <= seen.age_s < alive_after_tick_s(configured.tick_s) == 30
        assert "beat" not in doctor(capsys)

        beat.send_signal(signal.SIGSTOP)
        with Redis.from_url(configured.broker_url.get_secret_value()) as redis:
            assert 0 < redis.pttl(BEAT_KEY) <= 30_000
            redis.pexpire(BEAT_KEY, 1)  # as 30 s later
            wait_until(lambda: not redis.exists(BEAT_KEY), 5, "its expiry")
        assert get_status(system).beat is None
        assert "none ticks" in doctor(capsys)["beat"]
        assert main(["status"]) == 0
        assert "start one with `poseline beat`" in capsys.readouterr().out

        beat.send_signal(signal.SIGCONT)
        wait_until(system.queue.last_beat, 30, "a tick")


def test_a_worker_that_hangs_with_work_is_seen(
    configured: Settings, system: System, short_clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with processes(configured, tmp_path / "logs") as running:
        worker = running.worker("--slots", "1", "--name", "hangs")
        wait_until(lambda: get_status(system).workers, 60, "a worker")
        assert "workers" not in doctor(capsys)
        ask(system, short_clip)
        wait_until(lambda: sql(system, "SELECT 1 FROM chunk WHERE frames_done > 0 AND state = 'running'"), 60, "work")
        worker.send_signal(signal.SIGSTOP)
        [live] = get_status(system).workers
        assert not live.answers
        assert "does not answer through Redis" in doctor(capsys)["workers"]

        sql(system, "UPDATE worker SET seen_at = now() - interval '3 minutes'")  # as three minutes later
        status = get_status(system)
        [lost] = status.lost
        assert status.workers == ()
        assert (lost.name.partition("@")[0], lost.leases) == ("hangs", 1)
        assert "was last seen 3 min ago and holds 1 of its tasks: restart it" in doctor(capsys)["workers"]
        assert main(["status"]) == 0
        assert "stopped reporting: last seen 3 min ago, holds 1 of its tasks" in capsys.readouterr().out

        sql(system, "UPDATE worker SET seen_at = now() - interval '2 days'")
        assert get_status(system).lost == ()


def test_a_worker_that_dies_again_and_again_is_named(
    configured: Settings, system: System, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with processes(configured, tmp_path / "logs") as running:
        worker = running.worker("--slots", "1", "--name", "dies")
        wait_until(lambda: get_status(system).workers, 60, "a worker")
        name = get_status(system).workers[0].worker.name
        for minutes in (1, 2):
            sql(system, "INSERT INTO worker_death VALUES (:name, now() - make_interval(mins => :minutes), now(), '{}')",
                name=name, minutes=minutes)  # fmt: skip
        assert get_status(system).restarting == ()
        kill(worker)
        running.worker("--slots", "1", "--name", "dies")
        [again] = wait_until(lambda: get_status(system).restarting, 60, "its next start")
        assert (again.name, again.deaths) == (name, 3)
        assert "died 3 times in the last hour, the last time" in doctor(capsys)["workers"]
        assert main(["status"]) == 0
        assert f"{name} died 3 times in the last hour" in capsys.readouterr().out
        wait_until(lambda: running.count("worker_dies_again_and_again"), 30, "the line in its log")


def test_a_worker_that_cannot_start_is_named(
    configured: Settings, system: System, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with processes(configured, tmp_path / "logs") as running:
        for _ in range(3):
            broken = running.start("worker", "--device", "cuda", "--name", "broken")
            assert broken.wait(60) == 1
    assert "broken@" in doctor(capsys)["workers"]
    assert "died 3 times in the last hour" in doctor(capsys)["workers"]
