"""Which engines work here: each is tried with the model itself; one that is not here is told with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.bench.figures import NotHere
from pipeline.core.precision import Precision
from pipeline.errors import DeviceUnavailable, UsageError
from pipeline.inference.engines.placement import Placement
from pipeline.inference.engines.sessions import Device
from pipeline.inference.zoo import find_model, load_model, split_precision

#: CoreML and CUDA come in where they are. TensorRT takes minutes to build its engines and is left out.
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
    """A device that works here, at one precision.

    Args:
        model: the name to ask for, precision and all.
        version: of the engine, in its own words.
    """

    device: Device
    precision: Precision
    model: str
    version: str

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
        """Whether it works on the processor's cores."""
        return self.device in {"cpu", "openvino"}


def find_engines(model: str, models_path: Path) -> tuple[list[Engine], list[NotHere]]:
    """Those that load the model, in the order of `CANDIDATES`, and those that do not.

    Raises:
        UsageError: the model is not of one stage, or its name has a precision, which is this command's to choose.
        InvalidWeights: the model is not on this machine.
    """
    if split_precision(model)[1] != "fp32":
        raise UsageError(f"{model}: every precision is measured anyway; name the model without it")
    if find_model(model, models_path).spec.side_px is None:
        raise UsageError(f"{model} has two stages; this command measures models of one")
    here: list[Engine] = []
    missing: list[NotHere] = []
    for device, precision in CANDIDATES:
        full_name = model if precision == "fp32" else f"{model}@{precision}"
        engine = Engine(device, precision, full_name, "")
        try:
            info = load_model(find_model(full_name, models_path), Placement(device)).device
        except DeviceUnavailable as error:
            missing.append(NotHere(engine.name, error.message))
        else:
            here.append(Engine(device, precision, full_name, info.engine))
    return here, missing
