"""What a model finds in a picture does not depend on what else it is given, when, by whom, or how it lies in memory."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from pipeline.core.model_spec import NetworkSpec
from pipeline.core.poses import FramePoses
from pipeline.core.precision import Precision
from pipeline.inference import pose_model, topdown
from pipeline.inference.catalogue import find_entry
from pipeline.inference.engines.placement import Placement, open_session
from pipeline.inference.pose_model import PoseModel
from pipeline.inference.zoo import find_model, load_model
from tests.support.contract_maker import (
    SPOTS,
    OnGpu,
    Scene,
    assert_found,
    assert_same,
    detect,
    load_twins,
    on_gpu,
    one_stage_scene,
    people_at,
    put_twins,
    two_stage_scene,
)
from tests.support.twin_maker import Mark
from tests.support.twin_yolox import make_yolox_twin

#: Of the 13 by 13 cells of 416: with row padding, the first prior stands for other frames' people, the last for none.
FIRST, LAST = Mark(0, 0, 189, 60), Mark(12, 12, 182, 160)
SIDE_PX = 416


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def rtmo(folder) -> PoseModel:
    return load_twins(folder, "rtmo-t")


@pytest.fixture(scope="module")
def rtmpose(folder) -> PoseModel:
    return load_twins(folder, "rtmpose-s")


@pytest.fixture(scope="module")
def squares() -> list[Scene]:
    """Nobody, one, some, those whose rows pad, and a crowd, for one stage."""
    crowd = [Mark(i % 13, 3 + i // 13, 255 - i, 0) for i in range(40)]
    each = [[FIRST, LAST], [], people_at(SIDE_PX, 1), crowd, people_at(SIDE_PX, 4), [LAST], [], [FIRST]]
    return [one_stage_scene(marks, SIDE_PX, SIDE_PX, SIDE_PX) for marks in each]


@pytest.fixture(scope="module")
def pictures() -> list[Scene]:
    """Of many sizes, with 0 to 4 people, for two stages."""
    sizes = [(520, 390), (416, 416), (390, 416), (640, 600), (416, 400)]
    return [
        two_stage_scene([m for m in people_at(SIDE_PX, count) if m.column < 9], *size, SIDE_PX)
        for size, count in zip(sizes, (2, 0, 4, 3, 1), strict=True)
    ]


def all_at_once(model: PoseModel, scenes: list[Scene], scales: list[float] | None = None) -> list[FramePoses]:
    return model.detect([scene.picture for scene in scenes], scales or [1.0] * len(scenes))


def assert_close(one: list[FramePoses], other: list[FramePoses]) -> None:
    """As a GPU's batches may be: the last bits moved."""
    for a, b in zip(one, other, strict=True):
        assert len(a) == len(b)
        np.testing.assert_allclose(a.scores, b.scores, rtol=0, atol=1e-5)
        np.testing.assert_allclose(a.boxes_xyxy, b.boxes_xyxy, rtol=0, atol=0.01)
        np.testing.assert_allclose(a.keypoints, b.keypoints, rtol=0, atol=0.01)


def test_one_stage_pictures_at_once_are_each_alone(rtmo, squares):
    alone = [rtmo.detect([scene.picture], [1.0])[0] for scene in squares]
    for poses, scene in zip(alone, squares, strict=True):
        assert_found(poses, scene)
    assert_same(all_at_once(rtmo, squares), alone)
    model, session = on_gpu(rtmo)
    assert_close(all_at_once(model, squares), alone)
    assert session.batches[-1] == len(squares)  # it was one batch
    for pair in pairwise(squares):
        assert_close(all_at_once(model, list(pair)), [rtmo.detect([scene.picture], [1.0])[0] for scene in pair])


def test_rows_that_pad_are_there_and_repeat_people(rtmo, squares):
    """Else the test above proves nothing."""
    model, _ = on_gpu(rtmo)
    batch = np.stack([scene.picture for scene in squares]).transpose(0, 3, 1, 2).astype(np.float32)
    dets, _ = model._network.run(batch)
    assert dets.shape[1] == 50
    assert [len(scene.scores) for scene in squares] == [2, 0, 1, 40, 4, 1, 0, 1]
    assert (dets[:, :, 4] > 0.7).sum(axis=1).tolist() == [50, 0, 1, 40, 4, 2, 0, 49]


def test_two_stage_pictures_at_once_are_each_alone(rtmpose, pictures):
    alone = [detect(rtmpose, scene.picture) for scene in pictures]
    for poses, scene in zip(alone, pictures, strict=True):
        assert_found(poses, scene)
    counts = [len(poses) for poses in alone]
    assert counts == [2, 0, 3, 2, 1]
    assert_same(all_at_once(rtmpose, pictures), alone)


@pytest.mark.parametrize(("most", "batches"), [(64, [8]), (3, [3, 3, 2]), (8, [8]), (7, [7, 1]), (1, [1] * 8)])
def test_crops_of_many_pictures_go_through_in_batches(rtmpose, pictures, monkeypatch, most, batches):
    monkeypatch.setattr(topdown, "MAX_BATCH", most)
    model, session = on_gpu(rtmpose)
    session.batches.clear()
    assert_close(all_at_once(model, pictures), [detect(rtmpose, scene.picture) for scene in pictures])
    assert session.batches == batches
    turned = pictures[::-1]
    assert_close(all_at_once(model, turned), [detect(rtmpose, scene.picture) for scene in turned])


@pytest.mark.parametrize("fixed", [1, 3, 8, 16])
def test_a_gpu_sees_batches_of_one_size_alone(rtmo, rtmpose, squares, pictures, fixed):
    """With whole batches and what is left over, with more crops than fit and with fewer."""
    for whole, scenes in ((rtmo, squares), (rtmpose, pictures)):
        model, session = on_gpu(whole)
        model._network.fixed_batch = fixed
        session.batches.clear()
        alone = [detect(whole, scene.picture) for scene in scenes]
        assert_close(all_at_once(model, scenes), alone)
        assert_close([detect(model, scene.picture) for scene in scenes], alone)
        assert set(session.batches) == {fixed}


def test_a_model_is_loaded_onto_a_gpu_held_to_one_size(folder, monkeypatch, pictures):
    put_twins(folder, find_entry("rtmpose-s"))
    found, sessions = find_model("rtmpose-s", folder), []

    def open_on_gpu(path: Path, placement: Placement, spec: NetworkSpec, precision: Precision) -> OnGpu:
        sessions.append(OnGpu(open_session(path, Placement("cpu"), spec, precision)))
        return sessions[-1]

    monkeypatch.setattr(pose_model, "open_session", open_on_gpu)
    model = load_model(found, Placement("cuda"))
    for session in sessions:
        session.batches.clear()
    assert_close(all_at_once(model, pictures), [detect(model, scene.picture) for scene in pictures])
    detector, pose = (set(session.batches) for session in sessions)
    assert detector == {1}
    assert len(pose) == 1


def test_a_processor_poses_one_person_at_a_time(rtmpose, pictures):
    model, session = on_gpu(rtmpose)
    session.device = rtmpose.device
    session.batches.clear()
    assert_same(all_at_once(model, pictures), all_at_once(rtmpose, pictures))
    assert session.batches == [1] * 8


def test_no_pictures_are_no_poses(rtmo, rtmpose):
    for model in (rtmo, rtmpose, on_gpu(rtmo)[0], on_gpu(rtmpose)[0]):
        assert model.detect([], []) == []


@pytest.mark.parametrize("inside", [False, True])
def test_four_threads_are_one(folder, tmp_path, squares, pictures, inside):
    given = make_yolox_twin(tmp_path / "y.onnx", side_px=SIDE_PX, nms_inside=inside)
    models = [load_twins(tmp_path, "rtmpose-s", detector=given), load_twins(tmp_path, "rtmo-t")]
    for model, scenes in zip(models, (pictures, squares), strict=True):
        turns = [scenes[i % len(scenes)] for i in range(24)]
        alone = [all_at_once(model, [scene])[0] for scene in turns]
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(lambda scene, model=model: all_at_once(model, [scene])[0], turns))
        assert_same(together, alone)


def test_pictures_may_be_read_only_and_lie_anyhow(rtmo, rtmpose, squares, pictures):
    for model, scenes in ((rtmo, squares[:3]), (rtmpose, pictures[:3])):
        wanted = all_at_once(model, scenes)
        given = []
        for scene in scenes:
            height, width = scene.picture.shape[:2]
            wide = np.full((height, 2, width + 5, 4), 255, np.uint8)
            view = wide[:, 0, 2 : width + 2, :3]
            view[:] = scene.picture
            view.setflags(write=False)
            given.append(view)
        before = [view.copy() for view in given]
        assert_same(model.detect(given, [1.0] * len(given)), wanted)
        for view, was in zip(given, before, strict=True):
            np.testing.assert_array_equal(view, was)


@pytest.mark.parametrize("scale", [0.25, 0.5, 1.5, 3.0])
def test_poses_are_in_pixels_of_the_frame_before_it_was_scaled(rtmo, rtmpose, squares, pictures, scale):
    for model, scene in ((rtmo, squares[4]), (rtmpose, pictures[2])):
        [poses] = model.detect([scene.picture], [scale])
        assert len(poses) >= 2
        assert_found(poses, scene, scale)


def test_each_picture_has_its_own_scale(rtmo, rtmpose, squares, pictures):
    scales = [0.5, 1.0, 2.0, 0.75, 1.25]
    for model, scenes in ((rtmo, squares[:5]), (rtmpose, pictures), (on_gpu(rtmpose)[0], pictures)):
        for poses, scene, scale in zip(all_at_once(model, scenes, scales), scenes, scales, strict=True):
            assert_found(poses, scene, scale)


@pytest.mark.parametrize("name", ["rtmpose-s", "rtmpose-m", "rtmpose-m-hand"])
@pytest.mark.parametrize(
    ("width", "height"), [(3, 2000), (2000, 3), (1, 1), (1, 5000), (5000, 1), (2, 3), (20, 1500), (1500, 20)]
)
def test_in_pictures_too_narrow_for_anybody_is_nobody(folder, name, width, height):
    picture = np.random.default_rng(1).integers(0, 120, (height, width, 3), np.uint8)
    assert len(detect(load_twins(folder, name), picture)) == 0


@pytest.mark.parametrize("name", ["rtmpose-s", "rtmpose-m"])
@pytest.mark.parametrize(("wide", "high"), [(13, 2), (2, 13), (10, 1), (1, 10), (5, 3)])
def test_narrow_pictures_have_people(folder, name, wide, high):
    model = load_twins(folder, name)
    side_px = model.spec.networks[0].width_px
    times = side_px / 32 / max(wide, high) * 0.9
    width, height = round(wide * 32 * times), round(high * 32 * times)
    scale = min(side_px / width, side_px / height)
    last = Mark(int(width * scale / 32) - 1, int(height * scale / 32) - 1, 190, 100)
    scene = one_stage_scene([Mark(0, 0, 185, 60), last], width, height, side_px)
    poses = detect(model, scene.picture)
    np.testing.assert_allclose(poses.boxes_xyxy, scene.boxes_xyxy, atol=0.01)
    np.testing.assert_allclose(poses.scores, scene.scores, atol=0.01)
    assert np.isfinite(poses.keypoints).all()


def test_a_batch_may_hold_more_people_than_fit_in_one_call(rtmpose):
    marks = [Mark(*spot, 190 - i, 160) for i, spot in enumerate(SPOTS[SIDE_PX])]
    scenes = [two_stage_scene(marks, 416, 416, SIDE_PX)] * 18
    model, session = on_gpu(rtmpose)
    session.batches.clear()
    for poses in all_at_once(model, scenes):
        assert_found(poses, scenes[0])
    assert session.batches == [64, 8]
