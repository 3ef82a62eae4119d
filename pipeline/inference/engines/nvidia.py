"""What this machine has of NVIDIA's, read from the driver's own listing and by trying its libraries.

Nothing here starts a process: `nvidia-smi` may hang where a card has fallen off its bus.
"""

from __future__ import annotations

import contextlib
import ctypes
import re
from collections.abc import Mapping
from pathlib import Path

_DRIVER = Path("/proc/driver/nvidia")

#: What the CUDA provider of onnxruntime-gpu 1.31 links to, in CUDA 13 and cuDNN 9 (`onnxruntime/__init__.py`,
#: `_get_nvidia_dll_paths`), with what brings it.
LIBRARIES = {
    "libcuda.so.1": "NVIDIA's driver, 580 or newer",
    "libcudart.so.13": "nvidia-cuda-runtime 13",
    "libcublasLt.so.13": "nvidia-cublas 13",
    "libcublas.so.13": "nvidia-cublas 13",
    "libcurand.so.10": "nvidia-curand 10",
    "libcufft.so.12": "nvidia-cufft 12",
    "libcudnn.so.9": "nvidia-cudnn-cu13 9",
}
#: What its TensorRT provider links to besides.
TENSORRT_LIBRARIES = {"libnvinfer.so.10": "TensorRT 10", "libnvonnxparser.so.10": "TensorRT 10"}


def cuda_name() -> str:
    """The card that CUDA calls device 0, which is the one in use; where it cannot say, the first of the machine."""
    with contextlib.suppress(OSError, AttributeError):
        cuda, device, name = ctypes.CDLL("libcuda.so.1"), ctypes.c_int(), ctypes.create_string_buffer(256)
        asked = (cuda.cuInit(0), cuda.cuDeviceGet(ctypes.byref(device), 0), cuda.cuDeviceGetName(name, 256, device))
        if not any(asked) and name.value:
            return name.value.decode("utf-8", "replace")
    for listing in sorted((_DRIVER / "gpus").glob("*/information")):
        with contextlib.suppress(OSError):
            for line in listing.read_text().splitlines():
                if line.startswith("Model:"):
                    return line.partition(":")[2].strip()
    return "CUDA device 0"


def driver_version() -> str:
    """Of the kernel's module, such as `570.86.15`; empty where there is none."""
    with contextlib.suppress(OSError):
        found = re.search(r"\b\d{3}\.\d+(\.\d+)*\b", (_DRIVER / "version").read_text())
        return found.group() if found else ""
    return ""


def missing_libraries(needed: Mapping[str, str] = LIBRARIES) -> list[str]:
    """What a provider needs and cannot load, each with where it comes from.

    Call it after onnxruntime has tried: what it has loaded out of NVIDIA's wheels is found by its name then.
    """
    missing = []
    for name, source in needed.items():
        try:
            ctypes.CDLL(name)
        except OSError:
            missing.append(f"{name} ({source})")
    return missing
