"""Networks that do not keep their contract are refused in one line, at once where that can be seen at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pipeline.errors import InvalidOutput, InvalidWeights
from pipeline.inference.engines.placement import Placement
from pipeline.inference.pose_model import PoseModel
from pipeline.inference.zoo import FoundModel, find_model, load_model
from tests.support.contract_maker import detect, load_twins, one_stage_scene, people_at, two_stage_scene
from tests.support.onnx_maker import make_model
from tests.support.twin_rtmo import make_rtmo_twin
from tests.support.twin_simcc import make_simcc_twin
from tests.support.twin_yolox import make_rtmdet_twin, make_yolox_twin

NAMES = {"rtmo": ("rtmo-t", "pose"), "yolox": ("rtmpose-s", "detector"), "raw": ("rtmpose-s", "detector")}
NAMES |= {"rtmdet": ("rtmpose-m-hand", "detector"), "simcc": ("rtmpose-s", "pose")}


def twin(path: Path, kind: str) -> Path:
    match kind:
        case "rtmo":
            return make_rtmo_twin(path, side_px=416)
        case "rtmdet":
            return make_rtmdet_twin(path)
        case "simcc":
            return make_simcc_twin(path, width_px=192, height_px=256, keypoints=17)
        case _:
            return make_yolox_twin(path, side_px=416, nms_inside=kind == "yolox")


def refused(folder: Path, kind: str, given: Path) -> str:
    name, where = NAMES[kind]
    with pytest.raises(InvalidWeights) as caught:
        load_twins(folder / "models", name, **{where: given})
    assert "\n" not in caught.value.message
    return caught.value.message


def changed(path: Path, kind: str, change: Callable[[onnx.ModelProto], None]) -> Path:
    model = onnx.load(twin(path, kind))
    change(model)
    onnx.save(model, path)
    return path


def renamed(old: str, new: str) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        for node in model.graph.node:
            for names in (node.input, node.output):
                names[:] = [new if name == old else name for name in names]
        for port in (*model.graph.input, *model.graph.output):
            port.name = new if port.name == old else port.name

    return change


def float16_input(model: onnx.ModelProto) -> None:
    renamed("input", "wide")(model)
    model.graph.input[0].name = "input"
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    model.graph.node.insert(0, helper.make_node("Cast", ["input"], ["wide"], to=TensorProto.FLOAT))


def second_input(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("sizes", TensorProto.FLOAT, ["batch", 2]))


def batch_of_two(model: onnx.ModelProto) -> None:
    for port in (*model.graph.input, *model.graph.output):
        port.type.tensor_type.shape.dim[0].dim_value = 2


def without(*outputs: str) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        kept = [port for port in model.graph.output if port.name not in outputs]
        del model.graph.output[:]
        model.graph.output.extend(kept)

    return change


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (float16_input, "input of another type"),
        (second_input, "it takes input float32 [?, 3, "),
        (renamed("input", "images"), "it takes images float32"),
        (batch_of_two, "input float32 [2, 3, "),
    ],
    ids=["float16", "two inputs", "other name", "batch of two"],
)
def test_other_inputs_are_refused(tmp_path, kind, change, says):
    message = refused(tmp_path, kind, changed(tmp_path / "x.onnx", kind, change))
    assert says in message
    assert "contract" in message
    assert "not one `input` of float32 [batch, 3, " in message


@pytest.mark.parametrize(
    ("kind", "change", "says"),
    [
        ("rtmo", without("keypoints"), "gives dets, not dets and keypoints"),
        ("rtmo", renamed("dets", "boxes"), "gives boxes, keypoints, not dets and keypoints"),
        ("simcc", without("simcc_y"), "gives simcc_x, not simcc_x and simcc_y"),
        ("simcc", renamed("simcc_x", "x"), "gives simcc_y, x, not simcc_x and simcc_y"),
        ("yolox", renamed("labels", "classes"), "gives classes, dets, not dets and labels"),
        ("rtmdet", renamed("labels", "classes"), "gives classes, dets, not dets and labels"),
        ("yolox", without("dets"), "it gave labels [1, 1] for 1 images of 416 x 416"),
    ],
)
def test_other_outputs_are_refused(tmp_path, kind, change, says):
    assert says in refused(tmp_path, kind, changed(tmp_path / "x.onnx", kind, change))


def test_one_output_with_boxes_alone_is_enough_for_a_detector_of_one_class(tmp_path):
    given = changed(tmp_path / "x.onnx", "yolox", without("labels"))
    scene = two_stage_scene(people_at(416, 2), 416, 416, 416)
    assert len(detect(load_twins(tmp_path / "models", "rtmpose-s", detector=given), scene.picture)) == 2


@pytest.mark.parametrize("split", [1.0, 2.5, 4.0])
def test_simcc_of_another_split_is_refused(tmp_path, split):
    given = make_simcc_twin(tmp_path / "x.onnx", width_px=192, height_px=256, keypoints=17, split=split)
    wide, high = round(192 * split), round(256 * split)
    message = refused(tmp_path, "simcc", given)
    assert f"it gave simcc_x [1, 17, {wide}] and simcc_y [1, 17, {high}] for 1 images of 192 x 256" in message
    assert "RTMPose's contract" in message


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("rtmo", lambda path: make_rtmo_twin(path, side_px=640)),
        ("yolox", lambda path: make_yolox_twin(path, side_px=640, nms_inside=True)),
        ("raw", lambda path: make_yolox_twin(path, side_px=640, nms_inside=False)),
        ("rtmdet", lambda path: make_rtmdet_twin(path, side_px=640)),
        ("simcc", lambda path: make_simcc_twin(path, width_px=256, height_px=192, keypoints=17)),
    ],
)
def test_a_network_of_another_size_is_refused(tmp_path, kind, given):
    assert "with a free batch" in refused(tmp_path, kind, given(tmp_path / "x.onnx"))


def test_a_yolox_with_another_grid_is_refused(tmp_path):
    def fewer_rows(model: onnx.ModelProto) -> None:
        renamed("output", "all_rows")(model)
        model.graph.output[0].name = "output"
        model.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "rows"
        for name, value in (("from", 0), ("to", 3380), ("axis", 1)):  # without the coarsest stride
            model.graph.initializer.append(helper.make_tensor(name, TensorProto.INT64, [1], [value]))
        model.graph.node.append(helper.make_node("Slice", ["all_rows", "from", "to", "axis"], ["output"]))

    message = refused(tmp_path, "raw", changed(tmp_path / "x.onnx", "raw", fewer_rows))
    assert "does not follow YOLOX's contract: it gave output [1, 3380, 6] for 1 images of 416 x 416" in message


@pytest.mark.parametrize(("kind", "count"), [("rtmo", 26), ("rtmo", 5), ("simcc", 26), ("simcc", 133)])
def test_another_number_of_keypoints_is_refused_before_the_first_frame(tmp_path, kind, count):
    given = tmp_path / "x.onnx"
    if kind == "rtmo":
        make_rtmo_twin(given, side_px=416, keypoints=count)
    else:
        make_simcc_twin(given, width_px=192, height_px=256, keypoints=count)
    message = refused(tmp_path, kind, given)
    assert f"{count} keypoints a person, not 17" in message


def nan_from(output: str, red: float, column: slice = slice(None)) -> Callable[[onnx.ModelProto], None]:
    """Not a number in columns of an output, wherever a pixel of the picture is that red, before it is normalised."""

    def change(model: onnx.ModelProto) -> None:
        renamed(output, "whole")(model)
        for port in model.graph.output:
            port.name = output if port.name == "whole" else port.name
        dims = next(p for p in model.graph.output if p.name == output).type.tensor_type.shape.dim
        last = dims[-1].dim_value
        where = np.zeros(last, bool)
        where[column] = True
        constants = {"red": np.float32(red), "nan": np.float32("nan"), "where": where}
        for name, value in constants.items():
            model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value), name))
        model.graph.node.extend(
            [
                helper.make_node("ReduceMax", ["input"], ["brightest"], keepdims=0),
                helper.make_node("Greater", ["brightest", "red"], ["bright"]),
                helper.make_node("And", ["bright", "where"], ["spoilt"]),
                helper.make_node("Where", ["spoilt", "nan", "whole"], [output]),
            ]
        )

    return change


def broken(tmp_path: Path, kind: str, change: Callable[[onnx.ModelProto], None]) -> tuple[PoseModel, np.ndarray]:
    name, where = NAMES[kind]
    model = load_twins(tmp_path / "models", name, **{where: changed(tmp_path / "x.onnx", kind, change)})
    side_px = 320 if kind == "rtmdet" else 416
    make = one_stage_scene if kind == "rtmo" else two_stage_scene
    return model, make(people_at(side_px, 2), side_px, side_px, side_px).picture


@pytest.mark.parametrize(
    ("kind", "output", "red", "column"),
    [
        ("rtmo", "dets", 150, slice(4, 5)),
        ("rtmo", "dets", 150, slice(0, 1)),
        ("rtmo", "keypoints", 150, slice(0, 1)),
        ("rtmo", "keypoints", 150, slice(2, 3)),
        ("yolox", "dets", 150, slice(4, 5)),
        ("yolox", "dets", 150, slice(3, 4)),
        ("raw", "output", 150, slice(5, 6)),
        ("raw", "output", 150, slice(0, 1)),
        ("rtmdet", "dets", 0.5, slice(4, 5)),
        ("simcc", "simcc_x", 1.0, slice(7, 8)),
        ("simcc", "simcc_y", 1.0, slice(None)),
    ],
)
def test_outputs_that_are_not_numbers_are_no_poses(tmp_path, kind, output, red, column):
    model, picture = broken(tmp_path, kind, nan_from(output, red, column))
    with pytest.raises(InvalidOutput, match="not numbers") as caught:
        detect(model, picture)
    assert "\n" not in caught.value.message
    assert len(detect(model, np.full_like(picture, 40))) == 0  # the next frame is another matter


@pytest.mark.parametrize("kind", NAMES)
def test_a_network_that_never_gives_numbers_is_refused_at_once(tmp_path, kind):
    output = {"rtmo": "dets", "raw": "output", "simcc": "simcc_x"}.get(kind, "dets")
    given = changed(tmp_path / "x.onnx", kind, nan_from(output, -10))
    assert "not numbers" in refused(tmp_path, kind, given)


@pytest.mark.parametrize(("kind", "output"), [("simcc", "simcc_x"), ("rtmdet", "dets")])
def test_what_a_network_is_tried_with_is_normalised(tmp_path, kind, output):
    """114 would be a hundred deviations off, more than a network with half precision need bear."""
    model, picture = broken(tmp_path, kind, nan_from(output, 3.0))
    assert len(detect(model, picture)) == 2


@pytest.mark.parametrize("width", [88.0, 1000.0])
def test_a_size_beyond_all_numbers_is_no_box(tmp_path, width):
    """A raw YOLOX gives logarithms; e to the power of these is no float32."""

    def enormous(model: onnx.ModelProto) -> None:
        nan_from("output", 150, slice(2, 4))(model)
        for constant in model.graph.initializer:
            if constant.name == "nan":
                constant.CopyFrom(onnx.numpy_helper.from_array(np.float32(width), "nan"))

    model, picture = broken(tmp_path, "raw", enormous)
    with pytest.raises(InvalidOutput, match="not numbers"):
        detect(model, picture)


def test_no_numbers_are_said_of_the_model_whatever_its_file_is_called(tmp_path):
    path = make_model(tmp_path / "dazzled.onnx", side_px=64, dazzled=True)
    found = find_model(str(path), tmp_path)
    kept = path.rename(tmp_path / f"{found.spec.pose.weights_sha256}.onnx")
    model = load_model(FoundModel(found.spec, {found.spec.pose.weights_sha256: kept}), Placement("cpu"))
    with pytest.raises(InvalidOutput, match=r"^dazzled gave scores or boxes that are not numbers"):
        model.detect([np.full((64, 64, 3), 255, np.uint8)], [1.0])
