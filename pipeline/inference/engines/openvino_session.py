"""OpenVINO on a CPU with every option set explicitly.

Left alone it computes in bf16 wherever the chip can, on every core, with its threads pinned to the first ones: here
precision and threads are asked for and read back. It is an extra, so nothing here imports it before it is
asked for.

It must never send anything: importing openvino reports the import to Google Analytics where `openvino-telemetry` is
installed (`openvino/tools/ovc/__init__.py`), so that package is kept from being imported.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.core.precision import Precision
from pipeline.errors import DeviceUnavailable, InvalidWeights
from pipeline.inference.engines.openvino_argmax import speed_up_argmaxes
from pipeline.inference.engines.sessions import INSTALL_OPENVINO, DeviceInfo, Float32s, Port, cpu_name

PROVIDER = "OpenVINO CPU"

#: OpenVINO's names: of the precision requested, and of the capability that the CPU must have. Without the second,
#: bf16 is computed as float32 or emulated.
_HINTS: dict[Precision, tuple[str, str]] = {"fp32": ("f32", "FP32"), "bf16": ("bf16", "BF16")}


class OpenvinoSession:
    """A `Session` over an `openvino.CompiledModel` for one image: each thread has its own request.

    Args:
        compiled: the network, compiled.
        inputs: as the file declares them.
        outputs: as the file declares them.
    """

    def __init__(self, compiled: Any, device: DeviceInfo, inputs: tuple[Port, ...], outputs: tuple[Port, ...]) -> None:
        self.device = device
        self.inputs = inputs
        self.outputs = outputs
        self._compiled = compiled
        self._tensor = importlib.import_module("openvino").Tensor
        self._requests = threading.local()

    def run(self, batch: Float32s, outputs: Sequence[str]) -> tuple[Float32s, ...]:
        """See `Session.run`. Images go through one by one, so that none depends on what else is in the batch."""
        batch = np.ascontiguousarray(batch)
        try:
            parts = [self._run_one(batch[i : i + 1], outputs) for i in range(len(batch))]
            return parts[0] if len(parts) == 1 else tuple(map(np.concatenate, zip(*parts, strict=True)))
        except _vendor_errors() as error:
            raise InvalidWeights(f"the network failed: {_one_line(error)}") from error

    def _run_one(self, image: Float32s, outputs: Sequence[str]) -> tuple[Float32s, ...]:
        request = getattr(self._requests, "request", None)
        if request is None:
            request = self._requests.request = self._compiled.create_infer_request()
        # OpenVINO takes the memory of an array that could be written to; of another it needs a copy.
        tensor = self._tensor(image, shared_memory=image.flags.writeable)
        request.set_input_tensor(tensor)
        request.infer()
        # Copies: the tensors are the request's own, and its next call writes over them.
        return tuple(request.get_tensor(name).data.copy() for name in outputs)


def open_openvino(path: Path, *, precision: Precision, slots: int, threads: int = 1) -> OpenvinoSession:
    """Load a network.

    Args:
        precision: fp32 or bf16.
        slots: threads that call at once. OpenVINO makes no more than the machine has cores, and the others wait.
        threads: by which each call is computed.

    Raises:
        DeviceUnavailable: OpenVINO is not installed, or this CPU cannot compute in this precision.
        InvalidWeights: the file is no ONNX that OpenVINO can load.
    """
    # OpenVINO gives the thread that loads a network another stack for signals, and takes it away with the network: from
    # a thread that lives on, where another one drops it, so that the next signal ends the process.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_open, path, precision, slots, threads).result()


def _open(path: Path, precision: Precision, slots: int, threads: int) -> OpenvinoSession:
    openvino = _import_openvino()
    core = openvino.Core()
    _require_able(precision, core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
    try:
        network, inputs, outputs = _read(path)
        compiled = core.compile_model(network, "CPU", _options(precision, slots, threads))
    except _vendor_errors() as error:
        raise InvalidWeights(f"{path} cannot be loaded as ONNX: {_one_line(error)}; fetch it again") from error
    _require_kept(precision, compiled.get_property("INFERENCE_PRECISION_HINT").to_string())
    version = str(openvino.get_version()).partition("-")[0]
    return OpenvinoSession(
        compiled, DeviceInfo(f"openvino {version}", PROVIDER, cpu_name(), precision=precision), inputs, outputs
    )


def _import_openvino() -> Any:
    """The package, without what would report its use.

    Raises:
        DeviceUnavailable: it is not installed, or does not load.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None: an import of it fails
    try:
        return importlib.import_module("openvino")
    except ModuleNotFoundError as error:
        raise DeviceUnavailable(f"OpenVINO is not installed; `{INSTALL_OPENVINO}`, or use the cpu device") from error
    except ImportError as error:
        raise DeviceUnavailable(f"OpenVINO does not load here: {_one_line(error)}; use the cpu device") from error


def _read(path: Path) -> tuple[Any, tuple[Port, ...], tuple[Port, ...]]:
    """The network for one image, and what the file declares.

    Raises:
        InvalidWeights: the file holds no network.
    """
    # Asked by name: `read_model` tries every format that it knows, and TensorFlow's reader prints about it.
    frontend = importlib.import_module("openvino.frontend").FrontEndManager().load_by_framework("onnx")
    network = frontend.convert(frontend.load(str(path)))
    inputs = tuple(_port(each) for each in network.inputs)
    outputs = tuple(_port(each) for each in network.outputs)
    if not inputs or not outputs:
        raise InvalidWeights(f"{path} cannot be loaded as ONNX: there is no network in it; fetch it again")
    # One image: with the batch left free two slots took 60 MB more and were no faster.
    if len(inputs) == 1 and inputs[0].shape[:1] == (None,):
        network.reshape({network.input(0): [1, *(-1 if size is None else size for size in inputs[0].shape[1:])]})
    speed_up_argmaxes(network)
    return network, inputs, outputs


def _port(declared: Any) -> Port:
    shape = declared.get_partial_shape()
    sizes = () if shape.rank.is_dynamic else tuple(s.get_length() if s.is_static else None for s in shape)
    names = declared.get_names()
    return Port(declared.get_any_name() if names else "", sizes, declared.get_element_type().to_string() == "f32")


def _options(precision: Precision, slots: int, threads: int) -> dict[str, Any]:
    return {
        "INFERENCE_PRECISION_HINT": _HINTS[precision][0],
        # The rest of what it may trade for speed: nothing.
        "EXECUTION_MODE_HINT": "ACCURACY",
        # Two streams of one thread gave 55.7 frames/s in bf16 and 28.4 in fp32; one of two threads 49.7 and 23.6.
        "NUM_STREAMS": slots,
        "INFERENCE_NUM_THREADS": slots * threads,
        "ENABLE_HYPER_THREADING": True,
        # Workers on one machine pin themselves to the same cores: two of one slot gave 13 frames/s each, unpinned 27.
        "ENABLE_CPU_PINNING": False,
    }


def _require_able(precision: Precision, capabilities: Sequence[str]) -> None:
    """
    Raises:
        DeviceUnavailable: the chip cannot compute in this precision by itself.
    """
    if precision not in _HINTS or _HINTS[precision][1] not in capabilities:
        raise DeviceUnavailable(f"this CPU ({cpu_name()}) cannot compute in {precision} with OpenVINO; use fp32")


def _require_kept(precision: Precision, hint: str) -> None:
    """
    Raises:
        DeviceUnavailable: the network was compiled for another precision than the one asked for.
    """
    if hint != _HINTS[precision][0]:
        raise DeviceUnavailable(f"OpenVINO was asked for {precision} and took {hint}; use fp32, or the cpu device")


def _vendor_errors() -> tuple[type[Exception], ...]:
    """What OpenVINO raises: its exceptions share no base class but `Exception`."""
    bound = vars(importlib.import_module("openvino._pyopenvino")).values()
    kinds = [kind for kind in bound if isinstance(kind, type) and issubclass(kind, Exception)]
    return (RuntimeError, ValueError, TypeError, *kinds)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
