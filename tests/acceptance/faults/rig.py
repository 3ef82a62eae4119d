"""One run of a small video on real servers, with workers that a test can harm; and the seconds until it has recovered.

The model is the oracle, whose pose tells the frame that it saw, so a frame that is lost, doubled or another's shows
itself in the export. It costs no time; a worker can be told to take some for each frame, so that a fault finds it in
mid-chunk.
"""

from __future__ import annotations

import json
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import psutil

from pipeline.inference.weights.checksums import sha256_of, write_checksums
from pipeline.local import stack
from pipeline.services.system import System
from pipeline.settings import Settings
from tests.acceptance.faults.standard_checks import standard_checks
from tests.support.analysis import MODEL
from tests.support.faulty import VARIABLE
from tests.support.harness import Processes, ask, kill, sql, wait_done, wait_until
from tests.support.oracle_maker import make_oracle

FRAMES = 120
#: Frames of a chunk are analysed in a second: long enough to be hit, short enough to wait for.
SLOW_S = 0.03


def put_oracle(models_path: Path) -> None:
    """The oracle under the name of a known model."""
    models_path.mkdir(parents=True, exist_ok=True)
    write_checksums(models_path, {MODEL: sha256_of(make_oracle(models_path / f"{MODEL}.onnx"))})


def pid_of(servers: Path, name: str) -> int | None:
    """The process id of one of the servers; None while it does not answer."""
    return next((s.pid for s in stack.status(servers).services if s.name == name and s.state == "running"), None)


class Rig:
    """What a test of a fault works with.

    Args:
        expected: the export of an undisturbed run of the clip.
        times: seconds until recovery, by test; filled by `check`.
    """

    def __init__(
        self, system: System, running: Processes, clip: Path, expected: bytes, folder: Path, times: dict[str, float]
    ) -> None:
        self.system, self.running, self.clip, self.expected, self.folder = system, running, clip, expected, folder
        self.settings: Settings = system.settings
        self.run_id: UUID | None = None
        self._times = times
        self._hit_at_s: float | None = None
        self._workers: list[subprocess.Popen[bytes]] = []
        self._beats: list[subprocess.Popen[bytes]] = []
        put_oracle(self.settings.models_path)

    def ask(self, team: str = "team") -> UUID:
        """Ask for a run of the clip."""
        self.run_id = ask(self.system, self.clip, team, MODEL)
        return self.run_id

    def worker(
        self, slots: int = 1, queues: str = "control,frames", settings: Settings | None = None, **faults: object
    ) -> subprocess.Popen[bytes]:
        """Start a worker with these faults in it."""
        process = self._start(
            *("worker", f"--concurrency={slots}", f"--queues={queues}"),
            *(f"--hostname=w{len(self._workers)}@%h", "--without-gossip", "--without-mingle", "--loglevel=INFO"),
            settings=settings,
            **faults,
        )
        self._workers.append(process)
        return process

    def beat(self, settings: Settings | None = None) -> subprocess.Popen[bytes]:
        """Start a beat."""
        process = self._start(
            "beat", "--scheduler=workers.schedule:TickScheduler", "--pidfile=", "--loglevel=WARNING", settings=settings
        )
        self._beats.append(process)
        return process

    def _start(self, *args: str, settings: Settings | None, **faults: object) -> subprocess.Popen[bytes]:
        return self.running.start(
            *args,
            module="tests.support.faulty",
            settings=settings,
            POSELINE_DEVICE="cpu",
            OMP_NUM_THREADS="1",
            **{VARIABLE: json.dumps(faults)},
        )

    def mid_chunk(self, chunks: int = 1) -> None:
        """Wait until so many chunks are half done."""
        half = "SELECT count(*) >= :n FROM chunk WHERE state = 'running' AND frames_done BETWEEN 3 AND frames - 3"
        wait_until(lambda: sql(self.system, half, n=chunks) == [(True,)], 60, "a chunk half done")

    def hit(self) -> None:
        """Note that the fault begins, or is over, now: from here to the end of the run is the time of recovery."""
        self._hit_at_s = time.monotonic()

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """SIGKILL a process with its group."""
        self.hit()
        kill(process)

    def decoders(self, worker: subprocess.Popen[bytes]) -> list[psutil.Process]:
        """The decoder children of a worker: children of its zygote."""
        zygotes = psutil.Process(worker.pid).children()
        return [child for zygote in zygotes for child in zygote.children()]

    def check(self, name: str, *, finishes: int = 1, timeout_s: float = 60) -> None:
        """Wait for the run, stop everything gently, and check all that must hold."""
        assert self.run_id is not None
        wait_done(self.system, self.run_id, timeout_s)
        if self._hit_at_s is not None:
            self._times[name] = round(time.monotonic() - self._hit_at_s, 1)
        self.stop()
        standard_checks(
            self.system,
            self.folder,
            {self.run_id: self.expected},
            finishes=finishes,
            workers=frozenset(each.pid for each in self._workers),
        )

    def said(self, words: str) -> bool:
        """Whether a process has logged these words."""
        return any(words in path.read_text(errors="replace") for path in (self.folder / "logs").glob("*.log"))

    def stop(self) -> None:
        """Stop beats, let the workers take what still waits, and stop them as a deploy does."""
        self._end(self._beats)
        living = [each for each in self._workers if each.poll() is None]
        if living:
            # What is left may be messages that a fault doubled: workers drop them.
            wait_until(lambda: not any(map(self.system.queue.waiting, ("control", "frames"))), 30, "the last messages")
        self._end(living)

    def _end(self, processes: list[subprocess.Popen[bytes]]) -> None:
        for process in processes:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        for process in processes:
            process.wait(30)
