"""Comparisons of two runs: as `compare_poses` has it frame by frame, in flat memory, also of other keypoint sets."""

from __future__ import annotations

import tracemalloc
from fractions import Fraction

import numpy as np
import pytest

from pipeline.core.comparison import Comparison, shared_names
from pipeline.core.comparison_figures import ComparisonFigures
from pipeline.core.keypoints import COCO_17, COCO_133, HALPE_26, HAND_21, Keypoints, keypoints_of
from pipeline.core.log_histogram import LogHistogram
from pipeline.core.oks import compare_poses, merge_agreements, sigmas_for
from pipeline.core.poses import FramePoses
from tests.support.versions import people

Frames = list[tuple[FramePoses | None, FramePoses | None]]


def compared(frames: Frames, before: Keypoints = COCO_17, after: Keypoints = COCO_17) -> ComparisonFigures:
    comparison = Comparison(before.names, after.names, frames=len(frames), time_base=Fraction(1, 90_000))
    for number, (one, other) in enumerate(frames):
        comparison.add(number, 3000 * number, one, other)
    return comparison.figures()


def random_people(rng: np.random.Generator, count: int) -> FramePoses:
    """People anywhere, some of whose keypoints are sure."""
    corners = rng.uniform(0, 400, (count, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(20, 200, (count, 2))], axis=1)
    points = corners[:, None] + rng.uniform(0, 200, (count, 17, 2))
    confidence = rng.uniform(0, 1, (count, 17, 1)) * rng.integers(0, 2, (count, 1, 1))
    return FramePoses(np.full(count, 0.9), boxes, np.concatenate([points, confidence], axis=2))


def moved(rng: np.random.Generator, poses: FramePoses) -> FramePoses:
    """The same people in another order, some left out, their keypoints a little off."""
    order = rng.permutation(len(poses))[: rng.integers(0, len(poses) + 1)]
    keypoints = poses.keypoints[order].copy()
    keypoints[:, :, :2] += rng.normal(0, rng.uniform(0.1, 20), keypoints[:, :, :2].shape)
    return FramePoses(poses.scores[order], poses.boxes_xyxy[order], keypoints)


def test_a_batch_of_frames_is_matched_as_each_frame_alone() -> None:
    rng = np.random.default_rng(13)
    before = [random_people(rng, int(rng.integers(0, 6))) for _ in range(700)]
    after = [moved(rng, each) if number % 5 else random_people(rng, 2) for number, each in enumerate(before)]
    figures = compared(list(zip(before, after, strict=True)))
    sigmas = sigmas_for(COCO_17.names)
    alone = merge_agreements(compare_poses(found, wanted, sigmas) for found, wanted in zip(after, before, strict=True))
    assert figures.people_before == alone.people_wanted
    assert figures.people_after == alone.people_found
    assert (figures.people_in_both, figures.people_lost, figures.people_found) == (
        alone.matched,
        alone.people_lost,
        alone.people_gained,
    )
    assert alone.matched > 300
    assert figures.oks_mean == pytest.approx(alone.oks.mean())
    assert figures.oks_min == pytest.approx(alone.oks.min())
    assert figures.oks_median == pytest.approx(np.median(alone.oks), abs=0.002)
    assert figures.agreement == pytest.approx(alone.oks.sum() / alone.people_wanted)
    assert sum(figures.oks_histogram) == alone.matched
    assert figures.drift is not None
    assert figures.drift.keypoints == len(alone.distances_px)
    assert figures.drift.px_median == pytest.approx(alone.percentile_px(50), rel=0.03)
    assert figures.drift.px_p95 == pytest.approx(alone.percentile_px(95), rel=0.03)


def test_the_figures_by_hand() -> None:
    still, gone = people(100, 400), people(400)
    figures = compared([(still, people(100, 400, moved_px=3, confidence=0.6))] * 6 + [(still, gone), (gone, still)])
    assert (figures.people_before, figures.people_after, figures.people_in_both) == (15, 15, 14)
    assert (figures.people_lost, figures.people_found) == (1, 1)
    assert figures.confidence_before == pytest.approx(0.8)
    assert figures.confidence_change == pytest.approx(-0.2 * 12 / 14)
    ankle = figures.joints["left_ankle"]
    assert ankle.keypoints == 14
    assert (ankle.px_median, ankle.px_p95) == (pytest.approx(3, rel=0.02), pytest.approx(3, rel=0.02))
    assert ankle.body_median == pytest.approx(0.03, rel=0.02)
    assert [(each.frame, each.lost, each.found) for each in figures.changed_most][-2:] == [(6, 1, 0), (7, 0, 1)]
    assert figures.changed_most[-1].box_xyxy == (100, 100, 200, 200)
    assert figures.changed_most[-1].time_s == pytest.approx(7 / 30)
    assert figures.changed_most[-1].change == pytest.approx(1)
    assert 0.5 < figures.changed_most[0].oks_min < 1  # type: ignore[operator]


def test_equal_runs_differ_in_nothing() -> None:
    figures = compared([(people(100, 400), people(100, 400)), (people(), people()), (None, None)])
    assert (figures.people_in_both, figures.people_lost, figures.people_found, figures.oks_mean) == (2, 0, 0, 1)
    assert (figures.frames_compared, figures.frames_missing_before, figures.frames_missing_after) == (2, 1, 1)
    assert figures.drift is not None
    assert (figures.drift.px_p95, figures.changed_most) == (0, ())
    nobody = compared([(people(), people())] * 3)
    assert (nobody.agreement, nobody.oks_mean, nobody.confidence_change, nobody.drift) == (None, None, None, None)


def test_frames_that_one_run_lacks_count_as_missing_and_nobody_in_them_as_lost() -> None:
    figures = compared([(people(100), None), (None, people(100, 400)), (people(100), people(100))])
    assert (figures.people_before, figures.people_lost, figures.people_found) == (1, 0, 0)
    assert (figures.frames_missing_before, figures.frames_missing_after) == (1, 1)


@pytest.mark.parametrize(("other", "shared"), [(HALPE_26, 17), (COCO_133, 17), (COCO_17, 17)])
def test_other_keypoint_sets_are_compared_by_the_names_they_share(other: Keypoints, shared: int) -> None:
    many = people(100, 400, keypoints=len(other.names), moved_px=1)
    there = compared([(people(100, 400), many)], COCO_17, other)
    back = compared([(many, people(100, 400))], other, COCO_17)
    for figures in (there, back):
        assert len(figures.keypoint_names) == len(figures.joints) == shared
        assert (figures.matched_by, figures.people_in_both) == ("keypoints", 2)
        assert figures.joints["right_ankle"].px_median == pytest.approx(1, rel=0.02)
    assert there.oks_mean == pytest.approx(back.oks_mean)


def test_feet_are_compared_between_models_that_both_have_them() -> None:
    names = shared_names(HALPE_26.names, COCO_133.names)
    assert {"left_heel", "right_big_toe", "nose"} <= set(names)
    assert "neck" not in names
    halpe, whole = people(100, keypoints=26), people(100, keypoints=133)
    swapped = whole.keypoints.copy()
    for name in names:  # the same places under the same names
        swapped[:, COCO_133.names.index(name)] = halpe.keypoints[:, HALPE_26.names.index(name)]
    same = FramePoses(whole.scores, whole.boxes_xyxy, swapped)
    assert compared([(halpe, same)], HALPE_26, COCO_133).oks_mean == 1


def test_without_a_shared_name_people_are_matched_by_boxes() -> None:
    hand = people(100, 400, keypoints=21)
    figures = compared([(people(105, 400, 900), hand)], COCO_17, HAND_21)
    assert figures.matched_by == "boxes"
    assert (figures.people_in_both, figures.people_lost, figures.people_found) == (2, 1, 0)
    assert (figures.oks_mean, figures.drift, figures.confidence_change, figures.joints) == (None, None, None, {})
    assert figures.agreement == pytest.approx((95 / 105 + 1) / 3)
    assert figures.changed_most[0].lost == 1


def test_numbered_keypoints_of_two_sets_are_not_the_same() -> None:
    five, seven = keypoints_of(5), keypoints_of(7)
    assert shared_names(five.names, seven.names) == ()
    assert shared_names(five.names, five.names) == five.names


def test_the_frames_that_changed_most_are_not_those_of_one_moment() -> None:
    """In a burst of 40 frames two people are lost; elsewhere one is, now and then."""
    still = people(100, 400, 700)
    frames: Frames = [
        (still, people(100) if 500 <= number < 540 else people(100, 400) if number % 97 == 0 else still)
        for number in range(3000)
    ]
    figures = compared(frames)
    chosen = [each.frame for each in figures.changed_most]
    assert len(chosen) == 12
    assert sum(500 <= frame < 540 for frame in chosen) == 1
    assert min(np.diff(chosen)) >= 60
    assert compared(frames[500:512]).changed_most[-1].frame == 11, "a short video shows all that it has"
    assert len(compared(frames[495:545]).changed_most) == 12, "nearer ones where there are no others"


def test_what_is_no_number_is_no_match_and_no_warning() -> None:
    broken = people(100).keypoints.copy()
    broken[0, :, 0] = np.nan
    huge = people(100).keypoints.copy()
    huge[0, :, 1] = 3e38
    odd = [FramePoses(people(100).scores, people(100).boxes_xyxy, points) for points in (broken, huge)]
    figures = compared([(people(100), odd[0]), (odd[1], people(100)), (people(100), people(100))])
    assert (figures.people_in_both, figures.people_lost) == (1, 2)


def test_figures_are_the_same_from_json() -> None:
    rng = np.random.default_rng(1)
    figures = compared([(one := random_people(rng, 3), moved(rng, one)) for _ in range(50)])
    assert ComparisonFigures.from_dict(figures.to_dict()) == figures
    assert ComparisonFigures.from_dict({**figures.to_dict(), "version": 0}) is None


def test_memory_does_not_grow_with_the_video() -> None:
    rng = np.random.default_rng(2)
    scenes = [random_people(rng, int(rng.integers(0, 4))) for _ in range(50)]
    comparison = Comparison(COCO_17.names, COCO_17.names, frames=12_000, time_base=Fraction(1, 30))
    tracemalloc.start()
    try:
        peaks = []
        for number in range(12_000):
            comparison.add(number, number, scenes[number % 50], scenes[number * 7 % 50])
            if number % 3000 == 2999:
                peaks.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert peaks[-1] < peaks[0] + 200_000, peaks


def test_percentiles_of_a_histogram_are_those_of_the_numbers() -> None:
    rng = np.random.default_rng(3)
    values = rng.lognormal(1, 2, 5000)
    histogram = LogHistogram(2)
    histogram.add(np.zeros(5000, np.intp), values)
    for percent in (5, 50, 95):
        assert histogram.percentile(percent, 0) == pytest.approx(np.percentile(values, percent), rel=0.03)
        assert histogram.percentile(percent) == histogram.percentile(percent, 0)
    assert histogram.count(1) == 0
    with pytest.raises(ValueError, match="nothing was counted"):
        histogram.percentile(50, 1)
    histogram.add(np.ones(3, np.intp), np.array([0.0, 0.0, 1e12]))
    assert histogram.percentile(50, 1) == 0
