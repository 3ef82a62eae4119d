"""onnxruntime with every option set explicitly: on a CPU, on CUDA, through TensorRT, on CoreML."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as vendor

from pipeline.core.model_spec import NetworkSpec
from pipeline.core.precision import Precision
from pipeline.errors import DeviceLost, DeviceUnavailable, InvalidWeights
from pipeline.inference.engines.nvidia import (
    LIBRARIES,
    TENSORRT_LIBRARIES,
    cuda_name,
    driver_version,
    missing_libraries,
)
from pipeline.inference.engines.sessions import INPUT_NAME, MAX_BATCH, DeviceInfo, Float32s, Port, cpu_name

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"
COREML = "CoreMLExecutionProvider"

_TITLES = {CUDA: "CUDA", TENSORRT: "TensorRT", COREML: "CoreML"}
_TENSORRT_BATCH = 8
_LOG_FATAL_ONLY = 4  # every failure becomes an error of ours; the vendor's own lines would only double it
_CUDA_OPTIONS = {
    "device_id": "0",
    # The default searches by timing for every batch size, so the choice of kernel, and with it the last bits,
    # would differ from start to start.
    "cudnn_conv_algo_search": "HEURISTIC",
    "use_tf32": "0",  # one fingerprint whatever the device: a GPU must find what a CPU finds
}

#: What CUDA's provider says in the middle of paths, signatures and host names (`cuda_call.cc`, `bfc_arena.cc`).
_TOLD = re.compile(
    r"\b(CUDA|CUBLAS|CUDNN|CUDNN_FE|CUFFT|CURAND) failure \d+: [^;]+"
    r"|Failed to allocate memory for requested buffer[^;]*|Available memory of [^;]*"
)
_OUT_OF_MEMORY = re.compile(r"out of memory|allocate memory|Available memory of|ALLOC_FAILED|allocation failed", re.I)
_DEVICES_FAULT = re.compile(r"CUDA|cuda_call\.cc|bfc_arena\.cc|CUBLAS|CUDNN|TensorRT|Tensorrt|CoreML")

# The vendor's exceptions share no base class; the rest is what its Python wrapper raises.
VENDOR_ERRORS: tuple[type[Exception], ...] = (
    RuntimeError,
    ValueError,
    *(kind for kind in vars(vendor).values() if isinstance(kind, type) and issubclass(kind, Exception)),
)


class OnnxSession:
    """A `Session` over an `onnxruntime.InferenceSession`."""

    def __init__(self, session: Any, device: DeviceInfo) -> None:
        self._session = session
        self.device = device
        self.inputs = tuple(_port(each) for each in session.get_inputs())
        self.outputs = tuple(_port(each) for each in session.get_outputs())

    def run(self, batch: Float32s, outputs: Sequence[str]) -> tuple[Float32s, ...]:
        """See `Session.run`."""
        try:
            return tuple(self._session.run(list(outputs), {self.inputs[0].name: batch}))
        except VENDOR_ERRORS as error:
            if not self.device.is_gpu:
                raise InvalidWeights(f"the network failed: {reason_of(error)}") from error
            if _OUT_OF_MEMORY.search(str(error)):
                fix = "end what else uses it, or give this worker fewer slots"
                raise DeviceLost(f"the GPU's memory is full: {reason_of(error)}; {fix}") from error
            raise DeviceLost(f"the GPU failed: {reason_of(error)}; start this worker again") from error


def open_onnx(
    path: Path,
    provider: str,
    spec: NetworkSpec | None = None,
    precision: Precision = "fp32",
    *,
    threads: int = 1,
    engines_path: Path | None = None,
) -> OnnxSession:
    """Load a network.

    Args:
        provider: onnxruntime's name of the device.
        spec: what it takes, where that is known; TensorRT has to know it before.
        threads: how many one call of `run` may use on a CPU. One a slot is best for many slots.
        engines_path: a folder of this network's own, where TensorRT keeps what it takes minutes to build.

    Raises:
        InvalidWeights: the file is no ONNX that onnxruntime can load.
        DeviceUnavailable: onnxruntime did not give this provider.
    """
    _require(provider)
    if provider == TENSORRT and missing_libraries(TENSORRT_LIBRARIES):
        raise DeviceUnavailable(_no_device(provider, "it does not load"))
    providers: list[Any] = [CPU] if provider == CPU else [*_with_options(provider, spec, precision, engines_path), CPU]
    try:
        # enable_fallback=0, or the wrapper retries on the CPU by itself and prints about it.
        session = ort.InferenceSession(str(path), _options(threads), providers=providers, enable_fallback=0)
    except VENDOR_ERRORS as error:
        if provider != CPU and _DEVICES_FAULT.search(str(error).replace(str(path), "")):
            raise DeviceUnavailable(_no_device(provider, reason_of(error))) from error
        raise InvalidWeights(f"{path} cannot be loaded as ONNX: {reason_of(error)}; fetch it again") from error
    if session.get_providers()[0] != provider:
        raise DeviceUnavailable(_no_device(provider, "onnxruntime gave the CPU instead"))
    return OnnxSession(session, _device_info(provider, precision))


def available() -> frozenset[str]:
    """The providers that this onnxruntime was built with, whether or not they work here."""
    return frozenset(ort.get_available_providers())


def _device_info(provider: str, precision: Precision) -> DeviceInfo:
    engine = f"onnxruntime {ort.__version__}"
    if provider in {CUDA, TENSORRT}:
        return DeviceInfo(engine, provider, cuda_name(), driver_version(), precision, is_gpu=True)
    return DeviceInfo(engine, provider, cpu_name(), precision=precision, is_gpu=provider != CPU)


def _with_options(
    provider: str, spec: NetworkSpec | None, precision: Precision, engines_path: Path | None
) -> list[tuple[str, dict[str, str]]]:
    if provider == CUDA:
        return [(CUDA, _CUDA_OPTIONS)]
    if provider == COREML:
        return [(COREML, {"ModelFormat": "MLProgram", "MLComputeUnits": "ALL"})]
    options = {
        "device_id": "0",
        "trt_fp16_enable": str(int(precision == "fp16")),
        "trt_bf16_enable": str(int(precision == "bf16")),
    }
    if spec is not None:
        # One engine for every batch: without the span TensorRT builds again, for minutes, for each larger one.
        is_single = spec.decoder in {"yolox", "rtmdet"}
        opt, most = (1, 1) if is_single else (_TENSORRT_BATCH, MAX_BATCH)
        for name, batch in (("min", 1), ("opt", opt), ("max", most)):
            options[f"trt_profile_{name}_shapes"] = f"{INPUT_NAME}:{batch}x3x{spec.height_px}x{spec.width_px}"
    if engines_path is not None:
        try:
            engines_path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DeviceUnavailable(f"engines cannot be kept in {engines_path} ({error}); set POSELINE_HOME") from error
        options |= {
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(engines_path),
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": str(engines_path),
        }
    return [(TENSORRT, options), (CUDA, _CUDA_OPTIONS)]


def _options(threads: int) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.log_severity_level = _LOG_FATAL_ONLY
    # Moot at one thread, where there is no pool. At two threads and two callers on two cores a frame cost 88 ms of
    # CPU time with spinning and 76 ms without.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _require(provider: str) -> None:
    if provider == CPU:
        return
    title = _TITLES[provider]
    if provider not in available():
        fix = "run on a Mac" if provider == COREML else "put onnxruntime-gpu in its place"
        raise DeviceUnavailable(f"no {title}: this onnxruntime is built without it; {fix}, or use the cpu device")
    if provider in {CUDA, TENSORRT}:
        # TensorRT has no option for it, and reads this when its first session is made (microsoft/onnxruntime#26029).
        os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")
        # Before it has a session it logs by its default logger, in colours, what `_no_device` says in one line.
        ort.set_default_logger_severity(_LOG_FATAL_ONLY)
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does not find
            ort.preload_dlls()  # CUDA and cuDNN out of NVIDIA's wheels, where they are installed


def _no_device(provider: str, reason: str) -> str:
    if provider == COREML:
        return f"no CoreML: {reason}; use the cpu device"
    missing = missing_libraries(LIBRARIES | TENSORRT_LIBRARIES if provider == TENSORRT else LIBRARIES)
    if missing:
        reason += f"; not found: {', '.join(missing)}"
    needs = "CUDA, cuDNN and TensorRT" if provider == TENSORRT else "CUDA and cuDNN"
    return f"no {_TITLES[provider]}: {reason}; check `nvidia-smi` and that {needs} are installed, or use the cpu device"


def _port(declared: Any) -> Port:
    sizes = tuple(size if isinstance(size, int) and size > 0 else None for size in declared.shape)
    return Port(declared.name, sizes, declared.type == "tensor(float)")


def reason_of(error: Exception) -> str:
    """What the vendor says is wrong, in one line; of a failure of CUDA not where in its source that was seen."""
    text = " ".join(str(error).split())
    told = _TOLD.search(text)
    return (told.group() if told else text).strip(" ;")[:200]
