"""All parts in one go, on a stack of our own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from pipeline.bench import first, memory, people, rows, scaling, whole
from pipeline.bench.engines import Engine, find_engines
from pipeline.bench.figures import Figure
from pipeline.bench.ground import Ground
from pipeline.bench.interrupt import interruptible
from pipeline.bench.lock import only_bench
from pipeline.bench.machine import machine_facts
from pipeline.bench.progress import Meter
from pipeline.bench.report import Report
from pipeline.bench.site import check_alone, open_site
from pipeline.bench.size import PARTS, Size
from pipeline.inference.zoo import find_model
from pipeline.video.reader import probe
from pipeline.video.source import open_source

#: What takes part in a guess of the time, found on two cores: frames a second of an engine with all and with one slot,
#: and the start of a worker, as a multiple of a clip's length or in seconds.
_PACE, _PACE_OF_ONE, _START_S = 1.4, 2.5, 8.0
#: Of the cores, a load average that spoils the figures.
_BUSY = 0.5


def measure(
    home: Path,
    models_path: Path,
    *,
    clip: Path,
    model: str,
    parts: Collection[str] = PARTS,
    size: Size,
    say: Callable[[str], None],
    plot: str | None = None,
) -> Report:
    """Measure the parts named, in a stack that is started for it in `HOME/bench` and gone afterwards.

    Args:
        say: told what goes on, a line a step.
        plot: name of the picture that will be made.

    Raises:
        UsageError: another bench or a worker of the local stack runs, or the model cannot be measured.
        BenchFailed: a measurement could not be made.
    """
    with interruptible(), only_bench(home):
        check_alone(home)
        machine = machine_facts()
        if machine["load_average_before"][0] > _BUSY * machine["cores"]:
            say(
                f"the machine is busy (load average {machine['load_average_before'][0]}): these figures will say little"
            )
        engines, missing = find_engines(model, models_path)
        for each in missing:
            say(f"not here: {each.name} ({each.reason})")
        groups = [(name, work) for name, names, work in _GROUPS if set(names) & set(parts)]
        guesses_s = {name: _guess_s(name, size, engines) for name, _ in groups}
        with open_site(home, models_path, say) as site:
            meter = Meter(say, guesses_s)
            ground = Ground(site, clip, find_model(model, models_path), tuple(engines), size, meter)
            clip_facts = _clip_facts(ground)
            figures = [figure for _, work in groups for figure in work(ground, parts)]
    order = {part: at for at, part in enumerate(PARTS)}
    figures.sort(key=lambda figure: order[_part_of(figure)])
    return Report(machine, clip_facts, model, size.pairs, tuple(figures), tuple(missing), plot)


_Work = Callable[[Ground, Collection[str]], Sequence[Figure]]
#: Those that need no worker come first.
_GROUPS: tuple[tuple[str, tuple[str, ...], _Work], ...] = (
    ("postgres", ("postgres",), lambda ground, _: rows.measure_rows(ground)),
    ("people", ("people",), lambda ground, _: people.measure_people(ground)),
    ("first", ("first",), lambda ground, _: first.measure_first(ground)),
    ("memory", ("memory",), lambda ground, _: memory.measure_memory(ground)),
    ("scaling", ("scaling",), lambda ground, _: scaling.measure_scaling(ground)),
    ("whole", ("system", "limit", "overhead"), whole.measure_whole),
)


def _part_of(figure: Figure) -> str:
    part = figure.name.partition("_")[0]
    return {"slot": "memory"}.get(part, part)


def _guess_s(group: str, size: Size, engines: Sequence[Engine]) -> float:
    runs = len(engines) * (size.clip_s * _PACE + _START_S)
    return {
        "postgres": 3.0 * size.pairs,
        "people": 12.0 + 12.0 * size.pairs,
        "first": _START_S + 3.0 * size.first_rounds,
        "memory": len(engines) * len(size.slots) * (size.memory_s * _PACE + _START_S),
        "scaling": size.pairs * (size.clip_s * (_PACE + _PACE_OF_ONE) + 2 * _START_S),
        "whole": size.pairs * (size.clip_s * _PACE_OF_ONE + runs),
    }[group]


def _clip_facts(ground: Ground) -> dict[str, Any]:
    path = ground.clip(ground.size.clip_s)
    with open_source(path) as source:
        info = probe(source, ground.site.system.limits)
    pts = info.index.pts
    return {
        "name": ground.source.name,
        "width": info.width,
        "height": info.height,
        "codec": info.codec,
        "frames": len(info.index),
        "seconds": round(float((pts[-1] - pts[0]) * info.index.time_base), 2),
        "bytes": path.stat().st_size,
    }
