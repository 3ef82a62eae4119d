"""The whole system against rtmlib's plain loop, against the limit of the cores, and its overhead.

These are figures of the same runs. In every round the loop and each engine process the same clip once, each alone on
the machine; another one is first in each round. Decoding, conversion and the network are also measured alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.bench.baselines import Baseline, convert_alone, decode_alone, infer_alone, rtmlib_loop
from pipeline.bench.context import Context, Engine
from pipeline.bench.figures import Figure, in_rotation, level_figure, medians, ratio_figure
from pipeline.bench.workers import Analysis, analyse, open_workers

_SERVERS = ("postgres", "store", "broker", "beat", "supervisor")
_LOOP = "rtmlib in a plain loop"


@dataclass(frozen=True)
class Turn:
    """One engine in one round.

    Args:
        alone_ms: CPU milliseconds per frame of decoding, conversion and the network, each alone.
    """

    analysis: Analysis
    alone_ms: Mapping[str, float]

    @property
    def kinds_ms(self) -> dict[str, float]:
        """CPU milliseconds per frame, by kind of process."""
        return {kind: 1e3 * cpu_s / self.analysis.frames for kind, cpu_s in self.analysis.cpu_s.items()}

    @property
    def excess_ms(self) -> dict[str, float]:
        """CPU milliseconds per frame besides decoding, conversion and the network, by kind of process.

        The worker calls the network, the decoder does the rest, except for the last step of conversion, the input
        tensor (about 0.1 ms), which is the worker's.
        """
        kinds, alone = self.kinds_ms, self.alone_ms
        worker = kinds["worker"] - alone["network"]
        decoder = kinds["decoder"] - alone["decoding"] - alone["conversion"]
        return {**kinds, "worker": worker, "decoder": decoder}

    @property
    def overhead_ms(self) -> float:
        """The sum over the kinds."""
        return sum(self.excess_ms.values())

    def limit(self, cores: int) -> float:
        """Frames per second of cores that do only decoding, conversion and the network."""
        return 1e3 * cores / sum(self.alone_ms.values())


def measure_end_to_end(context: Context) -> list[Figure]:
    """The figures `system`, `limit` (of engines on the CPU) and `overhead`."""
    size, clip = context.size, context.clip(context.size.clip_s)
    side_px = context.found.spec.pose.width_px
    loops: list[Baseline] = []
    turns: dict[Engine, list[Turn]] = {engine: [] for engine in context.engines}
    for number in range(size.pairs):
        alone_ms = {
            "decoding": decode_alone(clip).cpu_ms,
            "conversion": convert_alone(clip, side_px, size.baseline_frames).cpu_ms,
        }
        for engine in in_rotation([None, *context.engines], number):
            label = _LOOP if engine is None else f"whole system with {engine.title}"
            context.on_step(f"round {number + 1} of {size.pairs}: {label}")
            if engine is None:
                loops.append(rtmlib_loop(clip, context.found))
                continue
            with open_workers(context.stack, engine, context.source, slots=context.cores) as workers:
                analysis = analyse(workers, clip)
            network = infer_alone(clip, engine, context.stack.models_path, size.baseline_frames)
            turns[engine].append(Turn(analysis, {**alone_ms, "network": network.cpu_ms}))
    return [
        *system_figures(loops, turns),
        *(limit_figure(engine, taken, context.cores) for engine, taken in turns.items() if engine.is_cpu),
        *(overhead_figure(engine, taken) for engine, taken in turns.items()),
    ]


def system_figures(loops: Sequence[Baseline], turns: Mapping[Engine, Sequence[Turn]]) -> list[Figure]:
    """Each engine against the loop of its round; and the best one in fp32 again, with its own goal."""
    figures = {}
    for engine, taken in turns.items():
        pairs = [(turn.analysis.rate, loop.rate) for turn, loop in zip(taken, loops, strict=True)]
        details = {
            "wall_s": [turn.analysis.wall_s for turn in taken],
            "loop_wall_s": [loop.wall_s for loop in loops],
            "loop_cpu_s": [loop.cpu_s for loop in loops],
        }
        name, label = f"system_{engine.name}", f"whole system, {engine.title}"
        figures[engine] = ratio_figure(name, label, "frames/s", pairs, baseline_label=_LOOP, details=details)
    best = max((engine for engine in figures if engine.precision == "fp32"), key=lambda each: figures[each].outcome)
    pairs = [(ours, other) for ours, other in figures[best].pairs if other is not None]
    label = f"whole system, best engine in fp32: {best.title}"
    return [*figures.values(), ratio_figure("system_best", label, "frames/s", pairs, baseline_label=_LOOP)]


def limit_figure(engine: Engine, turns: Sequence[Turn], cores: int) -> Figure:
    """The share of the limit that the whole system reaches."""
    return ratio_figure(
        f"limit_{engine.name}",
        f"share of the limit, {engine.title}",
        "frames/s",
        [(turn.analysis.rate, turn.limit(cores)) for turn in turns],
        baseline_label=f"{cores} cores that only decode, convert and run the network",
        details={"alone_cpu_ms": medians([turn.alone_ms for turn in turns]), "cores": cores},
    )


def overhead_figure(engine: Engine, turns: Sequence[Turn]) -> Figure:
    """The CPU time of everything else, servers included."""
    excess = [turn.excess_ms for turn in turns]
    by_kind = medians(excess)
    servers = medians([{"ms": sum(row[kind] for kind in _SERVERS)} for row in excess])["ms"]
    without = medians([{"ms": sum(ms for kind, ms in row.items() if kind not in _SERVERS)} for row in excess])["ms"]
    kinds = ", ".join(f"{kind} {ms:.2f}" for kind, ms in by_kind.items())
    return level_figure(
        f"overhead_{engine.name}",
        f"CPU time besides decoding, conversion and network, {engine.title}",
        "ms/frame",
        [turn.overhead_ms for turn in turns],
        note=f"{without:.2f} without the servers, {servers:.2f} in them: {kinds}",
        details={
            "excess_cpu_ms": by_kind,
            "servers_cpu_ms": servers,
            "without_servers_cpu_ms": without,
            "total_cpu_ms": medians([turn.kinds_ms for turn in turns]),
            "alone_cpu_ms": medians([turn.alone_ms for turn in turns]),
        },
    )
