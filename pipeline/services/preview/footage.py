"""A run's frames as they are drawn: the decoded picture with what was found in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from uuid import UUID

from pipeline.core.frame_index import FrameIndex
from pipeline.core.states import RunState
from pipeline.core.video_limits import VideoLimits
from pipeline.db.frames import FrameRow, iter_frame_rows
from pipeline.db.runs import RunRow
from pipeline.db.videos import VideoRow
from pipeline.errors import RunFailed
from pipeline.services.pose_frames import NOT_DECODED
from pipeline.services.run_result import load_result
from pipeline.services.system import System
from pipeline.services.teams import limits_of_ready
from pipeline.storage.blocks import ObjectSource
from pipeline.video.reader import Frame, VideoReader


@dataclass(frozen=True)
class Footage:
    """A run that has ended, its video, and which of its frames can be drawn.

    Args:
        limits: for the decoder.
    """

    system: System
    run: RunRow
    video: VideoRow
    index: FrameIndex
    limits: VideoLimits

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """First and end of each stretch of frames to decode.

        Raises:
            RunFailed: no frame can be drawn.
        """
        return self._extent[0]

    @property
    def drawable(self) -> int:
        """How many frames can be drawn: those that the model saw."""
        return self._extent[1]

    @property
    def source(self) -> ObjectSource:
        """The stored video's bytes.

        Raises:
            OriginalRemoved: they were removed by the team's rule.
        """
        return ObjectSource(self.system.store, self.video.original)

    def frame(self, row: FrameRow) -> Frame | None:
        """The picture of one frame, whole; None where the decoder does not give it."""
        with closing(self._reader().frames(row.frame, row.frame + 1)) as frames:
            return next(frames, None)

    def rows(self, numbers: Sequence[int] | None = None) -> Iterator[FrameRow]:
        """The frames that can be drawn, in order, without their pictures; only those of `numbers` if given."""
        return (row for row in iter_frame_rows(self.system.engine, self.run.id, numbers) if row.missing is None)

    def frames(self) -> Iterator[tuple[FrameRow, Frame]]:
        """The frames that can be drawn, in order, with their pictures. What a worker gave up is not decoded again."""
        rows, reader = self.rows(), self._reader()
        row = next(rows, None)
        for first, stop in self.spans:
            with closing(reader.frames(first, stop)) as frames:
                for frame in frames:
                    while row is not None and row.frame < frame.number:
                        row = next(rows, None)
                    if row is not None and row.frame == frame.number:
                        yield row, frame

    def what_is_missing(self) -> tuple[str, ...]:
        """A note on the frames that are not drawn; empty if all are."""
        left_out = len(self.index) - self.drawable
        if not left_out:
            return ()
        why = "they could not be read" if self.run.state is RunState.DONE else f"the run was {self.run.state}"
        if self.run.state is RunState.FAILED:
            why = "the run failed"
        return (f"{left_out} of {len(self.index)} frames are not drawn: {why}",)

    @cached_property
    def _extent(self) -> tuple[tuple[tuple[int, int], ...], int]:
        spans, drawable = _spans(self.system, self.run.id)
        if not drawable:
            raise _no_frames(self.run)
        return spans, drawable

    def _reader(self) -> VideoReader:
        return VideoReader(self.source, self.index, self.video.size, self.limits)


def open_footage(system: System, run_id: UUID, *, team: str | None) -> Footage:
    """Look up what can be drawn of a run.

    Raises:
        NotFound: there is no such run, or it is another team's.
        RunFailed: the run has not ended, or none of its frames were analysed.
    """
    result = load_result(system, run_id, team=team)
    return Footage(system, result.run, result.video, result.index, limits_of_ready(system, result.video))


def _no_frames(run: RunRow) -> RunFailed:
    why = f": {run.reason}" if run.reason else ""
    return RunFailed(f"run {run.id} is {run.state} and has no frames to draw{why}")


def _spans(system: System, run_id: UUID) -> tuple[tuple[tuple[int, int], ...], int]:
    """The stretches to decode, and how many frames in them can be drawn.

    A frame that the decoder did not give is decoded past; one that was given up with its chunk may crash it again.
    """
    spans: list[tuple[int, int]] = []
    drawable = 0
    for row in iter_frame_rows(system.engine, run_id):
        if row.missing is not None and row.missing != NOT_DECODED:
            continue
        drawable += row.missing is None
        if spans and spans[-1][1] == row.frame:
            spans[-1] = (spans[-1][0], row.frame + 1)
        else:
            spans.append((row.frame, row.frame + 1))
    return tuple(spans), drawable
