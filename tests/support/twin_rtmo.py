"""The contract twin of RTMO: mmdeploy's `pose-detection_rtmo_onnxruntime_dynamic.py`, rows that pad included."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.support.twin_maker import PERSON_FROM, box_layout
from tests.support.twin_net import Net, boxes_of, mmdeploy_nms, padded, presence, read_grid

#: Of mmpose's `rtmo-*.py` (`test_cfg`), which overrides what mmdeploy's configuration says.
SCORE, IOU = 0.1, 0.65
#: From which width in pixels of the square on a stride tells a mark: 2,000 priors at 640, 845 at 416.
LEVELS = {16: 0.0, 32: 64.0}


def make_rtmo_twin(path: Path, *, side_px: int, people_max: int = 50, keypoints: int = 17) -> Path:
    """A network that finds the people whose `Mark`s are painted on a BGR picture.

    `input` float32 `[batch, 3, S, S]`, BGR, 0..255 → `dets` `[batch, K, 5]` and `keypoints` `[batch, K, keypoints, 3]`,
    in pixels of the square, where K is the smaller of `people_max` and one more than the people of the whole batch.

    A frame's own people come first, best first. The rows that stand for other frames' people repeat its first prior,
    and the one row more its last prior, both with their real score, which may be a person's: the first prior tells the
    mark in column 0, row 0 if it is less than 64 wide, the last one that in the last column and row if it is wider.
    """
    net = Net()
    grid = read_grid(net, "input", side_px, LEVELS)
    priors = len(grid.corners)
    boxes = boxes_of(net, grid)
    scores = net.op("Mul", net.op("Mul", grid.red, net.const(1 / 255)), presence(net, grid, PERSON_FROM))
    by_class = net.op("Transpose", scores, perm=[0, 2, 1])
    kept = mmdeploy_nms(net, boxes, by_class, iou=IOU, score=SCORE, keep=people_max)

    prior = net.op("Unsqueeze", kept.column(net, 2), net.ints(0))
    rows = net.op("Where", kept.own, prior, net.const(0, np.int64))
    rows = net.op("GatherElements", padded(net, rows, priors - 1, np.int64), kept.order, axis=1)
    at = net.op("Unsqueeze", rows, net.ints(2))
    all_facts = net.op("Concat", boxes, scores, grid.blue, grid.size, axis=2)
    facts = net.op("GatherND", all_facts, at, batch_dims=1)
    net.op("Slice", facts, net.ints(0), net.ints(5), net.ints(2), out="dets")

    layout = box_layout(keypoints)
    corner, blue, size = (
        net.op("Unsqueeze", net.op("Slice", facts, net.ints(a), net.ints(b), net.ints(2)), net.ints(2))
        for a, b in ((0, 2), (5, 6), (6, 8))
    )
    places = net.op("Add", corner, net.op("Mul", size, net.const(layout[None, None, :, :2] + 0.5)))
    seen = net.op("Mul", blue, net.const(layout[None, None, :, 2:] / 255))
    net.op("Concat", places, seen, axis=3, out="keypoints")
    shapes = {"dets": ["batch", "people", 5], "keypoints": ["batch", "people", keypoints, 3]}
    return net.save(path, ["batch", 3, side_px, side_px], shapes)
