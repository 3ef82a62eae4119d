"""How alike two analyses are: OKS is COCO's own, people are matched once, and nothing of many frames is lost."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools.cocoeval import COCOeval

from pipeline.core import oks as module
from pipeline.core.oks import (
    COCO_SIGMAS,
    Agreement,
    compare_poses,
    merge_agreements,
    oks,
    sigmas_for,
    sigmas_source,
)
from pipeline.core.poses import FramePoses

places = st.integers(-50, 700)
poses_xy = st.lists(st.tuples(places, places), min_size=17, max_size=17).map(lambda xy: np.array(xy, np.float64))
seen = st.lists(st.booleans(), min_size=17, max_size=17).filter(any).map(np.array)
SIGMAS = np.array(COCO_SIGMAS)


def people(*lefts_px: float, side_px: float = 100, confidence: float = 0.9, k: int = 17) -> FramePoses:
    """People of one shape: a square box from each place on, keypoints on its diagonal."""
    if not lefts_px:
        return FramePoses.empty()
    boxes = [(left, 0, left + side_px, side_px) for left in lefts_px]
    steps = np.linspace(0, side_px, k)
    points = [np.stack([left + steps, steps, np.full(k, confidence)], axis=1) for left in lefts_px]
    return FramePoses(np.full(len(boxes), 0.9), np.array(boxes), np.array(points))


def cocos_own(found: np.ndarray, wanted: np.ndarray, visible: np.ndarray, area_px2: float) -> float:
    """The same by pycocotools."""
    evaluation = COCOeval(iouType="keypoints")
    evaluation.params.imgIds, evaluation.params.catIds = [1], [1]
    flat = np.column_stack([wanted, np.where(visible, 2, 0)]).ravel().tolist()
    evaluation._gts[1, 1] = [{"keypoints": flat, "bbox": [0, 0, 1, 1], "area": area_px2}]
    found_flat = np.column_stack([found, np.ones(len(found))]).ravel().tolist()
    evaluation._dts[1, 1] = [{"keypoints": found_flat, "score": 1.0}]
    return float(evaluation.computeOks(1, 1)[0, 0])


@given(poses_xy, poses_xy, seen, st.integers(0, 200_000))
def test_oks_is_what_coco_computes(found: np.ndarray, wanted: np.ndarray, visible: np.ndarray, area_px2: int) -> None:
    assert oks(found, wanted, visible, area_px2, SIGMAS) == pytest.approx(
        cocos_own(found, wanted, visible, area_px2), rel=1e-12, abs=1e-300
    )


def test_oks_by_hand() -> None:
    # One keypoint, sigma 0.05, area 10,000, off by 10 px: exp(-100 / (0.1 ** 2) / 10,000 / 2) = exp(-0.5).
    assert oks([[10, 0]], [[0, 0]], [True], 10_000, [0.05]) == pytest.approx(math.exp(-0.5))
    # The second does not count, however far it is.
    assert oks([[10, 0], [999, 0]], [[0, 0], [0, 0]], [True, False], 10_000, [0.05, 0.05]) == pytest.approx(
        math.exp(-0.5)
    )


@given(poses_xy, poses_xy, seen, st.integers(1, 200_000))
def test_oks_is_within_bounds_and_falls_with_distance(
    found: np.ndarray, wanted: np.ndarray, visible: np.ndarray, area_px2: int
) -> None:
    near = oks((found + wanted) / 2, wanted, visible, area_px2, SIGMAS)
    assert 0 <= oks(found, wanted, visible, area_px2, SIGMAS) <= near <= 1
    assert oks(wanted, wanted, visible, area_px2, SIGMAS) == 1


@pytest.mark.parametrize(
    ("found", "wanted", "visible", "area", "sigmas", "words"),
    [
        ([[0, 0]], [[0, 0], [1, 1]], [True], 1, [1], "one shape"),
        ([[0, 0, 0]], [[0, 0, 0]], [True], 1, [1], "one shape"),
        ([[0, 0]], [[0, 0]], [True, True], 1, [1], "as many sigmas"),
        ([[0, 0]], [[0, 0]], [True], 1, [1, 1], "as many sigmas"),
        ([[0, 0]], [[0, 0]], [False], 1, [1], "no keypoint is visible"),
        ([[0, math.nan]], [[0, 0]], [True], 1, [1], "found_xy must be numbers"),
        ([[0, 0]], [[0, 0]], [True], -1, [1], "must not be negative"),
        ([[0, 0]], [[0, 0]], [True], math.nan, [1], "must not be negative"),
        ([[0, 0]], [[0, 0]], [True], 1, [0], "above zero"),
    ],
)
def test_what_cannot_be_compared_is_refused(found, wanted, visible, area, sigmas, words) -> None:
    with pytest.raises(ValueError, match=words):
        oks(found, wanted, visible, area, sigmas)


def test_the_published_sigmas_are_known_by_count_and_by_names() -> None:
    for count, source in ((17, "COCO"), (21, "COCO-WholeBody hand"), (26, "Halpe"), (133, "COCO-WholeBody")):
        sigmas = sigmas_for(count)
        assert sigmas.shape == (count,)
        assert sigmas_source(count) == source
        assert ((sigmas > 0.006) & (sigmas < 0.108)).all()
    assert (sigmas_for(133)[:17] == sigmas_for(26)[:17]).all()
    assert (sigmas_for(133)[91:112] == sigmas_for(21)).all()
    assert (sigmas_for(133)[112:] == sigmas_for(21)).all()
    assert sigmas_for(17) == pytest.approx(COCOeval(iouType="keypoints").params.kpt_oks_sigmas, rel=1e-12)
    assert (sigmas_for(["nose", *map(str, range(16))]) == sigmas_for(17)).all()


def test_an_unknown_set_gets_one_sigma_and_says_so() -> None:
    for unknown in (19, ["root", *map(str, range(16))]):  # the second is as large as COCO's
        assert sigmas_source(unknown) is None
        assert (sigmas_for(unknown) == 0.05).all()
    with pytest.raises(ValueError, match="there must be keypoints"):
        sigmas_for([])


def test_a_shift_is_measured_to_the_pixel() -> None:
    same = compare_poses(people(3, 503), people(0, 500), SIGMAS)
    assert (same.frames, same.people_found, same.people_wanted, same.matched) == (1, 2, 2, 2)
    assert same.distances_px == pytest.approx([3.0] * 34, abs=1e-4)
    by_hand = np.exp(-9 / (2 * SIGMAS) ** 2 / 10_000 / 2).mean()
    assert same.oks == pytest.approx([by_hand] * 2)


def test_who_is_lost_or_gained_is_told() -> None:
    cases = {
        (people(), people()): (0, 0, 0),
        (people(), people(0, 500)): (0, 2, 0),
        (people(0, 500), people()): (0, 0, 2),
        (people(0), people(0, 500)): (1, 1, 0),
        (people(0, 0), people(0)): (1, 0, 1),  # a double is not matched twice
        (people(0), people(500)): (0, 1, 1),  # another person is not the same one far off
    }
    for (found, wanted), (matched, lost, gained) in cases.items():
        got = compare_poses(found, wanted, SIGMAS)
        assert (got.matched, got.people_lost, got.people_gained) == (matched, lost, gained)


def test_the_most_similar_pair_is_matched_first_whatever_the_order() -> None:
    for lefts in ((8, 1), (1, 8)):
        got = compare_poses(people(*lefts), people(0), SIGMAS)
        assert got.distances_px == pytest.approx([1.0] * 17, abs=1e-4)
    crossed = compare_poses(people(10, 0), people(0, 10), SIGMAS)
    assert crossed.distances_px.max() == 0


def test_keypoints_that_the_wanted_pose_is_unsure_of_do_not_count() -> None:
    wanted = people(0)
    points = wanted.keypoints.copy()
    points[0, 5:, 2] = 0.29
    points[0, 5:, :2] += 4000
    got = compare_poses(people(0), FramePoses(wanted.scores, wanted.boxes_xyxy, points), SIGMAS)
    assert (got.oks.tolist(), got.distances_px.tolist()) == ([1.0], [0.0] * 5)
    everything = compare_poses(
        people(0), FramePoses(wanted.scores, wanted.boxes_xyxy, points), SIGMAS, least_confidence=0.2
    )
    assert everything.matched == 0
    unsure = compare_poses(people(2), people(0, confidence=0.1), SIGMAS)
    assert (unsure.matched, len(unsure.distances_px)) == (1, 0)


def test_a_person_of_no_size_matches_only_the_very_same() -> None:
    assert compare_poses(people(0, side_px=0), people(0, side_px=0), SIGMAS).matched == 1
    assert compare_poses(people(1, side_px=0), people(0, side_px=0), SIGMAS).matched == 0


def test_poses_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(ValueError, match="17 sigmas are not for poses of 26"):
        compare_poses(people(0, k=26), people(0), SIGMAS)
    broken = people(0)
    points = broken.keypoints.copy()
    points[0, 0, 0] = math.nan
    with pytest.raises(ValueError, match="must be numbers"):
        compare_poses(FramePoses(broken.scores, broken.boxes_xyxy, points), people(0), SIGMAS)


@pytest.mark.parametrize(
    "wrong",
    [
        {"frames": -1},
        {"oks": [0.5, 1.1]},
        {"oks": [0.5, math.nan]},
        {"oks": [[0.5]]},
        {"distances_px": [-1.0]},
        {"people_found": 1},
        {"people_wanted": 1},
    ],
)
def test_an_agreement_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    right = {"frames": 1, "people_found": 2, "people_wanted": 2, "oks": [0.5, 0.6], "distances_px": [1.0]}
    kept = Agreement(**right)
    with pytest.raises(ValueError, match="read-only"):
        kept.oks[0] = 1
    with pytest.raises(ValueError, match=r"must|cannot"):
        Agreement(**right | wrong)


counts = st.integers(0, 4)
shifts = st.lists(st.tuples(counts, counts, st.integers(0, 9)), max_size=6)


@given(shifts)
def test_many_frames_come_to_the_sum_of_each(frames: list[tuple[int, int, int]]) -> None:
    parts = [
        compare_poses(people(*(500 * i + by for i in range(f))), people(*(500 * i for i in range(w))), SIGMAS)
        for f, w, by in frames
    ]
    figures = merge_agreements(parts).figures()
    assert figures.frames == len(frames)
    assert figures.people_found == sum(f for f, _, _ in frames)
    assert figures.people_wanted == sum(w for _, w, _ in frames)
    assert figures.people_lost == sum(max(0, w - f) for f, w, _ in frames)
    assert figures.people_gained == sum(max(0, f - w) for f, w, _ in frames)
    offs = [by for f, w, by in frames for _ in range(min(f, w) * 17)]
    if not offs:
        assert figures.px_median is figures.px_p95 is figures.px_max is figures.oks_mean is figures.oks_min is None
        return
    assert (figures.px_median, figures.px_p95, figures.px_max) == pytest.approx(
        (np.median(offs), np.percentile(offs, 95), max(offs)), abs=1e-3
    )
    assert figures.oks_min == pytest.approx(min(part.oks.min() for part in parts if part.matched))
    assert figures.oks_mean == pytest.approx(np.concatenate([part.oks for part in parts]).mean())


def test_the_figures_that_others_publish_stand_in_the_file() -> None:
    assert module.UNIFORM_SIGMA == 0.05
    assert np.mean(COCO_SIGMAS) == pytest.approx(0.067, abs=5e-4)
    assert np.mean(module.WHOLEBODY_SIGMAS) == pytest.approx(0.029, abs=5e-4)
