"""Small ONNX graphs with RTMO's contract, or with one thing about it broken."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

#: One person in the middle, 17 keypoints on its box's diagonal.
ONE_PERSON = np.array([[10, 20, 110, 220, 0.9]], np.float32)


def make_model(
    path: Path,
    *,
    side_px: int = 416,
    input_name: str = "input",
    input_shape: Sequence[int | str] | None = None,
    input_type: int = TensorProto.FLOAT,
    output_names: Sequence[str] = ("dets", "keypoints"),
    dets: np.ndarray = ONE_PERSON,
    keypoints: int = 17,
    dazzled: bool = False,
) -> Path:
    """A graph that sees the same people, dets float32 `[K, c]`, in every frame of any batch, and scores them by the
    frame's first pixel: 0 keeps the score, each count of blue takes 1/255 away.

    Args:
        dazzled: it gives no numbers for frames with a value above 150.
    """
    rows = len(dets)
    steps = np.linspace(0, 1, keypoints, dtype=np.float32)[None, :, None]
    places = dets[:, None, :2] + steps * (dets[:, None, 2:4] - dets[:, None, :2])
    points = np.concatenate([places, np.full((rows, keypoints, 1), 0.5, np.float32)], axis=2)
    fade = np.zeros((1, 1, dets.shape[1]), np.float32)
    fade[..., -1] = -1 / 255
    constants = {
        "people": dets[None].astype(np.float32),
        "points": points[None].astype(np.float32),
        "fade": fade,
        "one": np.array([1], np.int64),
        "zero3": np.zeros(3, np.int64),
        "ones3": np.ones(3, np.int64),
        "axes3": np.array([1, 2, 3], np.int64),
        "axis3": np.array([3], np.int64),
        "none": np.array([0], np.float32),
        "bright": np.array([150], np.float32),
    }
    nodes = [
        helper.make_node("Slice", [input_name, "zero3", "ones3", "axes3"], ["pixel_raw"]),
        helper.make_node("Cast", ["pixel_raw"], ["pixel"], to=TensorProto.FLOAT),
        helper.make_node("Squeeze", ["pixel", "axis3"], ["blue"]),
        helper.make_node("Mul", ["blue", "fade"], ["faded"]),
        helper.make_node("Add", ["people", "faded"], ["scored" if dazzled else output_names[0]]),
        helper.make_node("Mul", ["pixel", "none"], ["nothing"]),
        helper.make_node("Add", ["points", "nothing"], list(output_names[1:2]) or ["unused"]),
    ]
    if dazzled:
        nodes += [
            helper.make_node("ReduceMax", [input_name], ["brightest"], axes=[1, 2, 3], keepdims=0),
            helper.make_node("Sub", ["bright", "brightest"], ["below"]),
            helper.make_node("Sqrt", ["below"], ["root"]),
            helper.make_node("Mul", ["root", "none"], ["no_number"]),
            helper.make_node("Add", ["scored", "no_number"], [output_names[0]]),
        ]
    shapes = (["batch", rows, dets.shape[1]], ["batch", rows, keypoints, 3])
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in zip(output_names, shapes, strict=False)
    ]
    shape = list(input_shape or ["batch", 3, side_px, side_px])
    graph = helper.make_graph(
        nodes,
        "people",
        [helper.make_tensor_value_info(input_name, input_type, shape)],
        outputs,
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    save(model, path)
    return path
