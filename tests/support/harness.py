"""What tests do with a system: wait for an event, run real worker processes, look at the rows."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import av
from sqlalchemy import text

from pipeline.core.progress import SILENT, Progress
from pipeline.core.states import RunState, is_final
from pipeline.db import workers
from pipeline.db.engine import transaction
from pipeline.db.runs import RunRow, select_run
from pipeline.db.workers import DeviceRow
from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.services.export import export_run
from pipeline.services.request import request_run
from pipeline.services.suspects import gone_s
from pipeline.services.system import System
from pipeline.services.upload import upload_file
from pipeline.settings import Settings

T = TypeVar("T")


def wait_until(holds: Callable[[], T], timeout_s: float = 60.0, what: str = "") -> T:
    """Poll until `holds()` is true; returns what it gave."""
    deadline = time.monotonic() + timeout_s
    tick = threading.Event()
    while not (value := holds()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_s} s in vain for {what or holds}")
        tick.wait(0.02)
    return value


def environment(settings: Settings) -> dict[str, str]:
    """The settings as a process's environment."""
    values = {
        "POSELINE_DATABASE_URL": settings.database_url.get_secret_value(),
        "POSELINE_BROKER_URL": settings.broker_url.get_secret_value(),
        "POSELINE_S3_ACCESS_KEY": settings.s3_access_key.get_secret_value(),
        "POSELINE_S3_SECRET_KEY": settings.s3_secret_key.get_secret_value(),
    }
    for name in (
        "s3_endpoint",
        "s3_bucket",
        "lease_s",
        "tick_s",
        "resend_after_s",
        "backoff_s",
        "chunk_frames",
        "first_chunk_frames",
        "home",
    ):
        values[f"POSELINE_{name.upper()}"] = str(getattr(settings, name))
    return {**os.environ, **values}


class Processes:
    """Real `poseline` processes of one test; none outlives it."""

    def __init__(self, settings: Settings, logs: Path) -> None:
        self._settings = settings
        self._logs = logs
        self._all: list[subprocess.Popen[bytes]] = []
        logs.mkdir(parents=True, exist_ok=True)

    def start(
        self, *args: str, module: str = "pipeline.cli.main", settings: Settings | None = None, **more: str
    ) -> subprocess.Popen[bytes]:
        """Start `poseline ARGS`, or another module that takes them; its output goes to a log."""
        log = (self._logs / f"{args[0]}-{len(self._all)}.log").open("wb")
        with log:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *args],
                env={**environment(settings or self._settings), **more},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._all.append(process)
        return process

    def worker(self, *args: str, **more: str) -> subprocess.Popen[bytes]:
        """Start a worker, with more in its environment."""
        return self.start("worker", "--device", "cpu", *args, **more)

    def beat(self) -> subprocess.Popen[bytes]:
        """Start the clock."""
        return self.start("beat")

    def output(self) -> str:
        """All that they said, for a failing test."""
        return "\n".join(f"== {path.name}\n{path.read_text()[-6000:]}" for path in sorted(self._logs.glob("*.log")))

    @property
    def started(self) -> list[subprocess.Popen[bytes]]:
        """All of them, in the order in which they were started."""
        return list(self._all)

    def count(self, words: str) -> int:
        """How often they said this."""
        return sum(path.read_text(errors="replace").count(words) for path in self._logs.glob("*.log"))

    def stop(self) -> None:
        """End them all, without grace."""
        for process in self._all:
            kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL a process and what it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def processes(settings: Settings, logs: Path) -> Iterator[Processes]:
    """Processes for one block; what they said is shown where the block fails."""
    running = Processes(settings, logs)
    try:
        yield running
    except BaseException:
        print(running.output())  # noqa: T201  pytest shows it with the failure
        raise
    finally:
        running.stop()


def ask(
    system: System,
    clip: Path,
    team: str = "team",
    model: str = BUNDLED_MODEL,
    progress: Progress = SILENT,
) -> UUID:
    """Upload a clip and ask for its run."""
    return request_run(system, upload_file(system, clip, team).video.id, model, progress).run_id


def run_of(system: System, run_id: UUID) -> RunRow:
    """A run as it is now."""
    with transaction(system.engine) as connection:
        return select_run(connection, run_id, team=None)


def wait_for_run(system: System, run_id: UUID, timeout_s: float = 90.0) -> RunRow:
    """Wait until a run has ended."""
    wait_until(lambda: is_final(run_of(system, run_id).state), timeout_s, f"the end of run {run_id}")
    return run_of(system, run_id)


def wait_done(system: System, run_id: UUID, timeout_s: float = 90.0) -> RunRow:
    """Wait until a run is done."""
    run = wait_for_run(system, run_id, timeout_s)
    assert run.state is RunState.DONE, run.reason
    return run


def sql(system: System, statement: str, **values: object) -> list[tuple[object, ...]]:
    """Rows of one statement, committed."""
    with transaction(system.engine) as connection:
        result = connection.execute(text(statement), values)
        return [tuple(row) for row in result] if result.returns_rows else []


def report_worker(system: System, name: str, *, starts: bool = False) -> None:
    """Report as a worker of this name does."""
    computes = DeviceRow("a processor", "CPUExecutionProvider")
    with transaction(system.engine) as connection:
        workers.report_worker(
            connection,
            name=name,
            pid=1,
            slots=1,
            version="test",
            computes=computes,
            starts=starts,
            gone_s=gone_s(system.settings),
        )


def export_bytes(system: System, run_id: UUID, to: Path) -> bytes:
    """A run's JSON Lines."""
    export_run(system, run_id, to, "jsonl", team=None)
    return to.read_bytes()


def cut(clip: Path, to: Path, packets: int) -> Path:
    """The first packets of a clip, copied as they are."""
    with av.open(str(clip)) as source, av.open(str(to), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        for packet in itertools.islice((p for p in source.demux(stream) if p.dts is not None), packets):
            packet.stream = copy
            target.mux(packet)
    return to


def assert_nothing_left(system: System, run_id: UUID) -> None:
    """What must hold after any fault: every run ended, counted right, nothing leased, nothing queued."""
    assert sql(system, "SELECT id FROM run WHERE state NOT IN ('done', 'failed', 'cancelled')") == []
    assert sql(system, "SELECT chunks_pending FROM run WHERE id = :id", id=run_id) == [(0,)]
    for table in ("video", "run", "chunk"):
        assert sql(system, f"SELECT 1 FROM {table} WHERE lease_token IS NOT NULL") == []
    assert sql(
        system,
        "SELECT count(*), count(DISTINCT frame), min(frame), max(frame) FROM frame WHERE run_id = :id",
        id=run_id,
    ) == sql(
        system,
        "SELECT v.frames, v.frames, 0, v.frames - 1 FROM run r JOIN video v ON v.id = r.video_id WHERE r.id = :id",
        id=run_id,
    )
