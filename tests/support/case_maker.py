"""The definition of a video case, and the usual ways to make its file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from tests.support.packet_maker import Coded, rewrite
from tests.support.video_claims import Claim
from tests.support.video_maker import make_video

FRAMES = 60
#: For codecs whose every frame is a keyframe, and a chunk of its own in one plan.
FEW = 18
RATE = 30
TICK_90K = Fraction(1, 90_000)
NO_ADAPT = {"x264-params": "b-adapt=0"}


@dataclass(frozen=True)
class Case:
    """One kind of file.

    Args:
        make: writes it below a folder.
        claim: whether a file is of this kind, read without Poseline.
        numbers: painted on its frames, in the order of display; None where some, in order, are all that is known.
        times_s: of the frames after the first; None where only "never decreasing" can be checked.
        size: as displayed, in square pixels.
        turn: quarter turns clockwise, and the mirroring after them, that show it upright.
        stream: which video stream is analysed.
        indexed_by_position: whether its times do not identify its frames.
    """

    make: Callable[[Path], Path]
    claim: Claim
    numbers: Sequence[int] | None = tuple(range(FRAMES))
    times_s: Sequence[float] | None = tuple(i / RATE for i in range(FRAMES))
    size: tuple[int, int] = (160, 96)
    turn: tuple[int, bool] = (0, False)
    stream: int = 0
    indexed_by_position: bool = False


def coded(suffix: str, claim: Claim, frames: int = FRAMES, **options: Any) -> Case:
    """A file as `make_video` encodes it."""
    size = (options.get("width", 160), options.get("height", 96))
    return Case(
        lambda folder: make_video(folder / f"video{suffix}", frames, **options),
        claim,
        numbers=range(frames),
        times_s=[i / RATE for i in range(frames)],
        size=size,
    )


def x264(suffix: str, claim: Claim, frames: int = FRAMES, params: str = "b-adapt=0", **options: Any) -> Case:
    """H.264 with three B-frames in a row."""
    more = options.pop("options", {})
    options = {"b_frames": 3, **options}
    return coded(suffix, claim, frames, codec="libx264", options={"x264-params": params, **more}, **options)


def with_b_frames(folder: Path, suffix: str = ".mp4", frames: int = FRAMES, **options: Any) -> Path:
    """H.264 with three B-frames in a row, written below a folder."""
    return make_video(
        folder / f"plain{suffix}", frames, codec="libx264", **{"b_frames": 3, "options": NO_ADAPT, **options}
    )


def rewritten(
    source: Callable[[Path], Path], suffix: str, change: Callable[[list[Coded]], Any] | None, **options: Any
) -> Callable[[Path], Path]:
    """A maker: what `source` made, with its packets changed and in another container, with the muxer's `options`."""
    return lambda folder: rewrite(folder / f"video{suffix}", source(folder), change, options=options or None)
