"""A pose model ready to work: loaded networks behind one call, one stage or two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from pipeline.core.model_spec import ModelSpec, NetworkSpec
from pipeline.core.poses import FramePoses
from pipeline.inference.calibration import TWO_STAGE_BATCH, fix_batch
from pipeline.inference.contracts import Network
from pipeline.inference.detectors import Detector
from pipeline.inference.engines.placement import Placement, open_session
from pipeline.inference.engines.sessions import DeviceInfo
from pipeline.inference.preprocessing import Image
from pipeline.inference.rtmo import OneStage
from pipeline.inference.topdown import TwoStage


class PoseModel(Protocol):
    """A loaded pose model. Safe to share between threads."""

    @property
    def spec(self) -> ModelSpec: ...

    @property
    def batch(self) -> int:
        """Frames per call of `detect`: 1 on a CPU, on a GPU what `calibration` found best."""

    @property
    def device(self) -> DeviceInfo:
        """What really runs it."""

    def detect(self, images: Sequence[Image], scales: Sequence[float]) -> list[FramePoses]:
        """The people in each frame, best score first; the same whatever else is in the batch.

        Args:
            images: uint8 BGR, read-only is enough. Where `spec.side_px` is a number, `[S, S, 3]`: the frame scaled
                and at the top left of a square of 114. Where it is None, whole frames `[h, w, 3]`.
            scales: one for each, pixels of the image per pixel of the frame.

        Raises:
            ValueError: the arguments do not fit the model or each other.
            InvalidWeights: a network gave something else than its contract says.
            InvalidOutput: it gave no numbers for these frames.
            DeviceUnavailable: the GPU failed.
        """


def build_model(spec: ModelSpec, path_of: Callable[[NetworkSpec], Path], placement: Placement) -> PoseModel:
    """Load a model's networks and check each against its contract.

    Args:
        path_of: where the weights of a network are.
        placement: on what, and for how many threads.

    Raises:
        InvalidWeights: a file is not what its network should be.
        DeviceUnavailable: the device is not there, or cannot work at this precision.
    """

    def network(wanted: NetworkSpec) -> Network:
        path = path_of(wanted)
        return Network(open_session(path, placement, wanted, spec.precision), wanted, path, spec.name)

    if spec.detector is None:
        only = network(spec.pose)
        return OneStage(only, spec, fix_batch(only, placement.slots, placement.most_images))
    detector = Detector(network(spec.detector), spec.score_threshold, spec.nms_threshold)
    pose = network(spec.pose)
    # Crops are batched over frames; a detector takes one at a time.
    fix_batch(pose, placement.slots, placement.most_images)
    return TwoStage(detector, pose, spec, TWO_STAGE_BATCH if pose.session.device.is_gpu else 1)
