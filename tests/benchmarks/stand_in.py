"""Two networks with the published arithmetic of a two-stage model, for a machine without its weights.

They have the inputs and outputs of YOLOX-tiny (boxes with the NMS inside) and of RTMPose-s (SimCC), and do as many
multiplications as these are published with, in plain 3 x 3 convolutions, the quickest way to do them. Weights are
random, so keypoints mean nothing; boxes are those given. Figures measured with them are labelled as a stand-in's.

Sources: YOLOX's README gives YOLOX-tiny at 416 as 6.45 GFLOPs, twice the multiply-adds (`yolox/utils/model_utils.py`
doubles what it counts). mmpose's `projects/rtmpose/README.md` gives RTMPose-s at 256 x 192 as 0.68 GFLOPs, which
mmengine counts in multiply-adds. Widths are those of their backbones.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.numpy_helper

from pipeline.core.keypoints import COCO_17
from pipeline.core.model_spec import Decoder, ModelSpec, NetworkSpec
from pipeline.inference.contracts import SIMCC_SPLIT
from pipeline.inference.engines.sessions import INPUT_NAME

NAME = "stand-in with RTMPose-s's arithmetic"
TITLE = f"{NAME}, weights not on this machine"

DETECTOR_SIDE_PX = 416
DETECTOR_MACS = 6.45e9 / 2
POSE_WIDTH_PX, POSE_HEIGHT_PX = 192, 256
POSE_MACS = 0.68e9
#: Of the five stages, each half as large as the one before: YOLOX-tiny's (width 0.375) and CSPNeXt-s's.
_DETECTOR_WIDTHS = (24, 48, 96, 192, 384)
_POSE_WIDTHS = (32, 64, 128, 256, 512)
_HIDDEN = 256
_OPSET, _IR = 17, 9


@dataclass
class _Network:
    """A graph in the making, and its multiply-adds so far."""

    macs: float = 0.0
    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def constant(self, value: npt.NDArray[Any]) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(onnx.numpy_helper.from_array(value, name))
        return name

    def node(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        output = output or f"n{len(self.nodes)}"
        self.nodes.append(onnx.helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def matmul(self, source: str, rows: int, columns: tuple[int, int], output: str = "") -> str:
        self.macs += rows * columns[0] * columns[1]
        weights = self.rng.normal(0, columns[0] ** -0.5, columns).astype(np.float32)
        return self.node("MatMul", source, self.constant(weights), output=output)

    def conv(self, source: str, cells: float, channels: tuple[int, int], kernel: int, stride: int = 1) -> str:
        """A convolution and its SiLU; `cells` are those of its output."""
        self.macs += _conv_macs(cells, channels, kernel)
        deviation = (channels[0] * kernel**2) ** -0.5
        weights = self.rng.normal(0, deviation, (channels[1], channels[0], kernel, kernel)).astype(np.float32)
        made = self.node(
            "Conv",
            source,
            self.constant(weights),
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[kernel // 2] * 4,
        )
        return self.node("Mul", made, self.node("Sigmoid", made))

    def tower(self, cells: float, widths: tuple[int, ...], macs: float) -> str:
        """Stages of `widths`, with as many convolutions as make `macs` of the whole, evenly over the stages."""
        sizes = [cells / 4 ** (stage + 1) for stage in range(len(widths))]
        before = (3, *widths)
        left = macs - sum(_conv_macs(n, (a, b), 3) for n, a, b in zip(sizes, before, widths, strict=False))
        plan: list[list[int]] = [[] for _ in widths]
        for kernel in (3, 1):  # the small ones fill up what is left
            stage = len(widths) - 1
            while left >= (cost := _conv_macs(sizes[stage], (widths[stage], widths[stage]), kernel)):
                plan[stage].append(kernel)
                left -= cost
                stage = (stage - 1) % len(widths)
        at = INPUT_NAME
        for stage, width in enumerate(widths):
            at = self.conv(at, sizes[stage], (before[stage], width), 3, stride=2)
            for kernel in plan[stage]:
                at = self.node("Add", at, self.conv(at, sizes[stage], (width, width), kernel))
        return at

    def save(self, path: Path, shape: list[int | str], outputs: dict[str, tuple[int, list[int | str]]]) -> str:
        """Write it; returns its SHA-256."""
        helper = onnx.helper
        graph = helper.make_graph(
            self.nodes,
            "stand-in",
            [helper.make_tensor_value_info(INPUT_NAME, onnx.TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(name, kind, sizes) for name, (kind, sizes) in outputs.items()],
            self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)])
        model.ir_version = _IR
        content: bytes = model.SerializeToString()
        path.write_bytes(content)
        return hashlib.sha256(content).hexdigest()


def _conv_macs(cells: float, channels: tuple[int, int], kernel: int) -> float:
    return cells * channels[0] * channels[1] * kernel**2


@dataclass(frozen=True)
class StandIn:
    """A model and where its networks are, by SHA-256; and their multiply-adds."""

    spec: ModelSpec
    paths: dict[str, Path]
    detector_macs: float
    pose_macs: float


def build_stand_in(folder: Path, boxes_xyxy: npt.NDArray[np.float32]) -> StandIn:
    """Write both networks.

    Args:
        boxes_xyxy: float32 `[n, 4]` that the detector shall give, in pixels of its square of `DETECTOR_SIDE_PX`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    detector_path, pose_path = folder / "detector.onnx", folder / "pose.onnx"
    detector_sha256, detector_macs = _write_detector(detector_path, boxes_xyxy)
    pose_sha256, pose_macs = _write_pose(pose_path)
    detector: Decoder = "yolox"
    spec = ModelSpec(
        name=NAME,
        detector=NetworkSpec(detector, detector_sha256, DETECTOR_SIDE_PX, DETECTOR_SIDE_PX),
        pose=NetworkSpec("simcc", pose_sha256, POSE_WIDTH_PX, POSE_HEIGHT_PX),
        score_threshold=0.3,
        nms_threshold=0.45,
        licence="Apache-2.0",
        source="random weights, made here",
    )
    return StandIn(spec, {detector_sha256: detector_path, pose_sha256: pose_path}, detector_macs, pose_macs)


def _write_detector(path: Path, boxes_xyxy: npt.NDArray[np.float32]) -> tuple[str, float]:
    network, count = _Network(), len(boxes_xyxy)
    features = network.tower(DETECTOR_SIDE_PX**2, _DETECTOR_WIDTHS, DETECTOR_MACS)
    # Added to the boxes, so that no optimiser finds the network needless; far below a pixel.
    mean = network.node("ReduceMean", features, axes=[1, 2, 3], keepdims=0)
    trace = network.node("Mul", network.node("Sigmoid", mean), network.constant(np.array([1e-6], np.float32)))
    rows = np.concatenate((boxes_xyxy, np.full((count, 1), 0.9, np.float32)), axis=1)[np.newaxis]
    network.node("Add", network.constant(rows.astype(np.float32)), trace, output="dets")
    labels = network.constant(np.zeros((1, count), np.int64))
    network.node("Identity", labels, output="labels")
    kinds = onnx.TensorProto
    outputs: dict[str, tuple[int, list[int | str]]] = {
        "dets": (kinds.FLOAT, [1, count, 5]),
        "labels": (kinds.INT64, [1, count]),
    }
    return network.save(path, [1, 3, DETECTOR_SIDE_PX, DETECTOR_SIDE_PX], outputs), network.macs


def _write_pose(path: Path) -> tuple[str, float]:
    network, count = _Network(), len(COCO_17.names)
    cells = POSE_WIDTH_PX // 32 * (POSE_HEIGHT_PX // 32)
    across, down = POSE_WIDTH_PX * SIMCC_SPLIT, POSE_HEIGHT_PX * SIMCC_SPLIT
    head = cells * _POSE_WIDTHS[-1] * count + count * _HIDDEN * (cells + across + down)
    features = network.tower(POSE_WIDTH_PX * POSE_HEIGHT_PX, _POSE_WIDTHS, POSE_MACS - head)
    maps = network.conv(features, cells, (_POSE_WIDTHS[-1], count), 1)
    flat = network.node("Reshape", maps, network.constant(np.array([0, count, cells], np.int64)))
    hidden = network.matmul(flat, count, (cells, _HIDDEN))
    network.matmul(hidden, count, (_HIDDEN, across), "simcc_x")
    network.matmul(hidden, count, (_HIDDEN, down), "simcc_y")
    kind = onnx.TensorProto.FLOAT
    outputs: dict[str, tuple[int, list[int | str]]] = {
        "simcc_x": (kind, ["batch", count, across]),
        "simcc_y": (kind, ["batch", count, down]),
    }
    return network.save(path, ["batch", 3, POSE_HEIGHT_PX, POSE_WIDTH_PX], outputs), network.macs
