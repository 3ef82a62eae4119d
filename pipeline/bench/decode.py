"""What decoding costs, each figure against the plainest thing that does the same.

Machines are noisy, so a figure is the median of pairs: ours and the plain one in turn, who is first changing from pair
to pair, and the ratio taken within each pair. Memory hardly varies: it is measured once. The encoded clips are kept in
the scratch folder for the next time.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from pipeline.bench.figures import Figure
from pipeline.bench.measure import BenchFailed, decode_behind_the_wall, in_turn, peak_memory, read_and_hash, seconds
from pipeline.bench.size import DECODE_PAIRS, DECODE_PARTS
from pipeline.bench.workload import read_video
from pipeline.core.objects import StoredObject
from pipeline.inference.catalogue import BUNDLED_MODEL, find_entry
from pipeline.services.system import System
from pipeline.video.reader import probe
from pipeline.video.sample import RATE, loop_clip, make_clip
from pipeline.video.source import open_source
from pipeline.video.yardstick import decode_plainly

OnStep = Callable[[str], None]

LEAST_SHARE = 0.9
MOST_PARENT_MS = 0.3
MOST_MEMORY_MB = 50.0
_LOOP_S = 10


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Args:
        pairs: of which a figure is the median.
        heights: of the pictures, 16 to 9.
        frames: of a decoded clip.
        ingest_loops: how often that clip is in the ingested object.
        short_s: of the short video whose memory is measured.
        long_s: of the long one; a multiple of 10 s, as is the short one.
        chunks: of these two, at most, that are decoded and committed.
    """

    pairs: int = DECODE_PAIRS
    heights: tuple[int, ...] = (1080, 720)
    frames: int = 360
    ingest_loops: int = 24
    short_s: int = 120
    long_s: int = 7200
    chunks: int = 60


def bench_decode(system: System, *, parts: Iterable[str] = DECODE_PARTS, size: Size, on_step: OnStep) -> list[Figure]:
    """Measure the parts named.

    Raises:
        ServiceUnavailable: a server does not answer.
        BenchFailed: a measurement could not be made.
    """
    chosen = set(parts)
    figures: list[Figure] = []
    if chosen & {"ingest", "memory"}:
        system.store.check_bucket()
    if "ingest" in chosen:
        figures.append(_measure_ingest(system, size, on_step))
    if "decode" in chosen:
        for height in size.heights:
            figures += _measure_decode(system, height, size, on_step)
    if "memory" in chosen:
        figures += _measure_memory(system, size, on_step)
    return figures


def _measure_ingest(system: System, size: Size, on_step: OnStep) -> Figure:
    clip = _clip(system, size.heights[0], size.frames, on_step)
    with _stored(system, clip, size.ingest_loops) as source:
        mb = source.size_bytes / 1e6
        pairs = []
        for number in range(size.pairs):
            on_step(f"ingest of {mb:.0f} MB, pair {number + 1} of {size.pairs}")
            pairs.append(
                in_turn(
                    number,
                    lambda: mb / seconds(lambda: read_video(system, source)),
                    lambda: mb / seconds(lambda: read_and_hash(system, source)),
                )
            )
    ratios = [ours / plain for ours, plain in pairs]
    return _figure("ingest", "ingest, against reading and hashing", "MB/s", pairs, statistics.median(ratios))


def _measure_decode(system: System, height: int, size: Size, on_step: OnStep) -> list[Figure]:
    side = find_entry(BUNDLED_MODEL).pose.width_px
    path = _clip(system, height, size.frames, on_step)
    with open_source(path) as source:
        info = probe(source, system.limits)
    rates, cpu_ms, parent_ms = [], [], []
    for number in range(size.pairs):
        on_step(f"decoding at {height}p, pair {number + 1} of {size.pairs}")
        ours, plain = in_turn(
            number, lambda: decode_behind_the_wall(system, path, info, side), lambda: decode_plainly(path, side)
        )
        frames = len(info.index)
        if plain.frames != frames:
            raise BenchFailed(f"the plain process decoded {plain.frames} of {frames} frames of {path}; remove it")
        rates.append((frames / ours.wall_s, frames / plain.wall_s))
        cpu_ms.append((1e3 * ours.child_cpu_s / frames, 1e3 * plain.cpu_s / frames))
        parent_ms.append((1e3 * ours.parent_cpu_s / frames, None))
    share = statistics.median(ours / plain for ours, plain in rates)
    cpu_share = statistics.median(plain / ours if ours else 1.0 for ours, plain in cpu_ms)
    parent = statistics.median(ours for ours, _ in parent_ms)
    return [
        _figure(
            f"decode_{height}p",
            f"decoding at {height}p, against one plain process",
            "frames/s",
            rates,
            share,
            f"at least {LEAST_SHARE:g}",
            share >= LEAST_SHARE,
        ),
        _figure(f"child_{height}p", f"the child's processor time at {height}p", "ms/frame", cpu_ms, cpu_share),
        _figure(
            f"parent_{height}p",
            f"the parent's own processor time at {height}p",
            "ms/frame",
            parent_ms,
            parent,
            f"under {MOST_PARENT_MS:g} ms",
            parent < MOST_PARENT_MS,
        ),
    ]


def _measure_memory(system: System, size: Size, on_step: OnStep) -> list[Figure]:
    clip = _clip(system, 360, _LOOP_S * RATE, on_step, crf=42)
    peaks = []
    for span_s in (size.long_s, size.short_s):
        with _stored(system, clip, span_s // _LOOP_S) as source:
            on_step(f"memory over {span_s / 60:g} minutes of video")
            peaks.append(peak_memory(system, source, size.chunks))
    figures = []
    spans = f"{size.long_s / 60:g} against {size.short_s / 60:g} minutes of video"
    for i, (name, words) in enumerate((("worker", "a worker's memory"), ("tree", "a worker's and its decoder's"))):
        pair = (peaks[0][i] / 1e6, peaks[1][i] / 1e6)
        more = pair[0] - pair[1]
        goal, met = f"under {MOST_MEMORY_MB:g} MB more", more < MOST_MEMORY_MB
        figures.append(_figure(f"memory_{name}", f"{words}, {spans}", "MB", [pair], more, goal, met))
    return figures


@contextmanager
def _stored(system: System, clip: Path, loops: int) -> Iterator[StoredObject]:
    """A clip so many times over as one object, gone after the block."""
    key = f"bench/{uuid4()}"
    with TemporaryDirectory(dir=clip.parent) as folder:
        path = loop_clip(clip, Path(folder) / "looped.mp4", loops)
        try:
            stored = system.store.put_file(path, key)
            path.unlink()
            yield stored
        finally:
            system.store.delete(key)


def _clip(system: System, height: int, frames: int, on_step: OnStep, crf: int = 23) -> Path:
    """A clip of that height, made once. A higher `crf` makes a smaller file."""
    width = height * 16 // 9
    folder = system.settings.scratch_path
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"sample-{height}-{frames}-{crf}.mp4"
    if not path.exists():
        on_step(f"making a video of {width} x {height}")
        make_clip(path, width=width, height=height, frames=frames, crf=crf)
    return path


def _figure(
    name: str,
    words: str,
    unit: str,
    pairs: Sequence[tuple[float, float | None]],
    outcome: float,
    goal: str | None = None,
    met: bool | None = None,
) -> Figure:
    others = [other for _, other in pairs if other is not None]
    against = statistics.median(others) if others else None
    return Figure(
        name, words, unit, statistics.median(ours for ours, _ in pairs), against, outcome, goal, met, tuple(pairs)
    )
