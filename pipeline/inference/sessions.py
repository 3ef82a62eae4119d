"""A loaded network on one device: onnxruntime, told everything that it would otherwise guess.

A session is loaded once a process and shared by its threads: `run` is thread-safe and releases the GIL, so n slots are
n threads that each run a single-threaded session call. It never falls back to another device by itself: with rtmlib a
`cuda` that found no cuDNN is silently a CPU (Tau-J/rtmlib#46).
"""

from __future__ import annotations

import contextlib
import io
import platform
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as vendor

from pipeline.errors import DeviceUnavailable, ModelUnusable

Float32s = npt.NDArray[np.float32]
Device = Literal["auto", "cpu", "cuda"]

#: Names of RTMO's ONNX export (mmdeploy `pose-detection_rtmo_onnxruntime_dynamic.py`).
INPUT_NAME = "input"
OUTPUT_NAMES = ("dets", "keypoints")

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"

_LOG_FATAL_ONLY = 4  # every failure becomes an error of ours; the vendor's own lines would only double it
_CUDA_OPTIONS = {
    "device_id": "0",
    # The default searches by timing anew for every batch size, so the choice of kernel, and with it the last bits,
    # would differ from start to start.
    "cudnn_conv_algo_search": "HEURISTIC",
    "use_tf32": "0",  # one fingerprint whatever the device: a GPU must find what a CPU finds
}

# The vendor's exceptions share no base class; the rest is what its Python wrapper raises.
_VENDOR_ERRORS: tuple[type[Exception], ...] = (
    RuntimeError,
    ValueError,
    *(kind for kind in vars(vendor).values() if isinstance(kind, type) and issubclass(kind, Exception)),
)


class Session(Protocol):
    """A network on a device, safe to share between threads."""

    @property
    def provider(self) -> str:
        """What really runs it, in onnxruntime's words: `CPUExecutionProvider` or `CUDAExecutionProvider`."""

    @property
    def device_name(self) -> str:
        """The chip, for people."""

    def run(self, batch: Float32s) -> tuple[Float32s, ...]:
        """The raw outputs for float32 `[n, 3, S, S]`: dets `[n, K, 5]` and keypoints `[n, K, k, 3]`, input pixels."""


class OnnxSession:
    """A `Session` over an `onnxruntime.InferenceSession` that has passed the contract."""

    def __init__(self, session: Any, provider: str, input_side_px: int) -> None:
        self._session = session
        self.provider = provider
        self.input_side_px = input_side_px
        self.device_name = _cuda_name() if provider == CUDA else _cpu_name()

    def run(self, batch: Float32s) -> tuple[Float32s, ...]:
        """See `Session.run`.

        Raises:
            DeviceUnavailable: the GPU broke off.
            ModelUnusable: the network broke off on a CPU.
        """
        try:
            return tuple(self._session.run(OUTPUT_NAMES, {INPUT_NAME: batch}))
        except _VENDOR_ERRORS as error:
            if self.provider == CUDA:
                raise DeviceUnavailable(f"the GPU broke off: {_one_line(error)}; start this worker again") from error
            raise ModelUnusable(f"the network broke off: {_one_line(error)}") from error


def build_session(path: Path, device: Device, threads: int = 1) -> OnnxSession:
    """Load a network with RTMO's contract, and run it once so that what is broken shows now.

    Args:
        device: `auto` takes CUDA where it is there and works, else the CPU.
        threads: how many one call of `run` may use on a CPU. One a slot is best for many slots.

    Raises:
        ModelUnusable: the file is no ONNX, or its input and outputs are not RTMO's.
        DeviceUnavailable: `cuda` was asked for and onnxruntime did not give it.
    """
    if device == "cpu":
        return _open(path, CPU, threads)
    if device == "cuda":
        return _open(path, CUDA, threads)
    with contextlib.suppress(DeviceUnavailable):
        return _open(path, CUDA, threads)
    return _open(path, CPU, threads)


def _open(path: Path, provider: str, threads: int) -> OnnxSession:
    if not path.is_file():
        raise ModelUnusable(f"{path} is not there")
    if provider == CUDA:
        _require_cuda()
    providers = [(CUDA, _CUDA_OPTIONS), CPU] if provider == CUDA else [CPU]
    try:
        # enable_fallback=0, or the wrapper retries on the CPU by itself and prints about it.
        session = ort.InferenceSession(str(path), _options(threads), providers=providers, enable_fallback=0)
    except _VENDOR_ERRORS as error:
        if provider == CUDA and "CUDA" in str(error):
            raise DeviceUnavailable(_no_cuda(_one_line(error))) from error
        raise ModelUnusable(f"{path} cannot be loaded as ONNX: {_one_line(error)}; fetch it again") from error
    if session.get_providers()[0] != provider:
        raise DeviceUnavailable(_no_cuda("onnxruntime gave the CPU instead"))
    opened = OnnxSession(session, provider, _checked_side_px(path, session))
    _check_outputs(path, opened)
    return opened


def _options(threads: int) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.log_severity_level = _LOG_FATAL_ONLY
    # Moot at one thread, where there is no pool. At two threads and two callers on two cores a frame cost 88 ms of
    # processor time with spinning and 76 ms without.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _require_cuda() -> None:
    if CUDA not in ort.get_available_providers():
        raise DeviceUnavailable(
            "no GPU: this onnxruntime is built without CUDA; put onnxruntime-gpu in its place, or use the cpu device"
        )
    with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does not find
        ort.preload_dlls()  # CUDA and cuDNN out of NVIDIA's wheels, where they are installed


def _no_cuda(reason: str) -> str:
    return f"no GPU: {reason}; check `nvidia-smi` and that CUDA and cuDNN are installed, or use the cpu device"


def _checked_side_px(path: Path, session: Any) -> int:
    """The side S of the declared input float32 `[batch, 3, S, S]`.

    Raises:
        ModelUnusable: the declared input or outputs are not RTMO's.
    """
    inputs = [(each.name, each.type, list(each.shape)) for each in session.get_inputs()]
    outputs = sorted(each.name for each in session.get_outputs())
    match inputs:
        case [(str(name), "tensor(float)", [batch, 3, int(height), int(width)])] if (
            name == INPUT_NAME and not isinstance(batch, int) and height == width
        ):
            side_px = height
        case _:
            raise ModelUnusable(
                f"{path} does not follow RTMO's contract: it takes {inputs}, not one `{INPUT_NAME}` "
                "of float32 [batch, 3, side, side] with a free batch"
            )
    if outputs != sorted(OUTPUT_NAMES):
        raise ModelUnusable(f"{path} does not follow RTMO's contract: it gives {outputs}, not {list(OUTPUT_NAMES)}")
    return side_px


def _check_outputs(path: Path, session: OnnxSession) -> None:
    """Run a grey square; declared shapes may be left open, given ones may not.

    Raises:
        ModelUnusable: the outputs are not dets `[1, K, 5]` and keypoints `[1, K, k, 3]`.
        DeviceUnavailable: the GPU cannot run the network.
    """
    side_px = session.input_side_px
    dets, keypoints = session.run(np.full((1, 3, side_px, side_px), 114, np.float32))
    rows = dets.shape[1] if dets.ndim == 3 else -1
    if dets.shape != (1, rows, 5) or keypoints.ndim != 4 or keypoints.shape[:2] != (1, rows) or keypoints.shape[3] != 3:
        raise ModelUnusable(
            f"{path} does not follow RTMO's contract: it gave dets {dets.shape} and keypoints {keypoints.shape}, "
            "not (1, K, 5) and (1, K, k, 3)"
        )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _cpu_name() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _cuda_name() -> str:
    # The driver's own listing; asking nvidia-smi would start a process for one word.
    for listing in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        for line in listing.read_text().splitlines():
            if line.startswith("Model:"):
                return line.partition(":")[2].strip()
    return "CUDA device 0"
