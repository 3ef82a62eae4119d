"""Images with a number of people, the stand-in of a two-stage model, and the picture of both curves."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.bench.figures import BenchFailed
from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.inference.engines.placement import Placement
from pipeline.inference.zoo import FoundModel, find_model, load_model
from tests.benchmarks.crowd import cut_out_best, make_crowd
from tests.benchmarks.people import Curve, people_figures
from tests.benchmarks.plot import draw_people
from tests.benchmarks.sample_videos import make_clip
from tests.benchmarks.stand_in import DETECTOR_MACS, POSE_MACS, TITLE, build_stand_in
from tests.support.paths import DEMO_CLIP


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_model(find_model(BUNDLED_MODEL, tmp_path_factory.mktemp("models")), Placement("cpu"))


@pytest.mark.parametrize("count", [1, 2, 6, 15, 30])
def test_a_crowd_is_side_by_side(count):
    crowd = make_crowd(np.zeros((90, 60, 3), np.uint8), count, 384)
    assert crowd.boxes_xyxy.shape == (count, 4)
    covered = np.zeros((384, 384), int)
    for x1, y1, x2, y2 in crowd.boxes_xyxy.astype(int):
        covered[y1:y2, x1:x2] += 1
    assert covered.max() == 1
    assert (covered == (crowd.image == 0).all(axis=2)).all()
    assert set(np.unique(crowd.image)) <= {0, 114}


def test_the_bundled_model_finds_them_all(model):
    person = cut_out_best(model, DEMO_CLIP, 175)
    for count in (1, 6, 15, 30):
        assert len(model.detect([make_crowd(person, count, 384).image], [1.0])[0]) == count


def test_a_clip_without_people_has_no_person_to_cut_out(model, tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", width=160, height=90, frames=2)
    with pytest.raises(BenchFailed, match="found no person in the clip"):
        cut_out_best(model, clip, 1)


def test_the_stand_in_does_the_published_arithmetic_and_finds_the_given_people(tmp_path):
    boxes = np.array([[10, 20, 110, 220], [200, 20, 300, 220]], np.float32)
    made = build_stand_in(tmp_path, boxes)
    assert made.detector_macs == pytest.approx(DETECTOR_MACS, rel=0.02)
    assert made.pose_macs == pytest.approx(POSE_MACS, rel=0.02)
    model = load_model(FoundModel(made.spec, made.paths), Placement("cpu"))
    people = model.detect([np.full((416, 416, 3), 114, np.uint8)], [1.0])[0]
    assert np.abs(people.boxes_xyxy - boxes).max() < 1e-3
    assert people.keypoints.shape == (2, 17, 3)
    assert len(made.paths) == 2


def curves(is_stand_in=True):
    single = Curve("movenet", [{1: 60.0, 30: 61.0}], {1: 1, 30: 30})
    double = Curve(TITLE if is_stand_in else "rtmpose-s", [{1: 80.0, 30: 500.0}], {1: 1, 30: 30})
    return people_figures(single, double, (1, 30), is_stand_in=is_stand_in)


def test_the_same_figures_give_the_same_picture(tmp_path):
    pictures = [draw_people(curves(), tmp_path / f"{number}.svg").read_bytes() for number in range(2)]
    assert pictures[0] == pictures[1]
    assert draw_people(curves(is_stand_in=False), tmp_path / "other.svg").read_bytes() != pictures[0]
