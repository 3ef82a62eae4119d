"""CPU time and memory of processes; memory that several share is counted once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from pipeline.video import zygote_client


def tree_cpu_s(pid: int) -> float:
    """CPU seconds of a process and its descendants, including those that ended and were waited for."""
    try:
        root = psutil.Process(pid)
        members = [root, *root.children(recursive=True)]
    except psutil.Error:
        return 0.0
    return sum(_cpu_s(member, waited_for=True) for member in members)


def own_cpu_s(pid: int) -> float:
    """CPU seconds of one process alone."""
    try:
        return _cpu_s(psutil.Process(pid), waited_for=False)
    except psutil.Error:
        return 0.0


def worker_cpu_s(pid: int) -> dict[str, float]:
    """CPU seconds of a worker's own process, and of its decoder children."""
    try:
        children = psutil.Process(pid).children()
    except psutil.Error:
        children = []
    return {"worker": own_cpu_s(pid), "decoder": sum(tree_cpu_s(child.pid) for child in children)}


def client_cpu_s() -> float:
    """CPU seconds of this process, which uploads and waits, and of the decoder that probes its uploads."""
    return own_cpu_s(os.getpid()) + tree_cpu_s(zygote_client.zygote().pid)


def spent(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """The difference of two readings."""
    return {kind: after[kind] - before.get(kind, 0.0) for kind in after}


def _cpu_s(process: psutil.Process, *, waited_for: bool) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:  # it ended; its time is in its parent's once it was waited for
        return 0.0
    own = times.user + times.system
    return float(own + times.children_user + times.children_system) if waited_for else float(own)


@dataclass(frozen=True)
class Memory:
    """Resident memory of a worker.

    Args:
        process_bytes: of its own process.
        tree_bytes: of its process and its descendants.
        is_pss: shared pages are split among the processes that share them (PSS); else each counts them in full (RSS).
    """

    process_bytes: int
    tree_bytes: int
    is_pss: bool


def memory_of(pid: int) -> Memory:
    """Read a worker's memory.

    Raises:
        psutil.Error: it ended.
    """
    root = psutil.Process(pid)
    members = [pid, *(child.pid for child in root.children(recursive=True))]
    sizes = [_pss_bytes(member) for member in members]
    if sizes[0] is not None:
        return Memory(sizes[0], sum(size or 0 for size in sizes), True)
    return Memory(root.memory_info().rss, sum(map(_rss_bytes, members)), False)


def _pss_bytes(pid: int) -> int | None:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:  # another system, another user's, or it ended
        pass
    return None


def _rss_bytes(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0
