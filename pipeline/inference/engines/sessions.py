"""A loaded network on one device, whichever engine runs it.

A session is loaded once a process and shared by its threads: `run` is thread-safe and releases the GIL. It never falls
back to another device or precision by itself: with rtmlib a `cuda` that found no cuDNN is silently a CPU
(Tau-J/rtmlib#46).
"""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from pipeline.core.precision import Precision

Float32s = npt.NDArray[np.float32]

#: What a person may ask for: `cpu` is onnxruntime's, `openvino` another engine on the same chip.
Device = Literal["auto", "cpu", "openvino", "cuda", "tensorrt", "coreml"]


#: Without its dependencies: openvino-telemetry reports each import to Google Analytics.
INSTALL_OPENVINO = "pip install --no-deps openvino==2026.4.1"

#: Of every network that OpenMMLab exports (mmdeploy).
INPUT_NAME = "input"
#: Images in one call, at most.
MAX_BATCH = 64


@dataclass(frozen=True)
class Port:
    """An input or an output as the network declares it.

    Args:
        shape: None where a size is free.
    """

    name: str
    shape: tuple[int | None, ...]
    is_float32: bool

    def __str__(self) -> str:
        sizes = ", ".join("?" if size is None else str(size) for size in self.shape)
        return f"{self.name} {'float32' if self.is_float32 else 'of another type'} [{sizes}]"


@dataclass(frozen=True)
class DeviceInfo:
    """What really runs a network, read back from the engine and not from what was asked for.

    Args:
        engine: with its version, `onnxruntime 1.31.1`.
        provider: the engine's name of it, `CPUExecutionProvider`.
        name: the chip, for people.
        driver: its version, empty where there is none.
        reason: why it runs here and on nothing better, as text.
    """

    engine: str
    provider: str
    name: str
    driver: str = ""
    precision: Precision = "fp32"
    #: On a GPU frames are batched; on a CPU a batch is no faster (69 ms a frame in fours, 66 alone) and moves the
    #: last bit of a score.
    is_gpu: bool = False
    reason: str = ""

    @property
    def summary(self) -> str:
        """All but the reason, as text: what a chunk was computed with."""
        driver = f", driver {self.driver}" if self.driver else ""
        return f"{self.engine} ({self.provider}) in {self.precision} on {self.name}{driver}"


class Session(Protocol):
    """A network on a device, safe to share between threads."""

    device: DeviceInfo
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    def run(self, batch: Float32s, outputs: Sequence[str]) -> tuple[Float32s, ...]:
        """The outputs named, for float32 `[n, 3, H, W]`; the arrays are the caller's.

        Raises:
            DeviceUnavailable: the GPU failed.
            InvalidWeights: the network failed on a CPU.
        """


def cpu_name() -> str:
    """The chip, for people."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
