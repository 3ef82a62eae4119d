"""The contract twins of the detectors: YOLOX, its raw grid or with mmdeploy's NMS inside, and RTMDet with that."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.support.twin_maker import NOBODY, OTHER_CLASS, OTHER_FROM, PERSON_FROM
from tests.support.twin_net import Grid, Net, boxes_of, mmdeploy_nms, padded, presence, read_grid

#: From which width in pixels of the square on a stride tells a mark: 8,400 priors at 640, 3,549 at 416.
LEVELS = {8: 0.0, 16: 40.0, 32: 80.0}
#: What RTMDet was trained on, BGR (rtmlib 0.0.16, `RTMDet.__init__`; mmdet's `rtmdet_*.py`).
RTMDET_MEAN_BGR = (103.53, 116.28, 123.675)
RTMDET_STD_BGR = (57.375, 57.12, 58.395)
#: Of mmdet's `yolox_*.py` and mmpose's `rtmdet_nano_320-8xb32_hand.py` (`test_cfg`): score and IoU of the NMS.
YOLOX_NMS, RTMDET_NMS = (0.01, 0.65), (0.05, 0.6)
#: `keep_top_k` of mmdeploy's `configs/mmdet/_base_/base_static.py`.
KEEP = 100


def make_yolox_twin(
    path: Path, *, side_px: int, nms_inside: bool, classes: int = 1, batch: int | str = "batch"
) -> Path:
    """A network that finds the `Mark`s that are painted on a BGR picture.

    `input` float32 `[batch, 3, S, S]`, BGR, 0..255. The score is red/255, of which objectness and class score are the
    root each. With 1 class, dogs are nobody; with 80, they are of class 16.

    Without NMS: `output` `[batch, P, 5 + classes]`: x, y and the logarithms of width and height in strides from the
    prior's corner, objectness, class scores; P priors of strides 8, 16, 32. With NMS: `dets` `[batch, K, 5]`, in pixels
    of the square, and `labels` int64 `[batch, K]`, K the smaller of 100 and one more than what is found in the whole
    batch; rows that pad are all zero, and labelled -1 for those of other frames and 0 for the one more.
    """
    net = Net()
    grid = read_grid(net, "input", side_px, LEVELS)
    objectness, scores = _sureness(net, grid, classes)
    if nms_inside:
        found = net.op("Mul", objectness, scores)
        return _with_nms(net, path, grid, found, side_px, YOLOX_NMS, batch)
    steps = net.op("Sub", net.const(grid.middles[None] / grid.strides), net.const(grid.corners[None]))
    # For every frame of the batch, however many those are.
    steps = net.op("Add", steps, net.op("Mul", grid.size, net.const(0.0)))
    logs = net.op("Log", net.op("Div", grid.size, net.const(grid.strides[None])))
    net.op("Concat", steps, logs, objectness, scores, axis=2, out="output")
    shape = [batch, len(grid.corners), 5 + classes]
    return net.save(path, [batch, 3, side_px, side_px], {"output": shape})


def make_rtmdet_twin(path: Path, *, side_px: int = 320, batch: int | str = "batch") -> Path:
    """A network that finds the people whose `Mark`s are painted on a BGR picture.

    As a YOLOX twin with one class and NMS, but `input` is normalised by `RTMDET_MEAN_BGR` and `RTMDET_STD_BGR`.
    """
    net = Net()
    std, mean = (np.array(values, np.float32)[None, :, None, None] for values in (RTMDET_STD_BGR, RTMDET_MEAN_BGR))
    grid = read_grid(net, net.affine("input", std, mean), side_px, LEVELS)
    found = net.op("Mul", *_sureness(net, grid, 1))
    return _with_nms(net, path, grid, found, side_px, RTMDET_NMS, batch)


def _sureness(net: Net, grid: Grid, classes: int) -> tuple[str, str]:
    """Objectness `[n, P, 1]`, and `[n, P, classes]`: the class that the blue tells, and next to nothing for others."""
    person, other = (np.full((1, 1, classes), NOBODY, np.float32) for _ in range(2))
    person[..., 0] = 1
    other[..., OTHER_CLASS if classes > OTHER_CLASS else 0] = 1
    share = net.affine(net.at_least(grid.blue, PERSON_FROM), person - other, other)
    root = net.op("Sqrt", net.op("Relu", net.op("Mul", grid.red, net.const(1 / 255))))
    there = presence(net, grid, PERSON_FROM if classes == 1 else OTHER_FROM)
    return net.op("Mul", there, root), net.op("Mul", share, root)


def _with_nms(
    net: Net,
    path: Path,
    grid: Grid,
    scores: str,
    side_px: int,
    thresholds: tuple[float, float],
    batch: int | str,
) -> Path:
    boxes = boxes_of(net, grid)
    by_class = net.op("Transpose", scores, perm=[0, 2, 1])
    kept = mmdeploy_nms(net, boxes, by_class, score=thresholds[0], iou=thresholds[1], keep=KEEP)
    places = net.op("GatherND", boxes, net.op("Gather", kept.triples, net.ints(0, 2), axis=1))
    rows = net.op("Concat", places, net.op("Unsqueeze", kept.scores, net.ints(1)), axis=1)
    mine = net.op("Unsqueeze", kept.own, net.ints(2))
    rows = net.op("Where", mine, net.op("Unsqueeze", rows, net.ints(0)), net.const(0.0))
    rows = net.op("Pad", rows, net.ints(0, 0, 0, 0, 1, 0), net.const(0.0))
    net.op("GatherND", rows, net.op("Unsqueeze", kept.order, net.ints(2)), batch_dims=1, out="dets")
    kinds = net.op("Unsqueeze", kept.column(net, 1), net.ints(0))
    labels = padded(net, net.op("Where", kept.own, kinds, net.const(-1, np.int64)), 0, np.int64)
    net.op("GatherElements", labels, kept.order, axis=1, out="labels")
    shapes: dict[str, list[int | str]] = {"dets": [batch, "found", 5], "labels": [batch, "found"]}
    return net.save(path, [batch, 3, side_px, side_px], shapes)
