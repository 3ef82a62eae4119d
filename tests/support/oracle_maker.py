"""The oracle: a network with RTMO's contract whose one person tells the number painted on the frame's own pixels.

So what lies in the database at the end proves which picture was analysed for which frame: a lost, doubled or foreign
frame shows itself, and so does one that was turned, mirrored or scaled wrongly.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, TensorProto, helper, numpy_helper, save

from tests.support.video_maker import COLUMNS, cells

#: Of the pictures that it reads unless others are named, lying (width, height) or standing.
LYING = (160, 96)
SCORE = 0.9
_GREY = 114

Floats = npt.NDArray[np.float32]


def make_oracle(
    path: Path,
    *,
    side_px: int = 416,
    confidence: float = 1.0,
    blind_to: int | None = None,
    shape: tuple[int, int] = LYING,
) -> Path:
    """A graph that takes pictures of `shape`, or its reverse, letterboxed into squares.

    It is sure of each keypoint by `confidence`, and sees nobody in pictures whose number has the bit `blind_to` set;
    the highest bit is 0.

    The person's box is the picture. Keypoint i is beside the middle of the board's square i, a quarter of a square to
    the right where its bit is set and to the left where not; keypoint 16 is the picture's lower right corner.
    """
    inner_px = side_px * min(shape) // max(shape)
    constants: dict[str, np.ndarray] = {
        "flat": np.array([0, side_px * side_px], np.int64),
        "lower_left": np.array([(side_px - 1) * side_px], np.int64),
        "grey": np.array(_GREY, np.float32),
        "half": np.array(0.5, np.float32),
        "middle": np.array(127, np.float32),
        "one_a_frame": np.array([0, 1, 1, 1], np.int64),
        "bits_in_rows": np.array([0, 1, 16, 1], np.int64),
        "one_row_more": np.array([0, 0, 0, 0, 0, 0, 1, 0], np.int64),
        "one_box": np.array([0, 1, 5], np.int64),
    }
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["means"], axes=[1], keepdims=0),
        helper.make_node("Reshape", ["means", "flat"], ["pixels"]),
        # Below a lying picture is the letterbox's grey, which no picture has.
        helper.make_node("Gather", ["pixels", "lower_left"], ["below"], axis=1),
        helper.make_node("Sub", ["below", "grey"], ["off_grey"]),
        helper.make_node("Abs", ["off_grey"], ["distance"]),
        helper.make_node("Less", ["distance", "half"], ["is_grey"]),
        helper.make_node("Reshape", ["is_grey", "one_a_frame"], ["lying"]),
    ]
    for name, width, height in (("lying", side_px, inner_px), ("standing", inner_px, side_px)):
        at, places, steps, box = _layout(width, height, side_px)
        places[..., 2] = confidence
        values = (("at", at), ("places", places), ("steps", steps), ("box", box))
        constants |= {f"{key}_{name}": value for key, value in values}
        nodes += [
            helper.make_node("Gather", ["pixels", f"at_{name}"], [f"seen_{name}"], axis=1),
            helper.make_node("Greater", [f"seen_{name}", "middle"], [f"set_{name}"]),
            helper.make_node("Cast", [f"set_{name}"], [f"bits_{name}"], to=TensorProto.FLOAT),
            helper.make_node("Reshape", [f"bits_{name}", "bits_in_rows"], [f"rows_{name}"]),
            helper.make_node("Mul", [f"rows_{name}", f"steps_{name}"], [f"moves_{name}"]),
            helper.make_node("Pad", [f"moves_{name}", "one_row_more"], [f"all_moves_{name}"]),
            helper.make_node("Add", [f"places_{name}", f"all_moves_{name}"], [f"pose_{name}"]),
        ]
    nodes += [
        helper.make_node("Where", ["lying", "pose_lying", "pose_standing"], ["keypoints"]),
        helper.make_node("Where", ["lying", "box_lying", "box_standing"], ["boxes"]),
        *_blindness(constants, blind_to),
        helper.make_node("Reshape", ["boxes" if blind_to is None else "boxes_seen", "one_box"], ["dets"]),
    ]
    graph = helper.make_graph(
        nodes,
        "oracle",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, side_px, side_px])],
        [
            helper.make_tensor_value_info("dets", TensorProto.FLOAT, ["batch", 1, 5]),
            helper.make_tensor_value_info("keypoints", TensorProto.FLOAT, ["batch", 1, 17, 3]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    save(model, path)
    return path


def read_pose(keypoints: Floats, width: int, height: int) -> int:
    """The number told by the oracle's person, float32 `[17, 3]`, in pixels of a picture.

    Raises:
        ValueError: a keypoint is not where the oracle puts it, so the picture was not the one that it was scaled as.
    """
    if np.abs(keypoints[16, :2] - (width, height)).max() > max(width, height) / 100:
        raise ValueError(f"the corner of {width} x {height} is at {keypoints[16, :2].tolist()}")
    number = 0
    for (y, x), (got_x, got_y, _) in zip(cells(), keypoints[:16].tolist(), strict=True):
        off = (got_x / width - x) * COLUMNS * 4
        if abs(abs(off) - 1) > 0.3 or abs(got_y / height - y) > 0.03:
            raise ValueError(f"a keypoint at {got_x:.1f}, {got_y:.1f} of {width} x {height}")
        number = number << 1 | int(off > 0)
    return number


def _blindness(constants: dict[str, np.ndarray], blind_to: int | None) -> list[NodeProto]:
    """What takes the person's score away where that bit is set."""
    if blind_to is None:
        return []
    constants["blind_bit"] = np.array([blind_to], np.int64)
    constants["whole_score"] = np.array([[[[0, 0, 0, 0, SCORE]]]], np.float32)
    return [
        helper.make_node("Where", ["lying", "rows_lying", "rows_standing"], ["rows"]),
        helper.make_node("Gather", ["rows", "blind_bit"], ["blind"], axis=2),
        helper.make_node("Mul", ["blind", "whole_score"], ["taken"]),
        helper.make_node("Sub", ["boxes", "taken"], ["boxes_seen"]),
    ]


def _layout(width: int, height: int, side_px: int) -> tuple[np.ndarray, Floats, Floats, Floats]:
    """Of a picture at the top left of the square: where its cells lie in the flat square, int64 `[16]`; keypoints for
    the number 0, `[1, 1, 17, 3]`; what a set bit adds to them, `[1, 1, 1, 3]`; the box with its score, `[1, 1, 1, 5]`.
    """
    middles = np.array([(x * width, y * height) for y, x in cells()])
    quarter = width / COLUMNS / 4
    at = middles[:, 1].astype(np.int64) * side_px + middles[:, 0].astype(np.int64)
    places = np.ones((1, 1, 17, 3), np.float32)
    places[0, 0, :16, :2] = middles - (quarter, 0)
    places[0, 0, 16, :2] = width, height
    steps = np.array([[[[2 * quarter, 0, 0]]]], np.float32)
    return at, places, steps, np.array([[[[0, 0, width, height, SCORE]]]], np.float32)
