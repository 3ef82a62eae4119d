"""Which frames of a video to show, of those that changed most: some from all over it, in flat memory.

A video is cut into stretches, and of each the frame that changed most is kept. Of these the greatest are chosen that
are far enough apart, so that not all of them show one moment; where that leaves too few, nearer ones are taken.
"""

from __future__ import annotations

from pipeline.core.comparison_figures import ChangedFrame

#: How many frames are shown.
SHOWN = 12
_STRETCHES = 20 * SHOWN
#: The frames chosen are this share of the video apart where there are enough of them.
_APART = 1 / (2 * SHOWN)


class MostChanged:
    """Keeps the frames that changed most.

    Args:
        frames: of the video.
    """

    def __init__(self, frames: int) -> None:
        self._frames = max(frames, 1)
        self._best: dict[int, ChangedFrame] = {}

    def stretch_of(self, frame: int) -> int:
        """The number of the stretch in which a frame is."""
        return frame * _STRETCHES // self._frames

    def least(self, stretch: int) -> float:
        """The change above which a frame of this stretch is kept."""
        kept = self._best.get(stretch)
        return 0.0 if kept is None else kept.change

    def keep(self, frame: ChangedFrame) -> None:
        """Keep a frame if it changed more than the one of its stretch; of two alike the first given stays."""
        stretch = self.stretch_of(frame.frame)
        if frame.change > self.least(stretch):
            self._best[stretch] = frame

    def chosen(self) -> tuple[ChangedFrame, ...]:
        """At most `SHOWN` frames, in their order in the video."""
        ranked = sorted(self._best.values(), key=lambda each: (-each.change, each.frame))
        chosen: list[ChangedFrame] = []
        apart = self._frames * _APART
        while ranked and len(chosen) < SHOWN:
            for each in list(ranked):
                if len(chosen) < SHOWN and all(abs(each.frame - other.frame) >= apart for other in chosen):
                    chosen.append(each)
                    ranked.remove(each)
            if apart < 1:
                break
            apart /= 2
        return tuple(sorted(chosen, key=lambda each: each.frame))
