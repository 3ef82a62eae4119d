"""In which precisions a worker may compute, by what is installed and what the CPU has.

Nothing is loaded: a worker says this before it has a model, so that work comes to it that it can do. Whether a model
loads is seen when it is loaded.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from pipeline.core.precision import PRECISIONS, Precision
from pipeline.inference.engines.diagnostics import has_bf16
from pipeline.inference.engines.nvidia import driver_version
from pipeline.inference.engines.onnx_session import TENSORRT, available
from pipeline.inference.engines.placement import AUTO, SUPPORTED_PRECISIONS
from pipeline.inference.engines.sessions import Device

#: Where distributions and NVIDIA's own packages put TensorRT's library.
_LIBRARY_FOLDERS = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/local/tensorrt/lib")


def precisions_on(device: Device) -> tuple[Precision, ...]:
    """What a worker that was asked for `device` may compute in; fp32 is always among them."""
    return tuple(
        precision
        for precision in PRECISIONS
        if precision == "fp32"
        or any(
            precision in SUPPORTED_PRECISIONS[each] and _is_available(each)
            for each in (AUTO[precision] if device == "auto" else (device,))
        )
    )


def _is_available(device: Device) -> bool:
    """Of a device that computes in reduced precision."""
    if device == "openvino":
        return importlib.util.find_spec("openvino") is not None and has_bf16()
    if device == "tensorrt" and TENSORRT in available():
        return bool(driver_version()) and (importlib.util.find_spec("tensorrt_libs") is not None or _has_nvinfer())
    return False


def _has_nvinfer() -> bool:
    folders = [*os.environ.get("LD_LIBRARY_PATH", "").split(":"), *_LIBRARY_FOLDERS]
    return any(any(Path(folder).glob("libnvinfer.so*")) for folder in folders if folder)
