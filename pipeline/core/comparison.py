"""Compare two runs of one video in one pass over their frames, in memory that does not grow with the video.

People are matched by OKS over the keypoints that both models have by name, or by the IoU of their boxes where they have
none in common. The earlier run is the measure: its boxes give people's sizes, and its confidence says which keypoints
count.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from pipeline.core.batch_matching import (
    SAME_PERSON_IOU,
    Float64s,
    Ints,
    Matches,
    People,
    iou_of_pairs,
    match_greedily,
    oks_of_pairs,
)
from pipeline.core.comparison_figures import ChangedFrame, ComparisonFigures, Drift
from pipeline.core.log_histogram import LogHistogram
from pipeline.core.most_changed import MostChanged
from pipeline.core.oks import SAME_PERSON_OKS, SURE_CONFIDENCE, UNIFORM_SIGMA, sigmas_for, sigmas_source
from pipeline.core.poses import FramePoses

#: Frames of the same numbers of people are matched so many at a time, or fewer where they have many people.
_BATCH_FRAMES = 256
#: Numbers of the largest array of a batch: pairs of people by keypoints.
_BATCH_NUMBERS = 1_000_000
#: OKS between the loosest match and 1, in bins of a thousandth.
_OKS_BINS = 500
#: Names that only number keypoints mean the same keypoint only in the same set.
_NUMBERED = re.compile(r"keypoint_\d+")

_Batch = list[tuple[int, int, FramePoses, FramePoses]]


class Comparison:
    """Takes the frames of two runs in order, and gives the figures at the end.

    Args:
        names_before, names_after: the keypoints of each model, in the order of its output.
        frames: of the video.
        time_base: seconds of one unit of pts.
    """

    def __init__(
        self, names_before: Sequence[str], names_after: Sequence[str], *, frames: int, time_base: Fraction
    ) -> None:
        self._names = shared_names(names_before, names_after)
        self._points_before = np.array([names_before.index(name) for name in self._names], np.intp)
        self._points_after = np.array([names_after.index(name) for name in self._names], np.intp)
        self._sigmas = _sigmas(names_before, names_after, self._points_before, self._points_after)
        self._frames, self._time_base = frames, time_base
        self._waiting: dict[tuple[int, int], _Batch] = {}
        self._seen_before = self._seen_after = self._compared = 0
        self._before = self._after = self._in_both = 0
        self._similarity = 0.0
        self._oks_min = 1.0
        self._oks = np.zeros(_OKS_BINS, np.int64)
        self._confidence = np.zeros(2)
        rows = max(len(self._names), 1)
        self._px, self._body = LogHistogram(rows), LogHistogram(rows)
        self._most_changed = MostChanged(frames)

    def add(self, frame: int, pts: int, before: FramePoses | None, after: FramePoses | None) -> None:
        """Take the next frame of the video; None where a run did not analyse it."""
        self._seen_before += before is not None
        self._seen_after += after is not None
        if before is None or after is None:
            return
        self._compared += 1
        people = len(before), len(after)
        if people == (0, 0):
            return
        batch = self._waiting.setdefault(people, [])
        batch.append((frame, pts, before, after))
        numbers = max(1, len(self._names)) * max(people[0] * people[1], *people)
        if len(batch) >= min(_BATCH_FRAMES, max(1, _BATCH_NUMBERS // numbers)):
            self._compare(self._waiting.pop(people))
        elif len(self._waiting) > _BATCH_FRAMES:
            self._compare(self._waiting.pop(next(iter(self._waiting))))

    def figures(self) -> ComparisonFigures:
        """What it comes to."""
        while self._waiting:
            self._compare(self._waiting.popitem()[1])
        oks_known = bool(self._in_both and self._names)
        confidence = self._confidence / (self._in_both * len(self._names)) if oks_known else None
        return ComparisonFigures(
            matched_by="keypoints" if self._names else "boxes",
            keypoint_names=self._names,
            frames=self._frames,
            frames_compared=self._compared,
            frames_missing_before=self._frames - self._seen_before,
            frames_missing_after=self._frames - self._seen_after,
            people_before=self._before,
            people_after=self._after,
            people_in_both=self._in_both,
            people_lost=self._before - self._in_both,
            people_found=self._after - self._in_both,
            agreement=self._similarity / self._before if self._before else None,
            oks_mean=self._similarity / self._in_both if oks_known else None,
            oks_min=self._oks_min if oks_known else None,
            oks_p05=self._oks_percentile(5) if oks_known else None,
            oks_median=self._oks_percentile(50) if oks_known else None,
            oks_histogram=tuple(map(int, self._oks.reshape(10, -1).sum(axis=1))),
            confidence_before=None if confidence is None else float(confidence[0]),
            confidence_after=None if confidence is None else float(confidence[1]),
            drift=self._drift(None),
            joints={name: drift for row, name in enumerate(self._names) if (drift := self._drift(row)) is not None},
            changed_most=self._most_changed.chosen(),
        )

    def _drift(self, row: int | None) -> Drift | None:
        """Of one keypoint, or of all together; None where none was measured."""
        if not self._px.count(row):
            return None
        body = self._body if self._body.count(row) else None
        return Drift(
            keypoints=self._px.count(row),
            px_median=self._px.percentile(50, row),
            px_p95=self._px.percentile(95, row),
            body_median=body.percentile(50, row) if body else 0.0,
            body_p95=body.percentile(95, row) if body else 0.0,
        )

    def _oks_percentile(self, percent: float) -> float:
        at = int(np.searchsorted(np.cumsum(self._oks), percent / 100 * self._oks.sum()))
        return SAME_PERSON_OKS + (1 - SAME_PERSON_OKS) * (at + 0.5) / _OKS_BINS

    def _compare(self, batch: _Batch) -> None:
        """Match the people of frames that all have as many, and count."""
        before = People.of([each[2] for each in batch], self._points_before)
        after = People.of([each[3] for each in batch], self._points_after)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            if self._names:
                similar, least = oks_of_pairs(before, after, self._sigmas), SAME_PERSON_OKS
            else:
                similar, least = iou_of_pairs(before, after), SAME_PERSON_IOU
        matches = match_greedily(np.nan_to_num(similar), least)
        frames = len(batch)
        here, there = before.boxes.shape[1], after.boxes.shape[1]
        self._before += frames * here
        self._after += frames * there
        self._in_both += len(matches.frame)
        self._similarity += float(matches.similarity.sum())
        if self._names and len(matches.frame):
            self._count_oks(matches)
            self._count_drift(matches, before, after)
        in_both = np.bincount(matches.frame, minlength=frames)
        moved = np.bincount(matches.frame, 1 - matches.similarity, minlength=frames)
        self._keep_changed(batch, here + there - 2 * in_both + moved, matches, before, after)

    def _count_oks(self, matches: Matches) -> None:
        self._oks_min = min(self._oks_min, float(matches.similarity.min()))
        bins = (matches.similarity - SAME_PERSON_OKS) / (1 - SAME_PERSON_OKS) * _OKS_BINS
        self._oks += np.bincount(np.minimum(bins.astype(np.int64), _OKS_BINS - 1), minlength=_OKS_BINS)

    def _count_drift(self, matches: Matches, before: People, after: People) -> None:
        was, now = (matches.frame, matches.before), (matches.frame, matches.after)
        self._confidence += before.confidence[was].sum(), after.confidence[now].sum()
        px = np.hypot(after.x[now] - before.x[was], after.y[now] - before.y[was])
        pairs, rows = np.nonzero(before.confidence[was] >= SURE_CONFIDENCE)
        px = px[pairs, rows]
        self._px.add(rows, px)
        sizes_px = np.sqrt(before.areas_px2[was])[pairs]
        sized = sizes_px > 0
        self._body.add(rows[sized], px[sized] / sizes_px[sized])

    def _keep_changed(self, batch: _Batch, change: Float64s, matches: Matches, before: People, after: People) -> None:
        """Keep the frames that changed most of their stretches, with where the change is."""
        stretches = [self._most_changed.stretch_of(frame) for frame, *_ in batch]
        least = np.array([self._most_changed.least(stretch) for stretch in stretches])
        for at in np.flatnonzero(change > least)[np.argsort(-change[change > least], kind="stable")].tolist():
            if change[at] <= self._most_changed.least(stretches[at]):
                continue
            mine = matches.frame == at
            lost = _others(before.boxes.shape[1], matches.before[mine])
            found = _others(after.boxes.shape[1], matches.after[mine])
            boxes = [before.boxes[at, lost], after.boxes[at, found]]
            if not (len(lost) or len(found)):
                worst = int(matches.similarity[mine].argmin())
                boxes = [
                    before.boxes[at, matches.before[mine][worst], None],
                    after.boxes[at, matches.after[mine][worst], None],
                ]
            frame, pts = batch[at][:2]
            self._most_changed.keep(
                ChangedFrame(
                    frame=frame,
                    pts=pts,
                    time_s=float(pts * self._time_base),
                    change=float(change[at]),
                    lost=len(lost),
                    found=len(found),
                    oks_min=float(matches.similarity[mine].min()) if self._names and mine.any() else None,
                    box_xyxy=_around(np.concatenate(boxes)),
                )
            )


def shared_names(before: Sequence[str], after: Sequence[str]) -> tuple[str, ...]:
    """The keypoints that two models have in common, in the order of the first."""
    if tuple(before) == tuple(after):
        return tuple(before)
    other = set(after)
    return tuple(name for name in before if name in other and not _NUMBERED.fullmatch(name))


def _sigmas(before: Sequence[str], after: Sequence[str], points_before: Ints, points_after: Ints) -> Float64s:
    """The published sigmas of the shared keypoints: the earlier model's set, else the later's, else one for all."""
    for names, points in ((before, points_before), (after, points_after)):
        if len(points) and sigmas_source(names) is not None:
            return sigmas_for(names)[points]
    return np.full(len(points_before), UNIFORM_SIGMA)


def _others(count: int, matched: Ints) -> Ints:
    return np.setdiff1d(np.arange(count), matched)


def _around(boxes: Float64s) -> tuple[float, float, float, float]:
    """The box around boxes `(n, 4)`."""
    (x1, y1), (x2, y2) = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    return float(x1), float(y1), float(x2), float(y2)
