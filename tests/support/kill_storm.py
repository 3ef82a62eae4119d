"""A seeded storm of SIGKILL over a small fleet that works, and what must hold after it."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import UUID

import psutil

from pipeline.core.states import is_final
from pipeline.errors import ServiceUnavailable
from pipeline.inference.catalogue import find_entry
from pipeline.inference.engines.placement import Placement
from pipeline.inference.weights.checksums import sha256_of, write_checksums
from pipeline.local import stack
from pipeline.local.home import Home
from pipeline.local.state import supervisor
from pipeline.services.detect import detect_chunk
from pipeline.services.finish import finish_run
from pipeline.services.ingest import ingest_video
from pipeline.services.model_cache import ModelCache
from pipeline.services.system import System
from pipeline.settings import Settings
from tests.support.analysis import MODEL
from tests.support.harness import Processes, ask, export_bytes, run_of, sql, wait_until
from tests.support.keeper import Keeper, Start, kept
from tests.support.oracle_maker import make_oracle
from tests.support.paths import ROOT
from tests.support.video_maker import make_video

SLOTS, FRAME_S = 3, 0.03
FRAMES, CLIPS = 240, 2
#: How often each kind of process is chosen of those that are there; trials are rare.
WEIGHTS = {"worker": 35, "decoder": 30, "zygote": 10, "trial": 40, "beat": 4}
WEIGHTS |= {"valkey": 3, "postgres": 2, "supervisor": 2}
_SERVERS = ("valkey", "postgres", "supervisor")
#: Between two kills up to so many chunks are finished, however slow the machine; without any, it waits for so long.
_MOST_BETWEEN, _LONGEST_PAUSE_S = 3, 15.0
_HOLDERS = """
SELECT worker FROM chunk WHERE lease_token IS NOT NULL UNION SELECT worker FROM run WHERE lease_token IS NOT NULL
UNION SELECT worker FROM video WHERE lease_token IS NOT NULL
"""
_GIVEN_UP = """
SELECT concat_ws(' ', run_id, idx, state, attempts, errors, expirations, deaths, last_error) FROM chunk
WHERE state <> 'done'
"""
_FOLDERS = os.pathsep.join([str(ROOT / "tests" / "support" / "poison"), str(ROOT)])


@dataclass
class Tally:
    """What a storm did, and what came of it."""

    kills: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    chunks: int = 0
    frames: int = 0
    deaths: int = 0
    most_deaths: int = 0
    expirations: int = 0
    trials: int = 0
    given_up: int = 0
    differing: int = 0
    seconds: float = 0.0
    reasons: list[str] = field(default_factory=list)


def slowed(**more: str) -> dict[str, str]:
    """The environment of a worker whose frames take a while, so that kills find it at work."""
    return {"PYTHONPATH": _FOLDERS, "TEST_FRAME_S": str(FRAME_S), **more}


def processes_of(running: Processes, workers: int = 2, **environment: str) -> dict[str, Start]:
    """Beat and the workers, by name."""

    def worker(name: str) -> Start:
        return lambda: running.worker("--slots", str(SLOTS), "--name", name, **slowed(**environment))

    return {"beat": running.beat, **{f"w{no}": worker(f"w{no}") for no in range(workers)}}


def patient(system: System) -> Settings:
    """With longer leases than in other tests: a busy machine is no reason to take a worker for hung."""
    return system.settings.model_copy(update={"lease_s": 6.0})


def put_oracle(models_path: Path) -> None:
    """The oracle under the name of a known model: its poses tell which frame was analysed."""
    file = find_entry(MODEL).pose.file_in(models_path)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_checksums(models_path, {MODEL: sha256_of(make_oracle(file))})


def _undisturbed(system: System, clip: Path) -> UUID:
    run_id = ask(system, clip, "undisturbed", MODEL)
    ingest_video(system, run_of(system, run_id).video_id, "w")
    models = ModelCache(system, Placement("cpu"))
    for (idx,) in sql(system, "SELECT idx FROM chunk WHERE run_id = :id ORDER BY idx", id=run_id):
        detect_chunk(system, models, run_id, int(str(idx)), "w")
    finish_run(system, run_id, "w")
    return run_id


class Storm:
    """Kills processes of a fleet that are at work.

    Args:
        servers: the home of the stack whose supervisor, Postgres and Valkey are among them; None for none.
        log: gets a line for each kill.
    """

    def __init__(
        self, system: System, keeper: Keeper, log: Path, *, seed: int, mean_s: float, servers: Path | None
    ) -> None:
        self._system = system
        self.kills: Counter[str] = Counter()
        self._keeper, self._servers, self._mean_s = keeper, servers, mean_s
        self._chance = random.Random(seed)
        self._log = log

    def rage(self, kills: int, between: Callable[[], object]) -> None:
        """Kill so many processes, and call `between` after each."""
        pause, began_s = threading.Event(), time.monotonic()
        while self.kills.total() < kills:
            pause.wait(self._chance.expovariate(1 / self._mean_s))
            self._wait_for_chunks(self._chance.randint(0, _MOST_BETWEEN), pause)
            kinds = list(WEIGHTS)
            found: list[int] = []
            while kinds and not found:
                (kind,) = self._chance.choices(kinds, [WEIGHTS[each] for each in kinds])
                kinds.remove(kind)
                found = self._find(kind)
            if found:
                self._kill(kind, self._chance.choice(found))
                with self._log.open("a") as log:
                    log.write(f"{time.monotonic() - began_s:.1f} {self.kills.total()} {kind}\n")
            between()

    def _kill(self, kind: str, pid: int) -> None:
        with suppress(ProcessLookupError):
            # A machine takes all of its processes with it.
            (os.killpg if kind in {"worker", "beat"} else os.kill)(pid, signal.SIGKILL)
            self.kills[kind] += 1
            if kind == "supervisor" and self._servers is not None:
                stack.up(self._servers, only=stack.SERVERS)

    def _wait_for_chunks(self, count: int, pause: threading.Event) -> None:
        wanted, until_s = self._done() + count, time.monotonic() + _LONGEST_PAUSE_S
        while self._done() < wanted and time.monotonic() < until_s:
            pause.wait(0.1)

    def _done(self) -> int:
        """How many chunks were finished; 0 while Postgres does not tell."""
        with suppress(ServiceUnavailable):
            return int(str(sql(self._system, "SELECT count(*) FROM chunk WHERE state = 'done'")[0][0]))
        return 0

    def _find(self, kind: str) -> list[int]:
        workers = {name: p.pid for name, p in self._keeper.running.items() if name != "beat" and p.poll() is None}
        if kind == "worker":
            return [pid for name, pid in workers.items() if name in self._holders() and _has_worked(pid)]
        if kind == "beat":
            return [self._keeper.running["beat"].pid]
        if kind in _SERVERS:
            return self._find_server(kind)
        below: list[int] = []
        for pid in workers.values():
            with suppress(psutil.Error):
                below += [p.pid for p in psutil.Process(pid).children(recursive=True) if _kind_of(p) == kind]
        return below

    def _holders(self) -> set[str]:
        """The workers with work in their hands, as the keeper calls them; none while Postgres does not tell."""
        with suppress(ServiceUnavailable):
            return {str(name).partition("@")[0] for (name,) in sql(self._system, _HOLDERS)}
        return set()

    def _find_server(self, kind: str) -> list[int]:
        if self._servers is None:
            return []
        if kind == "supervisor":
            process = supervisor(Home.at(self._servers))
            return [] if process is None else [process.pid]
        services = stack.status(self._servers).services
        return [s.pid for s in services if s.name == kind and s.state == "running" and s.pid is not None]


def _has_worked(pid: int) -> bool:
    """Whether a worker has a zygote: one that is killed before it does anything proves nothing."""
    with suppress(psutil.Error):
        return bool(psutil.Process(pid).children())
    return False


def _kind_of(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        line = " ".join(process.cmdline())
        if "trial_process" in line:
            return "trial"
        parent = process.parent()
        if "zygote" in line:
            return "decoder" if parent is not None and "zygote" in " ".join(parent.cmdline()) else "zygote"
    return ""


def endure(
    system: System,
    running: Processes,
    folder: Path,
    *,
    kills: int,
    seed: int,
    mean_s: float,
    servers: Path | None = None,
    workers: int = 2,
) -> Tally:
    """Analyse clips while a storm goes on, and until all runs have ended after it."""
    system = replace(system, settings=patient(system))
    put_oracle(system.settings.models_path)
    clips = [
        make_video(folder / f"{no}.mp4", FRAMES, numbers=range(1000 * no, 1000 * no + FRAMES)) for no in range(CLIPS)
    ]
    runs: list[tuple[UUID, int]] = []
    began_s = time.monotonic()

    def feed() -> None:
        with suppress(ServiceUnavailable):
            still = sum(not is_final(run_of(system, run_id).state) for run_id, _ in runs)
            if still < workers:
                no = len(runs) % CLIPS
                runs.append((ask(system, clips[no], f"team {len(runs) // CLIPS}", MODEL), no))

    with kept(processes_of(running, workers)) as keeper:
        for _ in range(workers):
            feed()
        wait_until(lambda: sql(system, "SELECT 1 FROM chunk WHERE state = 'running'"), 60, "the first chunk")
        storm = Storm(system, keeper, folder / "storm.log", seed=seed, mean_s=mean_s, servers=servers)
        storm.rage(kills, feed)

        def all_ended() -> bool:
            with suppress(ServiceUnavailable):
                return all(is_final(run_of(system, run_id).state) for run_id, _ in runs)
            return False

        wait_until(all_ended, 300, "the end of all runs")
    tally = Tally(storm.kills, len(runs), seconds=time.monotonic() - began_s)
    ((tally.chunks, tally.deaths, tally.most_deaths, tally.expirations, tally.given_up),) = sql(  # type: ignore[assignment]
        system,
        "SELECT count(*), sum(deaths), max(deaths), sum(expirations), count(*) FILTER (WHERE state <> 'done') "
        "FROM chunk",
    )
    tally.reasons = [str(line) for (line,) in sql(system, _GIVEN_UP)]
    ((tally.frames,),) = sql(system, "SELECT count(*) FROM frame")  # type: ignore[assignment]
    tally.trials = running.count("chunk_tried_alone")
    running.stop()
    wanted = [export_bytes(system, _undisturbed(system, clip), folder / f"{no}.jsonl") for no, clip in enumerate(clips)]
    got = [(no, export_bytes(system, run_id, folder / f"{run_id}.jsonl")) for run_id, no in runs]
    tally.differing = sum(poses != wanted[no] for no, poses in got)
    return tally
