"""The twins have the published contracts, and rtmlib's own RTMO, YOLOX and RTMDet read them as their pictures say.

Nothing of Poseline's own decoders is used here, so they can be held against the twins.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from rtmlib import RTMO, YOLOX, RTMDet

from tests.support.twin_maker import CELL_PX, NOBODY, OTHER_CLASS, Mark, expected, paint
from tests.support.twin_rtmo import make_rtmo_twin
from tests.support.twin_simcc import make_simcc_twin
from tests.support.twin_yolox import RTMDET_MEAN_BGR, RTMDET_STD_BGR, make_rtmdet_twin, make_yolox_twin

SIZES = [(1280, 720), (1080, 1920), (640, 640), (500, 375), (853, 480)]
#: Best first; all strides have some. Nobody is a person where red and blue are swapped.
MARKS = [Mark(3, 2, 191, 30), Mark(8, 5, 189, 160, 200), Mark(1, 6, 186, 90), Mark(6, 1, 183, 60)]
DOG = Mark(4, 4, 235, 60, 150)
FAINT = Mark(9, 3, 20)
#: Input size (width, height) and keypoints of the published networks.
SIMCC = [((192, 256), 17), ((288, 384), 26), ((288, 384), 133), ((256, 256), 21)]


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    at = tmp_path_factory.mktemp("twins")
    made = {f"rtmo{side}": make_rtmo_twin(at / f"rtmo{side}.onnx", side_px=side) for side in (416, 640)}
    for classes in (1, 80):
        for inside in (False, True):
            name = f"yolox{classes}{'nms' if inside else ''}"
            made[name] = make_yolox_twin(at / f"{name}.onnx", side_px=416, nms_inside=inside, classes=classes)
    made["fixed"] = make_yolox_twin(at / "fixed.onnx", side_px=640, nms_inside=True, batch=1)
    made["rtmdet"] = make_rtmdet_twin(at / "rtmdet.onnx")
    for (width, height), keypoints in SIMCC:
        name = f"simcc{keypoints}"
        made[name] = make_simcc_twin(at / f"{name}.onnx", width_px=width, height_px=height, keypoints=keypoints)
    return made


def open_twin(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run_squares(path: Path, *squares: np.ndarray) -> list[np.ndarray]:
    batch = np.stack(squares).transpose(0, 3, 1, 2).astype(np.float32)
    return open_twin(path).run(None, {"input": batch})


@pytest.mark.parametrize(
    ("name", "side", "outputs"),
    [
        ("rtmo416", (416, 416), {"dets": ["batch", "people", 5], "keypoints": ["batch", "people", 17, 3]}),
        ("rtmo640", (640, 640), {"dets": ["batch", "people", 5], "keypoints": ["batch", "people", 17, 3]}),
        ("yolox1", (416, 416), {"output": ["batch", 3549, 6]}),
        ("yolox80", (416, 416), {"output": ["batch", 3549, 85]}),
        ("yolox80nms", (416, 416), {"dets": ["batch", "found", 5], "labels": ["batch", "found"]}),
        ("rtmdet", (320, 320), {"dets": ["batch", "found", 5], "labels": ["batch", "found"]}),
        ("simcc17", (256, 192), {"simcc_x": ["batch", 17, 384], "simcc_y": ["batch", 17, 512]}),
        ("simcc26", (384, 288), {"simcc_x": ["batch", 26, 576], "simcc_y": ["batch", 26, 768]}),
        ("simcc133", (384, 288), {"simcc_x": ["batch", 133, 576], "simcc_y": ["batch", 133, 768]}),
        ("simcc21", (256, 256), {"simcc_x": ["batch", 21, 512], "simcc_y": ["batch", 21, 512]}),
    ],
)
def test_contracts_are_the_published_ones(files, name, side, outputs):
    model = onnx.load(files[name])
    onnx.checker.check_model(model, full_check=True)
    assert (model.ir_version, model.opset_import[0].version) == (9, 17)
    session = open_twin(files[name])
    (taken,) = session.get_inputs()
    assert (taken.name, taken.type, taken.shape) == ("input", "tensor(float)", ["batch", 3, *side])
    assert {out.name: out.shape for out in session.get_outputs()} == outputs
    kinds = {out.name: out.type for out in session.get_outputs()}
    assert kinds.pop("labels", "tensor(int64)") == "tensor(int64)"
    assert set(kinds.values()) == {"tensor(float)"}
    for count in (1, 3):
        got = session.run(None, {"input": np.zeros((count, 3, *side), np.float32)})
        assert [len(array) for array in got] == [count] * len(outputs)


@pytest.mark.parametrize("side", [416, 640])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_rtmlib_reads_an_rtmo_twin_as_painted(files, side, width, height):
    model = RTMO(str(files[f"rtmo{side}"]), (side, side))
    marks = [m for m in MARKS if (m.row + 1) * CELL_PX <= height * side / max(width, height)]
    marks = [m for m in marks if (m.column + 1) * CELL_PX <= width * side / max(width, height)]
    picture = paint([*marks, DOG, FAINT] if width == height else marks, width, height, side)
    keypoints, seen = model(picture)
    _, _, wanted = expected(marks, width, height, side)
    assert len(keypoints) == len(marks) >= 2
    np.testing.assert_allclose(keypoints, wanted[..., :2], atol=0.01)
    np.testing.assert_allclose(seen, wanted[..., 2], atol=1e-5)


def test_an_rtmo_twin_sees_wrong_colours_and_wrong_letterboxes(files):
    picture = paint(MARKS, 416, 234, 416)
    square = np.full((416, 416, 3), 114, np.uint8)
    right, centred = square.copy(), square.copy()
    right[:234], centred[91:325] = picture, picture
    wanted = expected(MARKS, 416, 234, 416)[1]
    dets, _ = run_squares(files["rtmo416"], right)
    np.testing.assert_allclose(dets[0, :4, :4], wanted, atol=1e-4)
    assert run_squares(files["rtmo416"], right[..., ::-1])[0].shape == (1, 1, 5)
    for wrong in (centred, right[:, ::-1], right[::-1], right.transpose(1, 0, 2)):
        dets, _ = run_squares(files["rtmo416"], wrong)
        assert dets.shape[1] != 5 or np.abs(dets[0, :4, :4] - wanted).max() > CELL_PX / 2
    swapped = [Mark(3, 2, 250, 30, 200)]  # Still somebody with the colours swapped, but another.
    scores = [
        run_squares(files["rtmo416"], p)[0][0, 0, 4]
        for p in (paint(swapped, 416, 416, 416), paint(swapped, 416, 416, 416)[..., ::-1])
    ]
    np.testing.assert_allclose(scores, [250 / 255, 200 / 255], rtol=1e-5)


def test_scores_and_boxes_of_rtmo(files):
    marks = [*MARKS, Mark(10, 10, 90), FAINT]
    dets, keypoints = run_squares(files["rtmo416"], paint(marks, 416, 416, 416))
    scores, boxes, poses = expected(marks, 416, 416, 416)
    assert len(scores) + 1 == dets.shape[1] == 6  # the faint one is below 0.1, the network's own threshold
    np.testing.assert_allclose(dets[0, :5], np.column_stack([boxes, scores]), atol=1e-4)
    np.testing.assert_allclose(keypoints[0, :5], poses, atol=1e-4)


def test_rows_that_pad_a_batch_are_real_priors_with_real_scores(files):
    first, last = Mark(0, 0, 200, 60), Mark(12, 12, 180, 160)
    crowd, corners, empty = (paint(marks, 416, 416, 416) for marks in (MARKS, [first, last], []))
    dets, keypoints = run_squares(files["rtmo416"], crowd, corners, empty)
    assert dets.shape == (3, 4 + 2 + 1, 5)  # all people of the batch, and one row
    alone, poses = run_squares(files["rtmo416"], corners)
    assert alone.shape == (1, 3, 5)
    # Its own two, then its first prior for each of the four others, then its last prior: both people again.
    np.testing.assert_array_equal(dets[1], alone[0][[0, 1, 0, 0, 0, 0, 1]])
    np.testing.assert_array_equal(keypoints[1], poses[0][[0, 1, 0, 0, 0, 0, 1]])
    np.testing.assert_array_equal(alone[0, 2], alone[0, 1])
    # Nobody: a low prior again and again, with the score that its pixels have.
    low = NOBODY * empty[16, 16, 2] / 255
    np.testing.assert_allclose(dets[2, :, 4], low, rtol=1e-5)
    assert len(np.unique(dets[2, :6], axis=0)) == 1
    assert len(np.unique(dets[2], axis=0)) == 2
    np.testing.assert_allclose(dets[0, :4, 4], [m.red / 255 for m in MARKS], rtol=1e-6)


@pytest.mark.parametrize("people", [49, 50, 60])
def test_rtmo_gives_fifty_rows_at_most_and_the_best(files, people):
    marks = [Mark(i % 13, i // 13, 255 - i, 0) for i in range(people)]
    dets, keypoints = run_squares(files["rtmo416"], paint(marks, 416, 416, 416))
    assert dets.shape == (1, 50, 5)
    assert keypoints.shape == (1, 50, 17, 3)
    kept = min(people, 50)
    np.testing.assert_allclose(dets[0, :kept, 4], expected(marks, 416, 416, 416)[0][:kept], rtol=1e-6)


def test_rtmo_drops_who_overlaps_inside_the_network(files):
    near = [Mark(5, 5, 190, 255), Mark(5, 6, 185, 255)]  # of an IoU of 0.74
    dets, _ = run_squares(files["rtmo416"], paint(near, 416, 416, 416))
    np.testing.assert_allclose(dets[0, :1, :4], expected(near, 416, 416, 416)[1][:1], atol=1e-4)
    assert dets.shape[1] == 2
    beside = [Mark(5, 5, 190, 255), Mark(6, 5, 185, 255)]  # of 0.63: both come out, and rtmlib's own NMS drops one
    picture = paint(beside, 416, 416, 416)
    assert run_squares(files["rtmo416"], picture)[0].shape[1] == 3
    assert len(RTMO(str(files["rtmo416"]), (416, 416))(picture)[0]) == 1


@pytest.mark.parametrize("name", ["yolox1", "yolox80", "yolox1nms", "yolox80nms", "rtmdet"])
@pytest.mark.parametrize(("width", "height"), [(416, 416), (1000, 1000), (900, 800)])
def test_rtmlib_reads_a_detector_twin_as_painted(files, name, width, height):
    side = 320 if name == "rtmdet" else 416
    model = (RTMDet if name == "rtmdet" else YOLOX)(str(files[name]), (side, side))
    picture = paint([*MARKS, FAINT], width, height, side)
    boxes = model(picture)
    np.testing.assert_allclose(boxes, expected(MARKS, width, height, side)[1], atol=0.01, rtol=1e-5)
    assert not len(model(paint([], width, height, side)))
    if "80" not in name:  # rtmlib takes the dogs that they are for people
        assert not len(model(np.ascontiguousarray(picture[..., ::-1])))


@pytest.mark.parametrize(("name", "kind"), [("yolox1", 0), ("yolox80", 0), ("yolox80", OTHER_CLASS)])
def test_objectness_and_class_score_are_both_needed(files, name, kind):
    mark = Mark(4, 4, 120, 60, 240 if kind == 0 else 150)
    (grid,) = run_squares(files[name], paint([mark], 416, 416, 416))
    scores = grid[0, :, 4:5] * grid[0, :, 5:]
    assert np.unravel_index(scores.argmax(), scores.shape)[1] == kind
    assert (scores > 0.01).sum() == 1
    best = grid[0, scores.max(axis=1).argmax()]
    np.testing.assert_allclose(best[[4, 5 + kind]], np.sqrt(120 / 255), rtol=1e-5)
    assert (grid[0, :, 5:].max(axis=1) > 0.5).sum() > 1  # the other priors of the mark


def test_rows_that_pad_a_batch_of_detections_are_zero(files):
    crowd, dog, empty = (paint(marks, 416, 416, 416) for marks in (MARKS, [DOG], []))
    dets, labels = run_squares(files["yolox80nms"], crowd, dog, empty)
    assert dets.shape == (3, 6, 5)
    np.testing.assert_allclose(dets[0, :4, 4], [m.red / 255 for m in MARKS], rtol=1e-5)
    assert labels[0].tolist() == [0, 0, 0, 0, -1, 0]
    assert labels[1].tolist() == [OTHER_CLASS, -1, -1, -1, -1, 0]
    assert not dets[1, 1:].any()
    assert not dets[2].any()
    assert run_squares(files["yolox1nms"], dog)[0].shape == (1, 1, 5)


@pytest.mark.parametrize(("name", "side", "reds"), [("yolox80nms", 416, (4, 2)), ("rtmdet", 320, (14, 11))])
def test_a_detectors_own_threshold_is_low(files, name, side, reds):
    """0.01 for YOLOX and 0.05 for RTMDet, so one of two comes out."""
    square = paint([Mark(3, 3, reds[0]), Mark(6, 6, reds[1])], side, side, side)
    if name == "rtmdet":
        square = (square - RTMDET_MEAN_BGR) / RTMDET_STD_BGR
    scores = run_squares(files[name], square)[0][0, :, 4]
    np.testing.assert_allclose(scores, [reds[0] / 255, 0], atol=1e-5)


def test_a_detector_can_be_of_one_frame_at_a_time(files):
    session = open_twin(files["fixed"])
    assert session.get_inputs()[0].shape == [1, 3, 640, 640]
    dets, labels = session.run(None, {"input": np.zeros((1, 3, 640, 640), np.float32)})
    assert (dets.shape, labels.tolist()) == ((1, 1, 5), [[0]])


def test_rtmdet_needs_its_own_mean_and_deviation(files):
    square = paint(MARKS, 320, 320, 320)
    model = RTMDet(str(files["rtmdet"]), (320, 320))
    wrong = [
        RTMDet(str(files["rtmdet"]), (320, 320), mean=model.mean[::-1], std=model.std[::-1]),
        RTMDet(str(files["rtmdet"]), (320, 320), mean=None, std=None),
    ]
    scores = [one.inference(one.preprocess(square)[0])[0][0, :, 4] for one in (model, *wrong)]
    np.testing.assert_allclose(scores[0][:4], [m.red / 255 for m in MARKS], atol=1e-5)
    assert abs(scores[1][0] - scores[0][0]) > 0.05
    assert len(scores[2]) != len(scores[0]) or abs(scores[2][0] - scores[0][0]) > 0.05
