"""Workers and decoders that die, hang, run out of disk or memory, lose their GPU, or have another clock."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.acceptance.faults.rig import SLOW_S, Rig
from tests.support.harness import sql, wait_until


def test_a_decoder_killed_in_mid_chunk(rig: Rig) -> None:
    rig.beat()
    worker = rig.worker(slow=SLOW_S)
    rig.ask()
    rig.mid_chunk()
    rig.hit()
    for decoder in rig.decoders(worker):
        decoder.kill()
    rig.check("decoder killed")
    assert worker.returncode == 0
    assert sql(rig.system, "SELECT sum(expirations) FROM chunk") == [(0,)]


def test_a_worker_stopped_for_longer_than_its_lease(rig: Rig) -> None:
    """It commits nothing when it wakes up: another worker has done its chunk meanwhile."""
    rig.beat()
    zombie = rig.worker(slow=SLOW_S)
    rig.ask()
    rig.mid_chunk()
    zombie.send_signal(signal.SIGSTOP)
    rig.hit()
    rig.worker()
    wait_until(
        lambda: sql(rig.system, "SELECT 1 FROM chunk WHERE deaths + expirations = 1 AND state = 'done'"), 60, "its heir"
    )
    zombie.send_signal(signal.SIGCONT)
    rig.check("zombie")
    assert rig.said("lease_lost")


def test_a_message_lost_between_queue_and_worker(rig: Rig, tmp_path: Path) -> None:
    rig.beat()
    rig.ask()
    victim = rig.worker(killed_after_pop=str(tmp_path / "died"))
    victim.wait(60)
    rig.hit()
    assert victim.returncode == -signal.SIGKILL
    assert sql(rig.system, "SELECT count(*) FROM chunk WHERE state = 'running'") == [(0,)], "it had begun"
    rig.worker()
    rig.check("lost after pop")


def test_a_full_disk(rig: Rig, tmp_path: Path) -> None:
    """The chunk waits, uncounted, and is done when there is room."""
    full = tmp_path / "the disk is full"
    full.touch()
    rig.beat()
    rig.worker(queues="control")
    rig.ask()
    rig.worker(queues="frames", disk_full=str(full))
    wait_until(lambda: sql(rig.system, "SELECT 1 FROM chunk WHERE last_error LIKE 'the disk is full%'"), 60, "an error")
    full.unlink()
    rig.hit()
    rig.check("disk full")
    assert sql(rig.system, "SELECT sum(errors), sum(expirations) FROM chunk") == [(0, 0)]


def test_a_gpu_lost_in_mid_run(rig: Rig, tmp_path: Path) -> None:
    """The worker ends, so that its supervisor starts another process, and no error is counted."""
    rig.beat()
    rig.ask()
    victim = rig.worker(device_lost=str(tmp_path / "lost"))
    assert victim.wait(60) == 0
    rig.hit()
    assert rig.said("worker_ends")
    rig.worker()
    rig.check("gpu lost")
    assert sql(rig.system, "SELECT sum(errors), sum(expirations) FROM chunk") == [(0, 0)]


@pytest.mark.parametrize("ahead_s", [600, -600], ids=["ahead", "behind"])
def test_a_worker_whose_clock_is_wrong(rig: Rig, ahead_s: int) -> None:
    """Leases run by the database's clock: none is lost, none lasts longer."""
    rig.beat()
    rig.worker(slow=0.01, clock=ahead_s)
    rig.ask()
    rig.hit()
    rig.check(f"clock {ahead_s}")
    assert sql(rig.system, "SELECT sum(expirations), sum(errors), max(attempts) FROM chunk") == [(0, 0, 1)]
    assert sql(rig.system, "SELECT abs(extract(epoch FROM max(started_at) - now())) < 100 FROM chunk") == [(True,)]
