"""Work comes to workers that can do it: runs in reduced precision neither wait behind others nor go round for ever."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from uuid import UUID

import pytest

from pipeline.cli.main import main
from pipeline.core.precision import Precision
from pipeline.core.states import RunState
from pipeline.db.chunks import claim_chunk
from pipeline.db.engine import transaction
from pipeline.db.leases import renew_lease
from pipeline.db.workers import DeviceRow, report_worker
from pipeline.errors import LeaseLost, UsageError
from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.inference.engines.diagnostics import has_bf16
from pipeline.queue import FRAMES, FRAMES_IN
from pipeline.services.capabilities import blocking_reason
from pipeline.services.dispatch import dispatch
from pipeline.services.ingest import ingest_video
from pipeline.services.runs import short_id
from pipeline.services.system import System
from pipeline.settings import Settings
from tests.support.harness import ask, environment, processes, run_of, sql, wait_done
from tests.support.video_maker import make_video

BF16 = f"{BUNDLED_MODEL}@bf16"


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_video(tmp_path / "clip.mp4", frames=300)  # some ten chunks


def there_is(system: System, name: str, *precisions: Precision, slots: int = 1) -> None:
    with transaction(system.engine) as connection:
        report_worker(
            connection,
            name=name,
            pid=1,
            slots=slots,
            version="1",
            computes=DeviceRow("a chip", "a provider"),
            precisions=precisions,
        )


def begun(system: System, clip: Path, model: str) -> UUID:
    run_id = ask(system, clip, model=model)
    ingest_video(system, run_of(system, run_id).video_id, "w")
    return run_id


def states(system: System, run_id: UUID) -> dict[str, int]:
    return dict(sql(system, "SELECT state, count(*) FROM chunk WHERE run_id = :id GROUP BY 1", id=run_id))


def test_chunks_that_nobody_can_do_are_not_sent_and_not_in_the_way(system: System, clip: Path) -> None:
    reduced = begun(system, clip, BF16)  # nobody is there yet: somebody who can may come
    there_is(system, "plain", "fp32")
    plain = ask(system, clip)
    window = system.settings.window
    assert set(states(system, reduced)) == {"ready"}
    assert states(system, plain)["queued"] == window(1)
    assert system.queue.waiting(FRAMES_IN["bf16"]) == 0
    assert system.queue.waiting(FRAMES) == window(1)

    there_is(system, "able", "fp32", "bf16", slots=2)
    dispatch(system)
    assert states(system, reduced)["queued"] == window(2)
    assert system.queue.waiting(FRAMES_IN["bf16"]) == window(2)
    assert states(system, plain)["queued"] == window(3), "of all three slots"


def test_a_wish_that_nobody_here_can_do_is_refused_with_the_mend(system: System, clip: Path, tmp_path: Path) -> None:
    standing = begun(system, clip, BF16)  # nobody is there at all
    there_is(system, "plain", "fp32")
    there_is(system, "control")
    with pytest.raises(
        UsageError, match=r"no worker here computes in bf16 \(plain in fp32\): start one with"
    ) as caught:
        ask(system, make_video(tmp_path / "other.mp4", frames=3), model=BF16)
    assert caught.value.message.endswith("or ask for the model without @bf16")
    assert sql(system, "SELECT id FROM run") == [(standing,)]
    assert ask(system, clip, model=BF16) == standing, "a run that stands is given all the same"
    with transaction(system.engine) as connection:
        assert "no worker here computes in bf16" in (blocking_reason(connection, standing) or "")
    there_is(system, "able", "fp32", "bf16")
    with transaction(system.engine) as connection:
        assert blocking_reason(connection, standing) is None


def test_a_worker_without_frames_keeps_nobody_from_asking(system: System, clip: Path) -> None:
    there_is(system, "control")
    for model in (BUNDLED_MODEL, BF16):
        assert states(system, begun(system, clip, model))


@pytest.mark.soak
@pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None or not has_bf16(), reason="this machine does not compute in bf16"
)
def test_reduced_precision_goes_to_who_can_and_is_said_of_the_run(
    settings: Settings, system: System, clip: Path, tmp_path: Path
) -> None:
    with processes(settings, tmp_path / "logs") as running:
        running.worker("--slots", "1", "--name", "plain")
        running.start("worker", "--device", "openvino", "--slots", "1", "--name", "able")
        running.beat()
        reduced, plain = ask(system, clip, model=BF16), ask(system, clip)
        wait_done(system, reduced)
        wait_done(system, plain)
    asked = (
        "SELECT DISTINCT split_part(worker, '@', 1), attempts, computed_with FROM chunk WHERE run_id = :id ORDER BY 1"
    )
    [(worker, attempts, words)] = sql(system, asked, id=reduced)
    assert (worker, attempts) == ("able", 1)
    assert words.startswith("openvino ")
    assert " in bf16 on " in words
    for worker, attempts, words in sql(system, asked, id=plain):
        assert attempts == 1
        assert (worker, " in fp32 on " in words) in {("able", True), ("plain", True)}


def test_a_cancelled_run_ends_whoever_works_on_it(
    system: System, settings: Settings, clip: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = begun(system, clip, BUNDLED_MODEL)
    with transaction(system.engine) as connection:
        claimed = claim_chunk(connection, run_id, 0, "w", 30)
    assert claimed is not None
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    assert main(["cancel", str(run_id), "0000"]) == 2
    assert run_of(system, run_id).state is RunState.RUNNING
    capsys.readouterr()
    assert main(["cancel", str(run_id)[:8]]) == 0
    assert capsys.readouterr().out == f"run {short_id(run_id)}: cancelled\n"
    assert run_of(system, run_id).state is RunState.CANCELLED
    with pytest.raises(LeaseLost), transaction(system.engine) as connection:
        renew_lease(connection, claimed.lease, 30)
    with transaction(system.engine) as connection:
        assert claim_chunk(connection, run_id, 1, "w", 30) is None
    assert main(["cancel", str(run_id)]) == 0
    assert capsys.readouterr().out == f"run {short_id(run_id)}: cancelled already, nothing changed\n"
    assert ask(system, clip) != run_id, "asked for again it begins anew"
