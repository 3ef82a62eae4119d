"""The contract twin of RTMPose and RTMW: mmdeploy's `pose-detection_simcc_onnxruntime_dynamic.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto

from tests.support.twin_maker import ALL_VISIBLE, FLOOR, HIDDEN_FROM, line_layout
from tests.support.twin_net import Net

#: Of mmpose's data preprocessor, in the order of the channels after its `bgr_to_rgb=True`.
MEAN_RGB = (123.675, 116.28, 103.53)
STD_RGB = (58.395, 57.12, 57.375)
#: Of the bumps in the outputs, in bins: sigma 4.9 px at 192 x 256 in mmpose's `rtmpose-*-256x192.py`, about halved.
_BUMP_BINS = 5.0
#: The outputs of a keypoint that is not to be seen.
_UNSEEN = -0.05


def make_simcc_twin(path: Path, *, width_px: int, height_px: int, keypoints: int, split: float = 2.0) -> Path:
    """A network that finds the keypoints of the one `Body` in a crop.

    `input` float32 `[batch, 3, H, W]`, RGB, normalised by `MEAN_RGB` and `STD_RGB` → `simcc_x`
    `[batch, keypoints, W * split]`, `simcc_y` `[batch, keypoints, H * split]`. The largest value of a row of `simcc_x`
    tells how sure the red blob is, that of `simcc_y` the green one. Where a keypoint is not to be seen, all of both its
    rows is below zero.
    """
    net = Net()
    std, mean = (np.array(values, np.float32)[None, :, None, None] for values in (STD_RGB, MEAN_RGB))
    red, green, blue = (
        net.op("Gather", net.affine("input", std, mean), net.const(i, np.int64), axis=1) for i in range(3)
    )
    shown = net.op("Cast", net.op("Less", blue, net.const(HIDDEN_FROM)), to=TensorProto.FLOAT)
    across = np.arange(width_px, dtype=np.float32)[None, None, :]
    down = np.arange(height_px, dtype=np.float32)[None, :, None]
    ends, peaks, share = [], [], ""
    for channel in (red, green):
        weight = net.op("Mul", net.op("Relu", net.op("Sub", channel, net.const(float(FLOOR)))), shown)
        mass = net.op("Max", _sum(net, weight), net.const(1e-3))
        means = [
            net.op("Div", _sum(net, net.op("Mul", weight, what)), mass)
            for what in (net.const(across), net.const(down), blue)
        ]
        ends.append(net.op("Concat", *means[:2], axis=2))
        peaks.append(net.op("ReduceMax", weight, axes=[1, 2], keepdims=1))
        share = share or net.op("Mul", means[2], net.const(1 / ALL_VISIBLE))

    layout = line_layout(keypoints)[None]
    line = net.op("Sub", ends[1], ends[0])
    turned = net.op("Mul", net.op("Gather", line, net.ints(1, 0), axis=2), net.const([[[-1, 1]]]))
    shift = net.op(
        "Add",
        net.op("Mul", line, net.const(layout[..., :1])),
        net.op("Mul", turned, net.const(layout[..., 1:2])),
    )
    places = net.op("Add", ends[0], shift)

    # A keypoint is there if its number is in the share that the blue tells, and if there are both blobs.
    numbers = (np.arange(keypoints, dtype=np.float32) + 0.5)[None, :, None] / keypoints
    in_share = net.op("LessOrEqual", net.const(numbers), share)
    blobs = net.op("Greater", net.op("Min", *peaks), net.const(0.5))
    seen = net.op("And", in_share, blobs)
    for name, axis, side_px in (("simcc_x", 0, width_px), ("simcc_y", 1, height_px)):
        bins = round(side_px * split)
        at = net.op("Gather", places, net.ints(axis), axis=2)
        at = net.op("Round", net.op("Mul", at, net.const(split)))
        at = net.op("Clip", at, net.const(0.0), net.const(float(bins - 1)))
        off = net.op("Div", net.op("Sub", net.const(np.arange(bins)[None, None, :]), at), net.const(_BUMP_BINS))
        bump = net.op("Exp", net.op("Mul", net.op("Mul", off, off), net.const(-0.5)))
        sure = net.op("Mul", peaks[axis], net.const(layout[..., 2:] / (255 - FLOOR)))
        net.op(
            "Where",
            seen,
            net.op("Mul", bump, sure),
            net.op("Mul", net.op("Add", bump, net.const(1.0)), net.const(_UNSEEN)),
            out=name,
        )
    shapes = {
        "simcc_x": ["batch", keypoints, round(width_px * split)],
        "simcc_y": ["batch", keypoints, round(height_px * split)],
    }
    return net.save(path, ["batch", 3, height_px, width_px], shapes)


def _sum(net: Net, name: str) -> str:
    """`[n, 1, 1]` of `[n, H, W]`."""
    return net.op("ReduceSum", name, net.ints(1, 2), keepdims=1)
