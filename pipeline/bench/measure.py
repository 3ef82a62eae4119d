"""One measurement each: a decode behind the wall, a plain read, a worker's memory; and how two make a pair."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil

from pipeline.core.objects import StoredObject
from pipeline.errors import PoselineError
from pipeline.services.system import System
from pipeline.video import zygote_client
from pipeline.video.reader import VideoInfo, VideoReader
from pipeline.video.source import open_source

T = TypeVar("T")
U = TypeVar("U")
_SAMPLE_S = 0.02


class BenchFailed(PoselineError):
    """A measurement could not be made."""


@dataclass(frozen=True)
class WalledPass:
    """One decode of a whole video through the sandbox, in seconds."""

    wall_s: float
    child_cpu_s: float
    parent_cpu_s: float


def decode_behind_the_wall(system: System, path: Path, info: VideoInfo, side: int) -> WalledPass:
    """Decode a video of this machine as a worker does, frames dropped as they come.

    Raises:
        BenchFailed: frames are missing.
    """
    frames, index = 0, info.index
    wall_s, parent_s, children_s = time.perf_counter(), time.process_time(), _children_cpu_s()
    with open_source(path) as source:
        for _ in VideoReader(source, index, info.size, system.limits).frames(0, len(index), side):
            frames += 1
    wall_s, parent_s = time.perf_counter() - wall_s, time.process_time() - parent_s
    if frames != len(index):
        raise BenchFailed(f"the child decoded {frames} of {len(index)} frames of {path}; remove it")
    return WalledPass(wall_s, _children_cpu_s() - children_s, parent_s)


def _children_cpu_s() -> float:
    """Processor time of all decoder children that have ended; 0 where the system does not tell."""
    times = psutil.Process(zygote_client.zygote().pid).cpu_times()
    return float(times.children_user + times.children_system)


def peak_memory(system: System, source: StoredObject, chunks: int) -> tuple[int, int]:
    """Most bytes in memory at once: of a worker's process, and of it with all those it started.

    Memory that they share counts for each of them.

    Raises:
        BenchFailed: it broke off.
    """
    command = (str(system.settings.home.resolve()), source.key, str(chunks))
    own_bytes = all_bytes = 0
    with subprocess.Popen(
        [sys.executable, "-m", "pipeline.bench.workload", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        worker = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                own = worker.memory_info().rss
                others = sum(_resident_bytes(other) for other in worker.children(recursive=True))
            except psutil.Error:
                break
            own_bytes, all_bytes = max(own_bytes, own), max(all_bytes, own + others)
            time.sleep(_SAMPLE_S)
        said, complaint = process.communicate()
    if process.returncode or not said.strip().isdigit():
        raise BenchFailed(f"the worker that was measured broke off: {last_words(complaint) or process.returncode}")
    return own_bytes, all_bytes


def last_words(stderr: bytes) -> str:
    """The last line that a process wrote."""
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else ""


def _resident_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:  # it ended
        return 0


def read_and_hash(system: System, source: StoredObject) -> None:
    """Read an object once, and nothing else."""
    digest = hashlib.sha256()
    for piece in system.store.iter_whole(source):
        digest.update(piece)


def in_turn(number: int, ours: Callable[[], T], plain: Callable[[], U]) -> tuple[T, U]:
    """One pair, the plain one first in every second."""
    if number % 2:
        other = plain()
        return ours(), other
    return ours(), plain()


def seconds(work: Callable[[], object]) -> float:
    """How long it took."""
    before = time.perf_counter()
    work()
    return time.perf_counter() - before
