"""What a worker takes in memory while all its slots work, and what one slot more takes."""

from __future__ import annotations

import contextlib

import psutil

from pipeline.bench.crew import analyse, open_crew
from pipeline.bench.derived import each_slot_mb, fewest_slots_mb, note_of
from pipeline.bench.engines import Engine
from pipeline.bench.figures import Figure, level_figure
from pipeline.bench.goals import goal_of
from pipeline.bench.ground import Ground
from pipeline.bench.usage import Memory, memory_of


def measure_memory(ground: Ground) -> list[Figure]:
    """The most that was seen, per engine: it hardly varies, so it is taken once."""
    engines = [engine for engine in ground.engines if engine.is_cpu]
    clip = ground.clip(ground.size.memory_s)
    ground.meter.begin("memory", len(engines) * len(ground.size.slots))
    figures = []
    for engine in engines:
        peaks = {}
        for slots in ground.size.slots:
            ground.meter.step(f"memory of {slots} slots with {engine.title}")
            seen: list[Memory] = []
            with open_crew(ground.site, engine, slots=slots) as crew:
                pid = crew.workers[0].process.pid

                def look(pid: int = pid, seen: list[Memory] = seen) -> None:
                    with contextlib.suppress(psutil.Error):
                        seen.append(memory_of(pid))

                analyse(crew, clip, on_poll=look)
            peaks[slots] = max(seen, key=lambda memory: memory.tree)
        figures += memory_figures(engine, peaks)
    return figures


def memory_figures(engine: Engine, peaks: dict[int, Memory]) -> list[Figure]:
    """Of a worker with the fewest slots, and of each slot more."""
    fewest = min(peaks)
    mb = {slots: memory.tree / 1e6 for slots, memory in peaks.items()}
    process = {slots: memory.process / 1e6 for slots, memory in peaks.items()}
    how = "PSS" if peaks[fewest].is_shared else "RSS"
    details = {"tree_mb": mb, "process_mb": process, "measure": how}
    slot_mb, between = each_slot_mb(mb)
    return [
        level_figure(
            f"memory_{engine.name}",
            f"memory of a worker of {fewest} slots, {engine.title}",
            "MB",
            [fewest_slots_mb(mb)],
            goal_of(f"memory_{engine.name}"),
            {"note": note_of(f"memory_{engine.name}", details), **details},
        ),
        level_figure(
            f"slot_{engine.name}",
            f"memory of each slot more, {engine.title}",
            "MB",
            [slot_mb],
            goal_of(f"slot_{engine.name}"),
            {"note": between},
        ),
    ]
