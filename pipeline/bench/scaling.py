"""Two worker processes over one, each with one slot and one thread."""

from __future__ import annotations

import statistics

from pipeline.bench.crew import Analysis, analyse, open_crew
from pipeline.bench.derived import note_of
from pipeline.bench.figures import Figure, in_rotation, ratio_figure
from pipeline.bench.goals import goal_of
from pipeline.bench.ground import Ground


def measure_scaling(ground: Ground) -> list[Figure]:
    """The figure, and how many cores were busy: a decoder works ahead of its slot, so one slot is more than one."""
    clip = ground.clip(ground.size.clip_s)
    taken: dict[int, list[Analysis]] = {1: [], 2: []}
    ground.meter.begin("scaling", 2 * ground.size.pairs)
    for number in range(ground.size.pairs):
        for processes in in_rotation((2, 1), number):
            workers = "one worker" if processes == 1 else "two workers"
            ground.meter.step(f"round {number + 1} of {ground.size.pairs}: {workers} of one slot")
            with open_crew(ground.site, ground.cpu_engine, slots=1, processes=processes) as crew:
                taken[processes].append(analyse(crew, clip))
    busy = {processes: statistics.median(map(busy_cores, runs)) for processes, runs in taken.items()}
    details = {"busy_cores_two": busy[2], "busy_cores_one": busy[1], "cores": ground.cores}
    return [
        ratio_figure(
            "scaling",
            f"two workers of one slot, {ground.cpu_engine.title}",
            "frames/s",
            [(two.rate, one.rate) for two, one in zip(taken[2], taken[1], strict=True)],
            goal_of("scaling"),
            plain="one worker of one slot",
            details={"note": note_of("scaling", details), **details},
        )
    ]


def busy_cores(analysis: Analysis) -> float:
    """How many cores all processes together kept busy."""
    return sum(analysis.cpu_s.values()) / analysis.wall_s
