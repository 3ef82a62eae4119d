"""One stage: all people of a frame in one pass of one network, RTMO or what follows its contract.

Decoding is rtmlib's own second NMS, called as `rtmlib.RTMO.postprocess` calls it, so that poses agree with rtmlib's to
the bit. Boxes and person scores, which rtmlib drops, are kept; a frame without people has length zero, where rtmlib
gives one person of zeros. rtmlib's classes are not constructed: they download, print and take every core.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rtmlib.tools.object_detection.post_processings import multiclass_nms

from pipeline.core.model_spec import ModelSpec
from pipeline.core.poses import FramePoses
from pipeline.errors import InvalidOutput
from pipeline.inference.contracts import Network
from pipeline.inference.engines.sessions import DeviceInfo, Float32s
from pipeline.inference.preprocessing import Image, InputBuffer, check_images


class OneStage:
    """A model of one network. See `pose_model.PoseModel`.

    Raises:
        InvalidWeights: it gives another number of keypoints than the model is said to have.
    """

    def __init__(self, network: Network, spec: ModelSpec, batch: int = 1) -> None:
        self.spec = spec
        self.batch = batch
        network.require_keypoints(len(spec.keypoint_names))
        self._network = network
        self._input = InputBuffer()

    @property
    def device(self) -> DeviceInfo:
        """What really runs it."""
        return self._network.session.device

    def detect(self, images: Sequence[Image], scales: Sequence[float]) -> list[FramePoses]:
        """See `pose_model.PoseModel.detect`."""
        side_px = self.spec.pose.width_px
        check_images(images, scales, side_px)
        # See DeviceInfo.is_gpu.
        step = (self._network.fixed_batch or len(images)) if self.device.is_gpu else 1
        found: list[FramePoses] = []
        for at in range(0, len(images), max(1, step)):
            found += self._detect_together(images[at : at + step], scales[at : at + step])
        return found

    def _detect_together(self, images: Sequence[Image], scales: Sequence[float]) -> list[FramePoses]:
        dets, keypoints = self._network.run(self._input.fill(images))
        found = [
            _decode(dets[i], keypoints[i], float(scale), self.spec.score_threshold, self.spec.nms_threshold)
            for i, scale in enumerate(scales)
        ]
        # Only of people: rows that pad may hold anything.
        if not all(np.isfinite(poses.keypoints).all() for poses in found):
            raise InvalidOutput(f"{self.spec.name} gave keypoints that are not numbers; try another model")
        return found


def _decode(
    dets: Float32s, keypoints: Float32s, scale: float, score_threshold: float, nms_threshold: float
) -> FramePoses:
    """Rows of one frame, in input pixels, to people, in the frame's pixels.

    Rows that only pad a batch are low, or copies of a row of the same frame with its real score: the score threshold
    drops the first kind and the NMS the second.

    Args:
        dets: float32 `[K, 5]`, x1, y1, x2, y2, score; left as it is.
        keypoints: float32 `[K, k, 3]`, x, y, confidence; left as it is.
    """
    boxes_xyxy, scores = dets[:, :4] / scale, dets[:, 4]
    _, keep = multiclass_nms(boxes_xyxy, scores[:, np.newaxis], nms_thr=nms_threshold, score_thr=score_threshold)
    if keep is None:
        return FramePoses.empty()
    keep = keep[np.lexsort((keep, -scores[keep]))]
    people = keypoints[keep]
    people[:, :, :2] /= scale
    return FramePoses(scores[keep], boxes_xyxy[keep], people)
