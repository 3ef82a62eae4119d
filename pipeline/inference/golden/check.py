"""The golden check: whether a model finds the right poses on this device, and how fast.

CPU and GPU workers share a run, so they must find the same people, and a device that computes wrongly reports no error.
The right poses of the bundled model are recorded; any other model's are computed by onnxruntime in fp32 on the CPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from pipeline.core.model_spec import ModelSpec
from pipeline.core.oks import Agreement, AgreementFigures, compare_poses, merge_agreements, sigmas_for
from pipeline.core.poses import FramePoses
from pipeline.errors import DeviceUnavailable, InvalidOutput, InvalidWeights, PoselineError
from pipeline.inference.catalogue import ENTRIES
from pipeline.inference.engines.onnx_session import COREML, CPU, CUDA, TENSORRT
from pipeline.inference.engines.openvino_session import PROVIDER as OPENVINO
from pipeline.inference.engines.placement import Placement
from pipeline.inference.engines.sessions import Device, DeviceInfo
from pipeline.inference.golden.reference import GoldenResult, detect_golden, reference_poses
from pipeline.inference.pose_model import PoseModel
from pipeline.inference.zoo import FoundModel, load_model

#: Tolerances in fp32, as the README promises of rtmlib's poses. Engines sum in different orders: OpenVINO 2026.4 is off
#: by 0.00006 px and 0.0000003 with the bundled model.
TOLERANCE_PX, TOLERANCE_SCORE = 0.5, 0.01
#: In reduced precision, for the least similar person. In bf16 on OpenVINO 2026.4 the bundled model has 0.999.
LEAST_OKS = 0.9
#: A person whose score is this close to the threshold may be found or not: in fp32, in reduced precision (0.01 there).
_SCORE_MARGINS = (TOLERANCE_SCORE, 0.05)
#: A device that takes this many times as long as one CPU core is reported.
SLOW_FACTOR = 2.0

_PROVIDERS: dict[Device, str] = {
    "cpu": CPU,
    "openvino": OPENVINO,
    "cuda": CUDA,
    "tensorrt": TENSORRT,
    "coreml": COREML,
}


@dataclass(frozen=True)
class GoldenReport:
    """The outcome of a golden check.

    Args:
        model: its full name.
        device: what ran it.
        frame_ms: median time of a frame, in batches as full as at work.
        people: found in all images, each image once.
        images: that were run.
        batch: frames in each call.
        against: what the poses were compared with, as text; empty where there was nothing.
        reference_ms: time of a frame on one core of onnxruntime's CPU; None where the device is that.
        figures: the agreement; None where there was nothing to compare with.
        score_off: the largest difference of a score.
        problem: why the model must not be used here; None where it may.
        warnings: what is unusual, one line each.
    """

    model: str
    device: DeviceInfo
    frame_ms: float | None = None
    people: int = 0
    images: int = 0
    batch: int = 1
    against: str = ""
    reference_ms: float | None = None
    figures: AgreementFigures | None = None
    score_off: float | None = None
    problem: PoselineError | None = None
    warnings: tuple[str, ...] = ()

    def require(self) -> GoldenReport:
        """Raise the problem, or return this report where there is none.

        Raises:
            DeviceUnavailable: the device is not the one requested, or computes wrongly.
            InvalidWeights: the model finds wrong poses on the CPU.
            InvalidOutput: the output is not finite on any device, or the model loses people in reduced precision.
        """
        if self.problem is not None:
            raise self.problem
        return self


def check_golden(found: FoundModel, model: PoseModel, placement: Placement) -> GoldenReport:
    """Check a loaded model, loading it in fp32 on onnxruntime's CPU for comparison where it runs on something else.

    Raises:
        InvalidWeights, DeviceUnavailable: the comparison model cannot be loaded.
        InvalidOutput: the comparison model's output is not finite.
    """
    plain = replace(found, spec=replace(found.spec, precision="fp32"))
    return check_model(model, placement.device, lambda: load_model(plain, Placement("cpu")))


def check_model(
    model: PoseModel, requested: Device = "auto", load_reference: Callable[[], PoseModel] | None = None
) -> GoldenReport:
    """Compare a model's poses with the recorded ones, or with those of a reference model.

    Args:
        requested: the device that was asked for.
        load_reference: loads the same model in fp32 on onnxruntime's CPU; called where `model` runs on something else.

    Raises:
        InvalidWeights, DeviceUnavailable: the reference cannot be loaded.
        InvalidOutput: the reference's output is not finite.
    """
    spec, device = model.spec, model.device
    problem: PoselineError | None = _another_device(device, requested, spec)
    if problem is not None:
        return GoldenReport(spec.full_name, device, problem=problem)
    if _is_reference(device):
        load_reference = None
    try:
        result = _detect_finite(model)
    except InvalidOutput as error:
        if load_reference is not None:
            _detect_finite(load_reference())  # raises where the CPU's output is not finite either
        problem = error
        if spec.precision != "fp32":
            problem = InvalidOutput(f"{error.message}; use the model without @{spec.precision}")
        elif not _is_reference(device):
            problem = DeviceUnavailable(f"{error.message}; use the cpu device")
        return GoldenReport(spec.full_name, device, problem=problem)
    except (InvalidWeights, DeviceUnavailable) as error:
        return GoldenReport(spec.full_name, device, problem=error)
    computed = _detect_finite(load_reference()) if load_reference is not None else None
    recorded = reference_poses(spec)
    wanted = recorded if recorded is not None else computed.poses() if computed else None
    against = "recorded poses" if recorded is not None else "the CPU" if computed else ""
    agreement, score_off = _compare(result, wanted, spec) if wanted is not None else (None, None)
    people, warnings = sum(map(len, result.poses())), []
    if wanted is not None and agreement is not None and score_off is not None:
        problem = _disagreement(agreement, score_off, wanted, spec, device)
    if problem is None and people == 0 and "left_hip" in spec.keypoint_names:
        # Only a warning: what a model of somebody else's should find in these images is not known.
        warnings.append(
            f"{spec.full_name} found no people in {len(result.poses())} images of people; check that it is a model of "
            f"whole bodies and that its score threshold {spec.score_threshold} is right"
        )
    if computed is not None and result.frame_ms > SLOW_FACTOR * computed.frame_ms:
        warnings.append(
            f"{spec.full_name} takes {result.frame_ms:.3g} ms a frame on {_where(device)} and "
            f"{computed.frame_ms:.3g} ms on one CPU core; check what else uses that device, or use the cpu device"
        )
    return GoldenReport(
        model=spec.full_name,
        device=device,
        frame_ms=result.frame_ms,
        people=people,
        images=len(result.poses()),
        batch=model.batch,
        against=against,
        reference_ms=computed.frame_ms if computed else None,
        figures=agreement.figures() if agreement is not None else None,
        score_off=score_off,
        problem=problem,
        warnings=tuple(warnings),
    )


def _detect_finite(model: PoseModel) -> GoldenResult:
    """
    Raises:
        InvalidOutput: the output is not finite.
    """
    with suppress(InvalidOutput):
        result = detect_golden(model)
        if all(np.isfinite(poses.keypoints).all() for _, poses in result.detections):
            return result
    raise InvalidOutput(
        f"{model.spec.full_name} gives scores, boxes or keypoints that are not numbers, on {_where(model.device)}"
        + ("; use another model" if _is_reference(model.device) else "")
    )


def _another_device(device: DeviceInfo, requested: Device, spec: ModelSpec) -> DeviceUnavailable | None:
    if requested != "auto" and device.provider != _PROVIDERS[requested]:
        return DeviceUnavailable(
            f"requested {requested} and got {_where(device)}; `poseline doctor` says what {requested} needs here"
        )
    if device.precision != spec.precision:
        return DeviceUnavailable(
            f"requested {spec.full_name} and got {device.precision} on {_where(device)}; use it without a precision"
        )
    return None


def _compare(result: GoldenResult, wanted: Sequence[FramePoses], spec: ModelSpec) -> tuple[Agreement, float]:
    """The agreement, and the largest difference of a score; people near the threshold count only if both have them."""
    sigmas = sigmas_for(spec.keypoint_names)
    least_score = spec.score_threshold + _SCORE_MARGINS[spec.precision != "fp32"]
    agreements, score_off = [], 0.0
    for number, found in result.detections:
        if number >= len(wanted):
            continue
        lost = compare_poses(found, _above(wanted[number], least_score), sigmas)
        gained = compare_poses(_above(found, least_score), wanted[number], sigmas).people_gained
        agreements.append(Agreement(1, lost.matched + gained, lost.people_wanted, lost.oks, lost.distances_px))
        # Both are sorted by score, and no other pairing of two sorted lists has a smaller largest difference.
        pairs = zip(found.scores, wanted[number].scores, strict=False)
        score_off = max([score_off, *(abs(float(a) - float(b)) for a, b in pairs)])
    return merge_agreements(agreements), score_off


def _above(poses: FramePoses, least_score: float) -> FramePoses:
    kept = poses.scores >= least_score
    return FramePoses(poses.scores[kept], poses.boxes_xyxy[kept], poses.keypoints[kept])


def _disagreement(
    agreement: Agreement, score_off: float, wanted: Sequence[FramePoses], spec: ModelSpec, device: DeviceInfo
) -> PoselineError | None:
    tolerance_px = TOLERANCE_PX + _bin_px(wanted, spec)
    figures = agreement.figures()
    if spec.precision == "fp32":
        is_same = not agreement.people_lost and not agreement.people_gained and score_off <= TOLERANCE_SCORE
        is_same = is_same and (figures.px_max or 0) <= tolerance_px
        tolerance = f"within {tolerance_px:.2g} px and {TOLERANCE_SCORE} of score"
    else:
        is_same = not agreement.people_lost and (figures.oks_min or 1) >= LEAST_OKS
        tolerance = f"with an OKS of at least {LEAST_OKS}"
    if is_same:
        return None
    outcome = f"{agreement.people_lost} are missing, {agreement.people_gained} too many"
    if figures.px_max is not None and figures.oks_min is not None:
        outcome += f", {figures.px_max:.3g} px off, {score_off:.2g} of score, OKS {figures.oks_min:.2f}"
    message = (
        f"{spec.full_name} on {_where(device)}: expected {agreement.people_wanted} people in {agreement.frames} "
        f"images {tolerance}, but {outcome}"
    )
    if spec.precision != "fp32":  # the device itself passed in fp32
        return InvalidOutput(f"{message}; use the model without @{spec.precision}")
    if not _is_reference(device):
        return DeviceUnavailable(f"{message}; use the cpu device")
    entry = ENTRIES.get(spec.name)
    return InvalidWeights(entry.with_fix(message) if entry else f"{message}; use another model")


def _bin_px(wanted: Sequence[FramePoses], spec: ModelSpec) -> float:
    """The diagonal of a SimCC bin, half a pixel of the crop each way (`topdown`), by which a keypoint may move."""
    if spec.pose.decoder != "simcc":
        return 0.0
    sides = [side for poses in wanted for side in poses.boxes_xyxy[:, 2:] - poses.boxes_xyxy[:, :2]]
    size = (spec.pose.width_px, spec.pose.height_px)
    return max((math.sqrt(2) * float((side * 1.25 / size).max()) / 2 for side in sides), default=0.0)


def _is_reference(device: DeviceInfo) -> bool:
    return device.provider == CPU and device.precision == "fp32"


def _where(device: DeviceInfo) -> str:
    return f"{device.name} ({device.provider}, {device.engine})"
