"""A worker's memory while all its slots work, and what one more slot takes."""

from __future__ import annotations

import contextlib

import psutil

from pipeline.bench.context import Context, Engine
from pipeline.bench.figures import Figure, level_figure
from pipeline.bench.usage import Memory, memory_of
from pipeline.bench.workers import analyse, open_workers


def measure_memory(context: Context) -> list[Figure]:
    """The peak per engine on the CPU. It hardly varies, so it is measured once."""
    clip = context.clip(context.size.memory_s)
    figures = []
    for engine in (engine for engine in context.engines if engine.is_cpu):
        peaks = {}
        for slots in context.size.slots:
            context.on_step(f"memory of {slots} slots with {engine.title}")
            samples: list[Memory] = []
            with open_workers(context.stack, engine, context.source, slots=slots) as workers:
                pid = workers.each[0].process.pid

                def sample(pid: int = pid, samples: list[Memory] = samples) -> None:
                    with contextlib.suppress(psutil.Error):
                        samples.append(memory_of(pid))

                analyse(workers, clip, on_poll=sample)
            peaks[slots] = max(samples, key=lambda memory: memory.tree_bytes)
        figures += memory_figures(engine, peaks)
    return figures


def memory_figures(engine: Engine, peaks: dict[int, Memory]) -> list[Figure]:
    """The memory of a worker with the fewest slots, and of each further slot."""
    fewest, most = min(peaks), max(peaks)
    tree_mb = {slots: memory.tree_bytes / 1e6 for slots, memory in peaks.items()}
    process_mb = {slots: memory.process_bytes / 1e6 for slots, memory in peaks.items()}
    measure = "PSS" if peaks[fewest].is_pss else "RSS"
    return [
        level_figure(
            f"memory_{engine.name}",
            f"memory of a worker of {fewest} slots, {engine.title}",
            "MB",
            [tree_mb[fewest]],
            note=f"{measure}, decoders included; {process_mb[fewest]:.0f} MB without them",
            details={"tree_mb": tree_mb, "process_mb": process_mb, "measure": measure},
        ),
        level_figure(
            f"slot_{engine.name}",
            f"memory of each further slot, {engine.title}",
            "MB",
            [(tree_mb[most] - tree_mb[fewest]) / max(1, most - fewest)],
            note=f"{tree_mb[fewest]:.0f} MB at {fewest}, {tree_mb[most]:.0f} MB at {most}",
        ),
    ]
