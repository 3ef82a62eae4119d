"""Ingest against reading and hashing the same object, and a worker's memory over hours of video."""

from __future__ import annotations

import hashlib
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import psutil

from pipeline.bench.figures import BenchFailed, in_rotation
from pipeline.bench.plain_decode import loop_clip
from pipeline.core.objects import StoredObject
from pipeline.services.system import System
from tests.benchmarks.workload import read_video

_SAMPLE_S = 0.02


def ingest_ratio(system: System, source: StoredObject, pairs: int) -> float:
    """The rate of hashing and probing a stored video, over that of reading and hashing it; the median of pairs."""
    ratios = []
    for number in range(pairs):
        taken_s = {}
        for work in in_rotation((read_video, read_and_hash), number):
            begun_at = time.perf_counter()
            work(system, source)
            taken_s[work] = time.perf_counter() - begun_at
        ratios.append(taken_s[read_and_hash] / taken_s[read_video])
    return statistics.median(ratios)


def peak_memory(system: System, source: StoredObject, chunks: int) -> tuple[int, int]:
    """Peak memory in bytes of a worker's process, and of it with its descendants.

    Shared memory counts for each of them.

    Raises:
        BenchFailed: it failed.
    """
    command = (str(system.settings.home.resolve()), source.key, str(chunks))
    own_bytes = all_bytes = 0
    with subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.workload", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE
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
        out, err = process.communicate()
    if process.returncode or not out.strip().isdigit():
        raise BenchFailed(f"the measured worker failed: {err.decode().strip().splitlines()[-1:] or process.returncode}")
    return own_bytes, all_bytes


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


@contextmanager
def stored_loop(system: System, clip: Path, loops: int) -> Iterator[StoredObject]:
    """A looped clip as one object, deleted after the block."""
    key = f"bench/{uuid4()}"
    with TemporaryDirectory(dir=clip.parent) as folder:
        path = loop_clip(clip, Path(folder) / "looped.mp4", loops)
        try:
            yield system.store.put_file(path, key)
        finally:
            system.store.delete(key)
