"""Workers of one engine in the private stack, and one video analysed by them through the whole system."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from pipeline.bench.context import Engine
from pipeline.bench.figures import BenchFailed
from pipeline.bench.plain_decode import loop_clip
from pipeline.bench.private_stack import PrivateStack
from pipeline.bench.usage import spent, worker_cpu_s
from pipeline.core.progress import SILENT, Progress
from pipeline.core.states import RunState, is_final
from pipeline.db.engine import transaction
from pipeline.db.runs import RunRow, select_run
from pipeline.db.workers import select_workers
from pipeline.local.control import last_line
from pipeline.local.processes import signal_group
from pipeline.local.rootless import die_with_parent
from pipeline.local.servers import own_marks
from pipeline.services.request import request_run
from pipeline.services.upload import upload_file

#: As often as `poseline analyze` polls.
_POLL_S = 0.2
_START_S = 120.0
_STOP_S = 20.0
_WARM_FRAMES = 15


@dataclass(frozen=True)
class Worker:
    """One worker process."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def check(self) -> None:
        """
        Raises:
            BenchFailed: it ended.
        """
        if self.process.poll() is not None:
            raise BenchFailed(f"a worker ended: {last_line(self.log)}")


@dataclass(frozen=True)
class Workers:
    """Workers that have loaded the engine's model and analysed a short video."""

    stack: PrivateStack
    engine: Engine
    each: tuple[Worker, ...]

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds so far, by kind, of every process of the system."""
        taken = {"worker": 0.0, "decoder": 0.0, **self.stack.cpu_s()}
        for worker in self.each:
            for kind, cpu_s in worker_cpu_s(worker.process.pid).items():
                taken[kind] += cpu_s
        return taken


@dataclass(frozen=True)
class Analysis:
    """One video analysed by the whole system.

    Args:
        wall_s: from the start of the upload until the run is done.
        cpu_s: of every process of the system meanwhile, by kind.
    """

    frames: int
    wall_s: float
    cpu_s: Mapping[str, float]

    @property
    def rate(self) -> float:
        """Frames per second."""
        return self.frames / self.wall_s


@contextmanager
def open_workers(
    stack: PrivateStack, engine: Engine, source: Path, *, slots: int, processes: int = 1
) -> Iterator[Workers]:
    """Start workers and warm them up with the first frames of `source`; they are stopped after the block.

    Raises:
        BenchFailed: one did not start.
    """
    started: list[Worker] = []
    try:
        for _ in range(processes):
            started.append(_start(stack, engine, slots))  # noqa: PERF401  so that each is stopped even where the next fails
        for worker in started:
            _wait_ready(stack, worker)
        workers = Workers(stack, engine, tuple(started))
        _warm_up(workers, source)
        yield workers
        for worker in started:
            worker.process.terminate()
        for worker in started:
            worker.process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        pass
    finally:
        for worker in started:
            signal_group(worker.process.pid, signal.SIGKILL)
            worker.process.wait()


def analyse(workers: Workers, clip: Path, on_poll: Callable[[], None] = lambda: None) -> Analysis:
    """Upload a clip for a new team, so that it is no duplicate, and wait for its run.

    Raises:
        BenchFailed: the run failed, or a worker ended.
    """
    before, begun_at = workers.cpu_s(), time.time()
    run = _wait_done(workers, submit(workers, clip), on_poll)
    # The end is taken from Postgres, because this process polls as seldom as `analyze` does; the clock is the same.
    assert run.finished_at is not None
    return Analysis(run.frames or 0, run.finished_at.timestamp() - begun_at, spent(before, workers.cpu_s()))


def submit(workers: Workers, clip: Path, progress: Progress = SILENT) -> RunRow:
    """Upload a clip for a new team and request its run."""
    system = workers.stack.system
    upload = upload_file(system, clip, f"bench-{uuid4().hex[:12]}", progress=progress)
    request = request_run(system, upload.video.id, workers.engine.model)
    with transaction(system.engine) as connection:
        return select_run(connection, request.run_id, team=None)


def _wait_done(workers: Workers, run: RunRow, on_poll: Callable[[], None]) -> RunRow:
    while not is_final(run.state):
        time.sleep(_POLL_S)
        on_poll()
        for worker in workers.each:
            worker.check()
        with transaction(workers.stack.system.engine) as connection:
            run = select_run(connection, run.id, team=None)
    if run.state is not RunState.DONE:
        raise BenchFailed(f"the run that was measured is {run.state}: {run.reason}")
    return run


def _start(stack: PrivateStack, engine: Engine, slots: int) -> Worker:
    name = f"bench-{secrets.token_hex(3)}"
    log = stack.home.log(name)
    own = {key: value for key, value in os.environ.items() if key not in stack.stack.env}
    with log.open("wb") as file:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "pipeline.cli.main", "--home", str(stack.home.path), "worker"),
                *("--slots", str(slots), "--device", engine.device, "--name", name),
            ],
            # `stack.down` finds the processes of a killed benchmark by the marks.
            env={
                **own,
                **own_marks(stack.home, stack.stack),
                "POSELINE_MODELS_DIR": str(stack.models_path.resolve()),
            },
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C goes to this process, which then stops them
            preexec_fn=lambda: die_with_parent(signal.SIGTERM),  # noqa: PLW1509 - one call into libc
        )
    return Worker(name, process, log)


def _wait_ready(stack: PrivateStack, worker: Worker) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        worker.check()
        with transaction(stack.system.engine) as connection:
            if any(row.name.partition("@")[0] == worker.name for row in select_workers(connection)):
                return
        if time.monotonic() > deadline:
            raise BenchFailed(f"a worker did not start in {_START_S:g} s: {last_line(worker.log)}")
        time.sleep(0.05)


def _warm_up(workers: Workers, source: Path) -> None:
    """Have the model loaded and the decoder's zygote started before anything is timed."""
    clip = workers.stack.scratch_path / "warm-up.mp4"
    if not clip.exists():
        loop_clip(source, clip, 1, frames=_WARM_FRAMES)
    for _ in workers.each:
        _wait_done(workers, submit(workers, clip), lambda: None)
