"""Two worker processes against one, each with one slot and one thread."""

from __future__ import annotations

import statistics

from pipeline.bench.context import Context
from pipeline.bench.figures import Figure, in_rotation, ratio_figure
from pipeline.bench.workers import Analysis, analyse, open_workers


def measure_scaling(context: Context) -> list[Figure]:
    """The ratio, and how many cores were busy: one worker keeps more than one busy, as its decoder works ahead."""
    clip, pairs = context.clip(context.size.clip_s), context.size.pairs
    taken: dict[int, list[Analysis]] = {1: [], 2: []}
    for number in range(pairs):
        for processes in in_rotation((2, 1), number):
            label = "one worker" if processes == 1 else "two workers"
            context.on_step(f"round {number + 1} of {pairs}: {label} of one slot")
            with open_workers(
                context.stack, context.cpu_engine, context.source, slots=1, processes=processes
            ) as workers:
                taken[processes].append(analyse(workers, clip))
    busy = {processes: statistics.median(map(busy_cores, runs)) for processes, runs in taken.items()}
    return [
        ratio_figure(
            "scaling",
            f"two workers of one slot, {context.cpu_engine.title}",
            "frames/s",
            [(two.rate, one.rate) for two, one in zip(taken[2], taken[1], strict=True)],
            baseline_label="one worker of one slot",
            note=f"{busy[2]:.2f} of {context.cores} cores busy with two, "
            f"{busy[1]:.2f} with one, whose decoder works ahead of it",
            details={"busy_cores_two": busy[2], "busy_cores_one": busy[1], "cores": context.cores},
        )
    ]


def busy_cores(analysis: Analysis) -> float:
    """How many cores all processes together kept busy."""
    return sum(analysis.cpu_s.values()) / analysis.wall_s
