"""Writing ONNX graphs down, and the parts that the twins of detectors share: the grid, and mmdeploy's NMS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, TensorProto, helper, numpy_helper, save

from tests.support.twin_maker import CELL_PX, NOBODY


class Net:
    """An ONNX graph that is being written down: opset 17, IR 9, one float32 input called `input`."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def const(self, value: npt.ArrayLike, kind: npt.DTypeLike = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, kind), name))
        return name

    def ints(self, *values: int) -> str:
        return self.const(values, np.int64)

    def op(self, kind: str, *inputs: str, out: str | None = None, **attributes: object) -> str:
        """One node with one output, called `out` where that is given."""
        name = out or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def affine(self, name: str, times: npt.ArrayLike, plus: npt.ArrayLike) -> str:
        return self.op("Add", self.op("Mul", name, self.const(times)), self.const(plus))

    def at_least(self, name: str, level: float) -> str:
        """1.0 where `name` is `level` or more, less half a count for rounding, else 0.0."""
        return self.op("Cast", self.op("Greater", name, self.const(level - 0.5)), to=TensorProto.FLOAT)

    def save(self, path: Path, input_shape: Sequence[int | str], outputs: dict[str, Sequence[int | str]]) -> Path:
        """Write it to `path`; `labels` is int64, the other outputs float32."""
        kinds = {"labels": TensorProto.INT64}
        graph = helper.make_graph(
            self.nodes,
            "twin",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, list(input_shape))],
            [
                helper.make_tensor_value_info(name, kinds.get(name, TensorProto.FLOAT), list(shape))
                for name, shape in outputs.items()
            ],
            self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 9
        save(model, path)
        return path


@dataclass(frozen=True)
class Grid:
    """The priors of some strides, row by row, fine ones first, P of them, and what their pixels say.

    Attributes:
        corners, strides: float32 `[P, 2]` in strides, and `[P, 1]` in pixels.
        blue, green, red: names of `[n, P, 1]`, 0..255, of the pixel in the middle of a prior's cell of marks.
        size: name of `[n, P, 2]`, width and height in pixels of the square.
        own: name of `[n, P, 1]`, 1.0 where the prior is the one that tells its mark: that of its size.
    """

    corners: npt.NDArray[np.float32]
    strides: npt.NDArray[np.float32]
    blue: str
    green: str
    red: str
    size: str
    own: str

    @property
    def middles(self) -> npt.NDArray[np.float32]:
        """Where the people of priors are, `[P, 2]`, in pixels of the square: in the middle of the mark's cell."""
        first = np.floor(self.corners * self.strides / CELL_PX) * CELL_PX
        return (first + CELL_PX / 2).astype(np.float32)


def read_grid(net: Net, pixels: str, side_px: int, levels: dict[int, float]) -> Grid:
    """Look at every prior's mark.

    Args:
        pixels: name of `[n, 3, S, S]`, BGR, 0..255.
        levels: by stride, finest first, from which width in pixels on it tells a mark. Of the priors of a cell of
            marks, the one at its upper left does.
    """
    read, corners, strides, own, top = [], [], [], [], [*levels.values(), float("inf")][1:]
    for stride in levels:
        count = side_px // stride
        y, x = np.divmod(np.arange(count * count), count)
        cell = CELL_PX // stride
        # Row and column numbers of the pixel in the middle of the cell of each prior.
        at = [(line // cell) * CELL_PX + CELL_PX // 2 for line in (y, x)]
        flat = net.op("Reshape", pixels, net.ints(0, 3, side_px * side_px))
        read.append(net.op("Gather", flat, net.const(at[0] * side_px + at[1], np.int64), axis=2))
        corners.append(np.stack([x, y], axis=1))
        strides.append(np.full((count * count, 1), stride))
        own.append((x % cell == 0) & (y % cell == 0))
    all_pixels = net.op("Transpose", net.op("Concat", *read, axis=2), perm=[0, 2, 1])
    blue, green, red = (net.op("Gather", all_pixels, net.ints(i), axis=2) for i in range(3))
    size = net.affine(green, [[[0.5, 0.75]]], [[[16, 24]]])
    width = net.op("Gather", size, net.ints(0), axis=2)
    lows, highs = (
        np.concatenate([np.full(len(c), edge) for c, edge in zip(corners, edges, strict=True)])[None, :, None]
        for edges in (levels.values(), top)
    )
    fits = net.op("And", net.op("GreaterOrEqual", width, net.const(lows)), net.op("Less", width, net.const(highs)))
    mine = net.op("And", fits, net.const(np.concatenate(own)[None, :, None], np.bool_))
    return Grid(
        np.concatenate(corners).astype(np.float32),
        np.concatenate(strides).astype(np.float32),
        blue,
        green,
        red,
        size,
        net.op("Cast", mine, to=TensorProto.FLOAT),
    )


def presence(net: Net, grid: Grid, blue_from: int) -> str:
    """`[n, P, 1]`: 1 where the prior tells a mark that is at least that blue, `NOBODY` elsewhere."""
    return net.affine(net.op("Mul", net.at_least(grid.blue, blue_from), grid.own), 1 - NOBODY, NOBODY)


def boxes_of(net: Net, grid: Grid) -> str:
    """`[n, P, 4]`, x1, y1, x2, y2 in pixels of the square."""
    middles = net.const(grid.middles[None])
    half = net.op("Mul", grid.size, net.const(0.5))
    return net.op("Concat", net.op("Sub", middles, half), net.op("Add", middles, half), axis=2)


@dataclass(frozen=True)
class Kept:
    """Names of what an NMS kept: M rows of the whole batch.

    Attributes:
        triples: int64 `[M, 3]`, frame, class, prior.
        scores: `[M]`.
        own: bool `[n, M]`, whose frame it is.
        order: int64 `[n, K]`, places in M + 1 rows, best score first; row M pads.
    """

    triples: str
    scores: str
    own: str
    order: str

    def column(self, net: Net, number: int) -> str:
        return net.op("Gather", self.triples, net.const(number, np.int64), axis=1)


def mmdeploy_nms(net: Net, boxes: str, scores: str, *, iou: float, score: float, keep: int) -> Kept:
    """`_multiclass_nms` and `_select_nms_index` of mmdeploy (`mmdeploy/mmcv/ops/nms.py` at 0aebf1c).

    K is the smaller of `keep` and one more than the people of the *whole batch*: every frame has a row for each, with
    a score of 0 where it is another frame's, and one row more.

    Args:
        boxes: name of `[n, P, 4]`.
        scores: name of `[n, classes, P]`.
    """
    most = net.ints(200)  # of a class of a frame: `max_output_boxes_per_class` of mmdeploy's configurations
    triples = net.op("NonMaxSuppression", boxes, scores, most, net.const([iou]), net.const([score]))
    values = net.op("GatherND", scores, triples)
    frames = net.op("Shape", boxes, start=0, end=1)
    numbers = net.op("Range", net.const(0, np.int64), net.op("Squeeze", frames, net.ints(0)), net.const(1, np.int64))
    whose = net.op("Gather", triples, net.const(0, np.int64), axis=1)
    own = net.op("Equal", net.op("Unsqueeze", numbers, net.ints(1)), net.op("Unsqueeze", whose, net.ints(0)))
    rows = net.op("Where", own, net.op("Unsqueeze", values, net.ints(0)), net.const(0.0))
    rows = padded(net, rows, 0.0, np.float32)
    count = net.op("Min", net.op("Shape", rows, start=1, end=2), net.ints(keep))
    name = f"n{len(net.nodes)}"
    net.nodes.append(helper.make_node("TopK", [rows, count], [f"{name}_values", name], axis=1))
    return Kept(triples, values, own, name)


def padded(net: Net, rows: str, value: float, kind: npt.DTypeLike) -> str:
    """`[n, M + 1]`: `[n, M]` with one value more in each row."""
    return net.op("Pad", rows, net.ints(0, 0, 0, 1), net.const(value, kind))
