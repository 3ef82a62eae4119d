"""Two stages: a detector finds people, then a network gives each one's keypoints. Time grows with their number.

RTMPose as mmpose runs it. Where rtmlib 0.0.16 differs from that it is not followed: it feeds BGR with the mean and
deviation of RGB (mmpose's `bgr_to_rgb=True`; Tau-J/rtmlib#48), and poses the whole image where no box was found.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.core.model_spec import ModelSpec
from pipeline.core.poses import FramePoses
from pipeline.errors import InvalidOutput
from pipeline.inference.contracts import SIMCC_SPLIT, Network
from pipeline.inference.detectors import Detector
from pipeline.inference.engines.sessions import MAX_BATCH, DeviceInfo, Float32s
from pipeline.inference.preprocessing import Image, InputBuffer, Normalisation, check_images

#: Of ImageNet, in RGB (mmpose, `PoseDataPreprocessor` of every RTMPose config).
_RTMPOSE = Normalisation(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375), is_rgb=True)
#: By which a box is widened before it is cut out (mmpose, `GetBBoxCenterScale`).
_BOX_PADDING = 1.25

Float64s = npt.NDArray[np.float64]


class TwoStage:
    """A model of a detector and a pose network. See `pose_model.PoseModel`.

    Raises:
        InvalidWeights: it gives another number of keypoints than the model is said to have.
    """

    def __init__(self, detector: Detector, network: Network, spec: ModelSpec, batch: int = 1) -> None:
        self.spec = spec
        self.batch = batch
        self._detector = detector
        network.require_keypoints(len(spec.keypoint_names))
        self._network = network
        self._input = InputBuffer(_RTMPOSE)

    @property
    def device(self) -> DeviceInfo:
        """What really runs it."""
        return self._network.session.device

    def detect(self, images: Sequence[Image], scales: Sequence[float]) -> list[FramePoses]:
        """See `pose_model.PoseModel.detect`; images are whole frames of any size."""
        check_images(images, scales, None)
        found = [self._detector.find(image) for image in images]
        crops: list[Image] = []
        corners: list[Float64s] = []
        for image, (boxes, _) in zip(images, found, strict=True):
            for box in boxes:
                crop, corner = _crop(image, box, self._network.spec.width_px, self._network.spec.height_px)
                crops.append(crop)
                corners.append(corner)
        keypoints = self._pose(crops, corners)
        poses, at = [], 0
        for (boxes, scores), scale in zip(found, scales, strict=True):
            people = keypoints[at : at + len(boxes)].copy()
            people[:, :, :2] /= scale
            at += len(boxes)
            if not (np.isfinite(people).all() and np.isfinite(boxes).all()):
                raise InvalidOutput(f"{self.spec.name} gave poses that are not numbers; try another model")
            poses.append(
                FramePoses(np.clip(scores, 0, 1), boxes / np.float32(scale), people)
                if len(boxes)
                else FramePoses.empty()
            )
        return poses

    def _pose(self, crops: Sequence[Image], corners: Sequence[Float64s]) -> Float32s:
        """Keypoints float32 `[n, k, 3]` in pixels of each crop's image."""
        count = len(self.spec.keypoint_names)
        found = np.empty((len(crops), count, 3), np.float32)
        step = (self._network.fixed_batch or MAX_BATCH) if self.device.is_gpu else 1
        for at in range(0, len(crops), step):
            bins_x, bins_y = self._network.run(self._input.fill(crops[at : at + step]))
            found[at : at + step] = _read_simcc(bins_x, bins_y, np.stack(corners[at : at + step]))
        return found


def _crop(image: Image, box_xyxy: Float32s, width_px: int, height_px: int) -> tuple[Image, Float64s]:
    """A box of the image, widened to the network's aspect, as mmpose's `TopdownAffine` cuts it.

    Returns:
        uint8 `[height_px, width_px, 3]`, black where the image ends, and float64 `(x, y, step)`: pixel `(i, j)` of
        the crop is at `(x + i * step, y + j * step)` of the image.
    """
    x1, y1, x2, y2 = (float(side) for side in box_xyxy)
    across, down = (x2 - x1) * _BOX_PADDING, (y2 - y1) * _BOX_PADDING
    # A box without an inside still has a place; a pixel around it is cut out.
    step = max(across / width_px, down / height_px, 1 / width_px)
    corner = np.array(((x1 + x2 - step * width_px) / 2, (y1 + y2 - step * height_px) / 2, step))
    matrix = np.array(((1 / step, 0, -corner[0] / step), (0, 1 / step, -corner[1] / step)))
    crop = cv2.warpAffine(image, matrix, (width_px, height_px), flags=cv2.INTER_LINEAR)
    return np.asarray(crop, np.uint8), corner


def _read_simcc(bins_x: Float32s, bins_y: Float32s, corners: Float64s) -> Float32s:
    """Keypoints of crops: the highest bin along each axis, and the mean of the two heights as confidence.

    As `get_simcc_maximum` of rtmlib 0.0.16 (mmpose takes the lower height, not the mean): a keypoint that no bin speaks
    for is at the crop's corner. Its confidence is 0 here, where rtmlib gives what the network gave.

    Args:
        bins_x: float32 `[n, k, W * 2]`.
        bins_y: float32 `[n, k, H * 2]`.
        corners: float64 `[n, 3]`, from `_crop`.

    Returns:
        float32 `[n, k, 3]`: x, y in pixels of the image, confidence 0..1.
    """
    places = np.stack((bins_x.argmax(axis=2), bins_y.argmax(axis=2)), axis=2) / SIMCC_SPLIT
    heights = (bins_x.max(axis=2) + bins_y.max(axis=2)) / 2
    places[heights <= 0] = -1 / SIMCC_SPLIT
    keypoints = np.empty((*heights.shape, 3), np.float32)
    keypoints[:, :, :2] = corners[:, np.newaxis, :2] + places * corners[:, np.newaxis, 2:]
    keypoints[:, :, 2] = np.clip(heights, 0, 1)
    return keypoints
