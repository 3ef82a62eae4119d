"""Workers of one engine in a site, and one video taken through the whole system by them."""

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

from pipeline.bench.engines import Engine
from pipeline.bench.measure import BenchFailed
from pipeline.bench.site import Site
from pipeline.bench.usage import spent, worker_cpu_s
from pipeline.core.progress import SILENT, Progress
from pipeline.core.states import RunState, is_final
from pipeline.db.engine import transaction
from pipeline.db.runs import RunRow, select_run
from pipeline.db.workers import select_workers
from pipeline.local.control import last_line
from pipeline.local.processes import signal_group
from pipeline.local.rootless import die_with_parent
from pipeline.local.servers import STACK_ID_VARIABLE
from pipeline.services.request import request_run
from pipeline.services.upload import upload_file
from pipeline.video.sample import make_clip

#: As often as `poseline analyze` asks.
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
class Crew:
    """Workers that have loaded the engine's model and found people in a short video."""

    site: Site
    engine: Engine
    workers: tuple[Worker, ...]

    def cpu_s(self) -> dict[str, float]:
        """Processor seconds so far, by kind, of everything that a run needs."""
        taken = {"worker": 0.0, "decoder": 0.0, **self.site.cpu_s()}
        for worker in self.workers:
            for kind, cpu_s in worker_cpu_s(worker.process.pid).items():
                taken[kind] += cpu_s
        return taken


@dataclass(frozen=True)
class Analysis:
    """One video taken through the whole system.

    Args:
        wall_s: from the begin of the upload to the run being done.
        cpu_s: of every process of the stack, by kind, meanwhile.
    """

    frames: int
    wall_s: float
    cpu_s: Mapping[str, float]

    @property
    def rate(self) -> float:
        """Frames a second."""
        return self.frames / self.wall_s


@contextmanager
def open_crew(site: Site, engine: Engine, *, slots: int, processes: int = 1) -> Iterator[Crew]:
    """Workers that are warm; gone after the block.

    Raises:
        BenchFailed: one did not start.
    """
    started: list[Worker] = []
    try:
        for _ in range(processes):
            started.append(_start(site, engine, slots))  # noqa: PERF401  what was started is known at once
        for worker in started:
            _wait_ready(site, worker)
        crew = Crew(site, engine, tuple(started))
        _warm(crew)
        yield crew
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


def analyse(crew: Crew, clip: Path, on_poll: Callable[[], None] = lambda: None) -> Analysis:
    """Upload a clip for a team that is new, so that nothing is known of it, and wait for its run.

    Raises:
        BenchFailed: the run failed, or a worker ended.
    """
    before, begun_at = crew.cpu_s(), time.time()
    run = wait_done(crew, ask(crew, clip), on_poll)
    # Postgres says when: this process asks as seldom as `analyze` does. Both read the same machine's clock.
    assert run.finished_at is not None
    return Analysis(run.frames or 0, run.finished_at.timestamp() - begun_at, spent(before, crew.cpu_s()))


def ask(crew: Crew, clip: Path, progress: Progress = SILENT) -> RunRow:
    """Upload a clip for a new team and ask for its run."""
    system = crew.site.system
    upload = upload_file(system, clip, f"bench-{uuid4().hex[:12]}", progress=progress)
    request = request_run(system, upload.video.id, crew.engine.model)
    with transaction(system.engine) as connection:
        return select_run(connection, request.run_id, team=None)


def wait_done(crew: Crew, run: RunRow, on_poll: Callable[[], None] = lambda: None) -> RunRow:
    """Wait for the end of a run.

    Raises:
        BenchFailed: it failed, or a worker ended.
    """
    while not is_final(run.state):
        time.sleep(_POLL_S)
        on_poll()
        for worker in crew.workers:
            worker.check()
        with transaction(crew.site.system.engine) as connection:
            run = select_run(connection, run.id, team=None)
    if run.state is not RunState.DONE:
        raise BenchFailed(f"the run that was measured is {run.state}: {run.reason}")
    return run


def _start(site: Site, engine: Engine, slots: int) -> Worker:
    name = f"bench-{secrets.token_hex(3)}"
    log = site.home.log(name)
    own = {key: value for key, value in os.environ.items() if key not in site.stack.env}
    with log.open("wb") as file:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "pipeline.cli.main", "--home", str(site.home.path), "worker"),
                *("--slots", str(slots), "--device", engine.device, "--name", name),
            ],
            # By the mark `stack.down` finds what a killed one left.
            env={**own, STACK_ID_VARIABLE: site.stack.stack_id, "POSELINE_MODELS_DIR": str(site.models_path.resolve())},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for this process, which then ends them
            preexec_fn=lambda: die_with_parent(signal.SIGTERM),  # noqa: PLW1509 - one call into libc
        )
    return Worker(name, process, log)


def _wait_ready(site: Site, worker: Worker) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        worker.check()
        with transaction(site.system.engine) as connection:
            if any(row.name.partition("@")[0] == worker.name for row in select_workers(connection)):
                return
        if time.monotonic() > deadline:
            raise BenchFailed(f"a worker did not start in {_START_S:g} s: {last_line(worker.log)}")
        time.sleep(0.05)


def _warm(crew: Crew) -> None:
    """Have the model loaded and the decoder's zygote started before anything is timed."""
    clip = crew.site.scratch_path / "warm.mp4"
    if not clip.exists():
        make_clip(clip, width=320, height=180, frames=_WARM_FRAMES)
    for _ in crew.workers:
        wait_done(crew, ask(crew, clip))
