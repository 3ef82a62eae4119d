"""The whole system against rtmlib in a plain loop, against what the cores could do, and what it takes besides.

Three figures of the same runs. In every round the loop and each engine take the same clip once, each alone on the
machine, who is first changing from round to round; and decoding, conversion and the network are measured alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from pipeline.bench.alone import convert_alone, decode_alone, infer_alone
from pipeline.bench.crew import Analysis, analyse, open_crew
from pipeline.bench.derived import SYSTEM_WORDS, best_figure, note_of
from pipeline.bench.engines import Engine
from pipeline.bench.figures import Figure, in_rotation, level_figure, medians, ratio_figure
from pipeline.bench.goals import goal_of
from pipeline.bench.ground import Ground
from pipeline.bench.rtmlib_loop import Loop, run_loop

_SERVERS = ("postgres", "store", "broker", "beat", "supervisor")
_LOOP = "rtmlib in a plain loop"


@dataclass(frozen=True)
class Turn:
    """One engine in one round.

    Args:
        alone_ms: processor milliseconds a frame of decoding, conversion and the network, each alone.
    """

    analysis: Analysis
    alone_ms: Mapping[str, float]

    @property
    def kinds_ms(self) -> dict[str, float]:
        """Processor milliseconds a frame, by kind of process."""
        return {kind: 1e3 * cpu_s / self.analysis.frames for kind, cpu_s in self.analysis.cpu_s.items()}

    @property
    def excess_ms(self) -> dict[str, float]:
        """What is not decoding, conversion or the network, by kind of process.

        The network is called in the worker, the rest is done in the decoder, but for the last step of conversion, the
        planes (about 0.1 ms), which is the worker's.
        """
        kinds, alone = self.kinds_ms, self.alone_ms
        worker = kinds["worker"] - alone["network"]
        decoder = kinds["decoder"] - alone["decoding"] - alone["conversion"]
        return {**kinds, "worker": worker, "decoder": decoder}

    @property
    def overhead_ms(self) -> float:
        """All of it."""
        return sum(self.excess_ms.values())

    def limit(self, cores: int) -> float:
        """Frames a second that the cores could do if nothing but the three were done."""
        return 1e3 * cores / sum(self.alone_ms.values())


def measure_whole(ground: Ground, chosen: Collection[str]) -> list[Figure]:
    """Those of `system`, `limit` and `overhead` that were chosen."""
    size, clip = ground.size, ground.clip(ground.size.clip_s)
    side = ground.found.spec.pose.width_px
    loops: list[Loop] = []
    turns: dict[Engine, list[Turn]] = {engine: [] for engine in ground.engines}
    with_loop = "system" in chosen
    runners: list[Engine | None] = [*([None] if with_loop else []), *ground.engines]
    ground.meter.begin("whole", size.pairs * len(runners))
    for number in range(size.pairs):
        here = {
            "decoding": decode_alone(clip).cpu_ms,
            "conversion": convert_alone(clip, side, size.alone_frames).cpu_ms,
        }
        for engine in in_rotation(runners, number):
            where = f"round {number + 1} of {size.pairs}: "
            if engine is None:
                ground.meter.step(where + _LOOP)
                loops.append(run_loop(clip, ground.found))
                continue
            ground.meter.step(f"{where}the whole system with {engine.title}")
            with open_crew(ground.site, engine, slots=ground.cores) as crew:
                analysis = analyse(crew, clip)
            network = infer_alone(clip, engine, ground.site.models_path, size.alone_frames)
            turns[engine].append(Turn(analysis, {**here, "network": network.cpu_ms}))
    figures: list[Figure] = []
    if with_loop:
        figures += system_figures(loops, turns)
    for engine, taken in turns.items():
        if "limit" in chosen and engine.is_cpu:
            figures.append(limit_figure(engine, taken, ground.cores))
    for engine, taken in turns.items():
        if "overhead" in chosen:
            figures.append(overhead_figure(engine, taken))
    return figures


def system_figures(loops: Sequence[Loop], turns: Mapping[Engine, Sequence[Turn]]) -> list[Figure]:
    """Each engine against the loop of its round; and the best in fp32 once more, with its own goal."""
    figures = {}
    for engine, taken in turns.items():
        pairs = [(turn.analysis.rate, loop.rate) for turn, loop in zip(taken, loops, strict=True)]
        details = {
            "wall_s": [turn.analysis.wall_s for turn in taken],
            "loop_wall_s": [loop.wall_s for loop in loops],
            "loop_cpu_s": [loop.cpu_s for loop in loops],
        }
        name, words = f"system_{engine.name}", f"{SYSTEM_WORDS}{engine.title}"
        figures[engine] = ratio_figure(name, words, "frames/s", pairs, goal_of(name), plain=_LOOP, details=details)
    full = [engine for engine in figures if engine.precision == "fp32"]
    again = best_figure([figures[engine] for engine in full])
    return [*(figures[engine] for engine in full), again, *(figures[e] for e in figures if e not in full)]


def limit_figure(engine: Engine, turns: Sequence[Turn], cores: int) -> Figure:
    """The share of what the cores could do."""
    return ratio_figure(
        f"limit_{engine.name}",
        f"share of the limit, {engine.title}",
        "frames/s",
        [(turn.analysis.rate, turn.limit(cores)) for turn in turns],
        goal_of(f"limit_{engine.name}"),
        plain=f"{cores} cores with nothing but decoding, conversion and the network",
        details={"alone_cpu_ms": medians([turn.alone_ms for turn in turns]), "cores": cores},
    )


def overhead_figure(engine: Engine, turns: Sequence[Turn]) -> Figure:
    """What everything else takes, servers and all, by kind of process."""
    excess = [turn.excess_ms for turn in turns]
    by_kind = medians(excess)
    servers = medians([{"ms": sum(row[kind] for kind in _SERVERS)} for row in excess])["ms"]
    without = medians([{"ms": sum(ms for kind, ms in row.items() if kind not in _SERVERS)} for row in excess])["ms"]
    details = {
        "excess_cpu_ms": by_kind,
        "servers_cpu_ms": servers,
        "without_servers_cpu_ms": without,
        "total_cpu_ms": medians([turn.kinds_ms for turn in turns]),
        "alone_cpu_ms": medians([turn.alone_ms for turn in turns]),
    }
    name = f"overhead_{engine.name}"
    return level_figure(
        name,
        f"processor time besides the three, servers and all, {engine.title}",
        "ms/frame",
        [turn.overhead_ms for turn in turns],
        goal_of(name),
        {"note": note_of(name, details), **details},
    )
