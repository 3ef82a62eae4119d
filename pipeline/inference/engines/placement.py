"""Which engine runs a network: the one that was asked for or none; with `auto` the best that works here, and why."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.core.model_spec import NetworkSpec
from pipeline.core.precision import Precision
from pipeline.errors import DeviceUnavailable, InvalidWeights
from pipeline.inference.engines import onnx_session
from pipeline.inference.engines.sessions import Device, Session

#: What each device can compute with.
SUPPORTED_PRECISIONS: dict[Device, tuple[Precision, ...]] = {
    "cpu": ("fp32",),
    "openvino": ("fp32", "bf16"),
    "cuda": ("fp32",),
    "tensorrt": ("fp32", "bf16", "fp16"),
    "coreml": ("fp32",),
}

#: What `auto` tries, best first. Not for fp32: TensorRT, which takes minutes to build its engines, and OpenVINO, which
#: is no faster than onnxruntime at it (31.0 frames/s against 31.6 in two slots; in bf16 58).
AUTO: dict[Precision, tuple[Device, ...]] = {
    "fp32": ("coreml", "cpu") if sys.platform == "darwin" else ("cuda", "cpu"),
    "bf16": ("tensorrt", "openvino"),
    "fp16": ("tensorrt",),
}


@dataclass(frozen=True)
class Placement:
    """Where networks run.

    Args:
        device: what was asked for.
        slots: threads that call at once.
        threads: CPU threads that each call may use on a CPU; one a slot is best for many slots.
        most_images: of a call on a GPU: one of many does more a second, and takes longer.
        cache_path: where engines that take minutes to build are kept; None for nowhere.
    """

    device: Device = "auto"
    slots: int = 1
    threads: int = 1
    most_images: int = 32
    cache_path: Path | None = None


def open_session(path: Path, placement: Placement, spec: NetworkSpec, precision: Precision = "fp32") -> Session:
    """Load a network where `placement` says. That it follows its contract is for `contracts.Network` to see.

    Args:
        spec: what is in the file; its weights name its place in the cache.

    Raises:
        InvalidWeights: the file is no network that the engine can load.
        DeviceUnavailable: what was asked for is not there, or cannot work at this precision.
    """
    if not path.is_file():
        raise InvalidWeights(f"{path} is not there")
    if placement.device != "auto":
        session = _open(path, placement.device, placement, spec, precision)
        return _with_reason(session, "it was asked for")
    missing: list[str] = []
    for device in AUTO[precision]:
        try:
            session = _open(path, device, placement, spec, precision)
        except DeviceUnavailable as error:
            missing.append(error.message)
        else:
            return _with_reason(session, _reasons(missing) or "the best that Poseline knows")
    if precision == "fp32":
        raise DeviceUnavailable("; ".join(missing))
    raise DeviceUnavailable(
        f"nothing here computes in {precision} ({_reasons(missing)}); ask for the model without @{precision}"
    )


def _reasons(missing: list[str]) -> str:
    """The reasons without the fixes, which a user who requested no device does not need."""
    return "; ".join(message.partition("; ")[0] for message in missing)


def _with_reason(session: Session, reason: str) -> Session:
    session.device = replace(session.device, reason=reason)
    return session


def _open(path: Path, device: Device, placement: Placement, spec: NetworkSpec, precision: Precision) -> Session:
    if precision not in SUPPORTED_PRECISIONS[device]:
        able = [name for name, precisions in SUPPORTED_PRECISIONS.items() if precision in precisions]
        raise DeviceUnavailable(
            f"{device} cannot work in {precision}; {' or '.join(able)} can, or ask for the model without @{precision}"
        )
    if device == "openvino":
        from pipeline.inference.engines.openvino_session import open_openvino  # noqa: PLC0415

        return open_openvino(path, precision=precision, slots=placement.slots, threads=placement.threads)
    provider = _PROVIDERS[device]
    engines = placement.cache_path and placement.cache_path / f"{spec.weights_sha256[:16]}-{precision}"
    return onnx_session.open_onnx(path, provider, spec, precision, threads=placement.threads, engines_path=engines)


_PROVIDERS: dict[Device, str] = {
    "cpu": onnx_session.CPU,
    "cuda": onnx_session.CUDA,
    "tensorrt": onnx_session.TENSORRT,
    "coreml": onnx_session.COREML,
}
