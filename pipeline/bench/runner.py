"""The parts of the benchmark, run one after the other on a private stack."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pipeline.bench.context import Context, find_engines
from pipeline.bench.end_to_end import measure_end_to_end
from pipeline.bench.figures import Figure, Size
from pipeline.bench.memory import measure_memory
from pipeline.bench.postgres import measure_rows
from pipeline.bench.private_stack import only_benchmark, open_private_stack
from pipeline.bench.report import Report, describe_machine
from pipeline.bench.scaling import measure_scaling
from pipeline.bench.time_to_first_pose import measure_first_pose
from pipeline.inference.engines.sessions import cpu_name
from pipeline.inference.zoo import find_model

Part = Callable[[Context], Sequence[Figure]]
#: By name, in the order of the table.
PARTS: Mapping[str, Part] = {
    "end-to-end": measure_end_to_end,
    "scaling": measure_scaling,
    "postgres": measure_rows,
    "first-pose": measure_first_pose,
    "memory": measure_memory,
}
#: Load per core that distorts the figures.
_BUSY = 0.5


def run_benchmark(
    home: Path,
    models_path: Path,
    *,
    clip: Path,
    model: str,
    parts: Mapping[str, Part],
    size: Size,
    on_step: Callable[[str], None],
) -> Report:
    """Measure the parts on a stack that is started for it in `HOME/bench` and removed afterwards.

    Args:
        on_step: told one line per step.

    Raises:
        UsageError: another benchmark or a worker of the local stack runs, or the model cannot be measured.
        BenchFailed: a measurement could not be made.
    """
    with only_benchmark(home):
        machine = describe_machine(cpu_name())
        load = machine["load_average_before"][0]
        if load > _BUSY * machine["cores"]:
            on_step(f"the machine is busy (load average {load}), which distorts the figures")
        engines, unavailable = find_engines(model, models_path)
        for each in unavailable:
            on_step(f"not measured: {each.name} ({each.reason})")
        figures: list[Figure] = []
        with open_private_stack(home, models_path, on_step) as stack:
            found = find_model(model, models_path)
            for number, (name, measure) in enumerate(parts.items(), 1):

                def on_part_step(label: str, lead: str = f"part {number} of {len(parts)}, {name}: ") -> None:
                    on_step(lead + label)

                context = Context(stack, clip, found, tuple(engines), size, on_part_step)
                figures += measure(context)
            path = context.clip(size.clip_s)
            info = context.probe(path)
            pts = info.index.pts
            measured = {
                "name": clip.name,
                "width": info.width,
                "height": info.height,
                "codec": info.codec,
                "frames": len(info.index),
                "seconds": round(float((pts[-1] - pts[0]) * info.index.time_base), 2),
                "bytes": path.stat().st_size,
            }
    return Report(machine, measured, model, size.pairs, tuple(figures), tuple(unavailable))
