"""What every part of the benchmark is given: one clip, one model, the engines of this machine, and sizes."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pipeline.bench.figures import Size, Unavailable
from pipeline.bench.plain_decode import loop_clip
from pipeline.bench.private_stack import PrivateStack
from pipeline.core.precision import Precision
from pipeline.errors import DeviceUnavailable, UsageError
from pipeline.inference.engines.placement import Placement
from pipeline.inference.engines.sessions import Device
from pipeline.inference.zoo import FoundModel, find_model, load_model, split_precision
from pipeline.video.reader import VideoInfo, probe
from pipeline.video.source import open_source

#: TensorRT takes minutes to build its engines and is left out.
CANDIDATES: tuple[tuple[Device, Precision], ...] = (
    ("cpu", "fp32"),
    ("openvino", "fp32"),
    ("openvino", "bf16"),
    ("cuda", "fp32"),
    ("coreml", "fp32"),
)
_TITLES: dict[Device, str] = {"cpu": "onnxruntime", "openvino": "OpenVINO", "cuda": "CUDA", "coreml": "CoreML"}


@dataclass(frozen=True)
class Engine:
    """A device that works on this machine, at one precision.

    Args:
        model: the name to ask for, with the precision.
    """

    device: Device
    precision: Precision
    model: str

    @property
    def name(self) -> str:
        """For programs: `openvino-bf16`."""
        return self.device if self.precision == "fp32" else f"{self.device}-{self.precision}"

    @property
    def title(self) -> str:
        """For people: `OpenVINO, bf16`."""
        return f"{_TITLES[self.device]}, {self.precision}"

    @property
    def is_cpu(self) -> bool:
        """Whether it computes on the CPU's cores."""
        return self.device in {"cpu", "openvino"}


@dataclass(frozen=True)
class Context:
    """See the module.

    Args:
        source: the clip as it is.
        found: the model in fp32.
        engines: that work on this machine.
        on_step: told one line per step.
    """

    stack: PrivateStack
    source: Path
    found: FoundModel
    engines: tuple[Engine, ...]
    size: Size
    on_step: Callable[[str], None]

    @cached_property
    def source_info(self) -> VideoInfo:
        """The probe's result for the clip as it is."""
        return self.probe(self.source)

    @property
    def cores(self) -> int:
        """The cores of this machine, and so a worker's slots."""
        return os.cpu_count() or 1

    @property
    def cpu_engine(self) -> Engine:
        """onnxruntime on the CPU, which every machine has."""
        return next(engine for engine in self.engines if engine.name == "cpu")

    def probe(self, path: Path) -> VideoInfo:
        """Probe a local video."""
        with open_source(path) as source:
            return probe(source, self.stack.system.limits)

    def clip(self, seconds: float) -> Path:
        """The clip looped by copying its packets until it has at least so many seconds."""
        path = self.stack.scratch_path / f"looped-{seconds:g}.mp4"
        if not path.exists():
            index = self.source_info.index
            frames = len(index)
            last_s = float((index.pts[-1] - index.pts[0]) * index.time_base)
            source_s = last_s * frames / max(1, frames - 1)
            loop_clip(self.source, path, math.ceil(seconds / source_s))
        return path


def find_engines(model: str, models_path: Path) -> tuple[list[Engine], list[Unavailable]]:
    """Load the model on each of `CANDIDATES`: the engines that can, and those that cannot.

    Raises:
        UsageError: the model has two stages, or its name has a precision, although every precision is measured.
        InvalidWeights: the model is not on this machine.
    """
    if split_precision(model)[1] != "fp32":
        raise UsageError(f"{model}: every precision is measured; name the model without it")
    if find_model(model, models_path).spec.side_px is None:
        raise UsageError(f"{model} has two stages; this command measures models with one")
    engines: list[Engine] = []
    unavailable: list[Unavailable] = []
    for device, precision in CANDIDATES:
        engine = Engine(device, precision, model if precision == "fp32" else f"{model}@{precision}")
        try:
            load_model(find_model(engine.model, models_path), Placement(device))
        except DeviceUnavailable as error:
            unavailable.append(Unavailable(engine.name, error.message))
        else:
            engines.append(engine)
    return engines, unavailable
