"""Decoded frames to rows of poses: the part of an analysis that knows nothing of chunks, leases or Postgres."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from pipeline.core.frame_index import FrameIndex
from pipeline.core.poses import FramePoses
from pipeline.db.frames import FrameRow
from pipeline.errors import InvalidOutput, InvalidWeights
from pipeline.video.reader import Frame

if TYPE_CHECKING:  # who only draws loads no engine
    from pipeline.inference.pose_model import PoseModel

NOT_DECODED = "the decoder gave no frame: the video is damaged here; export it again"


def iter_pose_rows(
    frames: Iterable[Frame], model: PoseModel, index: FrameIndex, first: int, stop: int, batch: int = 1
) -> Iterator[FrameRow]:
    """One row for each frame of `[first, stop)`, in order; those that the decoder did not give are missing.

    Args:
        frames: decoded frames of that span by rising number, held until the next batch is asked for.
        batch: how many frames the model is given at once.

    Raises:
        InvalidOutput: the model failed on these frames. It worked when it was loaded, so they are at fault, and trying
            again would not help.
        DeviceLost: the model's device failed.
    """
    frames, next_no = iter(frames), first
    while some := list(islice(frames, batch)):
        for frame, poses in zip(some, _detect(model, some), strict=True):
            yield from iter_missing_rows(index, next_no, frame.number, NOT_DECODED)
            yield FrameRow(frame.number, frame.pts, poses)
            next_no = frame.number + 1
    yield from iter_missing_rows(index, next_no, stop, NOT_DECODED)


def iter_missing_rows(index: FrameIndex, first: int, stop: int, reason: str) -> Iterator[FrameRow]:
    """Rows for the frames `[first, stop)`, which have no poses, with the reason."""
    for number in range(first, stop):
        yield FrameRow(number, int(index.pts[number]), FramePoses.empty(), reason)


def _detect(model: PoseModel, frames: Sequence[Frame]) -> list[FramePoses]:
    try:
        return model.detect([frame.image for frame in frames], [frame.scale for frame in frames])
    except InvalidWeights as error:
        raise InvalidOutput(error.message) from error
