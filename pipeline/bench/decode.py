"""`poseline bench decode`: the sandboxed decoder against one plain process, in pairs; another one first in each pair.

It needs no servers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from pipeline.bench.baselines import plain_decode
from pipeline.bench.figures import BenchFailed, Figure, in_rotation, level_figure, ratio_figure
from pipeline.core.video_limits import VideoLimits
from pipeline.video import zygote_client
from pipeline.video.reader import VideoInfo, VideoReader, probe
from pipeline.video.source import open_source


@dataclass(frozen=True)
class SandboxedDecode:
    """One decode of a whole video in the sandbox, in seconds."""

    wall_s: float
    child_cpu_s: float
    parent_cpu_s: float


def measure_decode(
    clip: Path, limits: VideoLimits, *, side_px: int, pairs: int, on_step: Callable[[str], None]
) -> list[Figure]:
    """Frames per second, and the CPU time of the child and of the parent process.

    Raises:
        BenchFailed: a decoder did not give every frame.
    """
    with open_source(clip) as source:
        info = probe(source, limits)
    frames, title = len(info.index), f"{info.height}p"
    rates, child_ms, parent_ms = [], [], []
    for number in range(pairs):
        on_step(f"decoding at {title}, pair {number + 1} of {pairs}")
        for is_ours in in_rotation((True, False), number):
            if is_ours:
                ours = sandboxed_decode(clip, info, limits, side_px)
            else:
                plain = plain_decode(clip, side_px)
        if plain.frames != frames:
            raise BenchFailed(f"the plain process decoded {plain.frames} of {frames} frames of {clip}")
        rates.append((frames / ours.wall_s, plain.rate))
        child_ms.append((1e3 * ours.child_cpu_s / frames, plain.cpu_ms))
        parent_ms.append(1e3 * ours.parent_cpu_s / frames)
    label = "one plain process"
    return [
        ratio_figure(f"decode_{title}", f"sandboxed decoding at {title}", "frames/s", rates, baseline_label=label),
        ratio_figure(f"child_{title}", f"CPU time of the decoder, {title}", "ms/frame", child_ms, baseline_label=label),
        level_figure(f"parent_{title}", f"CPU time of its parent process, {title}", "ms/frame", parent_ms),
    ]


def sandboxed_decode(path: Path, info: VideoInfo, limits: VideoLimits, side_px: int) -> SandboxedDecode:
    """Decode a local video as a worker does; the frames are dropped.

    Raises:
        BenchFailed: frames are missing.
    """
    frames, index = 0, info.index
    wall_s, parent_s, children_s = time.perf_counter(), time.process_time(), _children_cpu_s()
    with open_source(path) as source:
        for _ in VideoReader(source, index, info.size, limits).frames(0, len(index), side_px):
            frames += 1
    wall_s, parent_s = time.perf_counter() - wall_s, time.process_time() - parent_s
    if frames != len(index):
        raise BenchFailed(f"the child decoded {frames} of {len(index)} frames of {path}")
    return SandboxedDecode(wall_s, _children_cpu_s() - children_s, parent_s)


def _children_cpu_s() -> float:
    """CPU seconds of all decoder children that have ended."""
    times = psutil.Process(zygote_client.zygote().pid).cpu_times()
    return float(times.children_user + times.children_system)
