"""How fast models are on this machine: the last measurement of each, kept beside the models.

A folder of models is copied from machine to machine, so each measurement names the processor it was made on, and those
of other processors are not shown. The file is a convenience: one that is damaged reads as empty and is replaced by the
next measurement.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.core.files import write_atomically
from pipeline.inference.engines.sessions import DeviceInfo, cpu_name

SPEEDS_FILE = "speeds.json"

_KINDS: dict[str, type | tuple[type, ...]] = {"str": str, "bool": bool, "float": (float, int), "int": int}


@dataclass(frozen=True)
class Speed:
    """One measurement, by the golden check: of one slot alone, with frames that are decoded and scaled already.

    Args:
        fingerprint: of the model; another precision is another fingerprint.
        processor: of the machine; `device` is what ran the model, which may be a GPU.
        engine: with its version.
        frame_ms: median time of a frame: on a CPU on one thread, on a GPU in full batches.
        people_per_frame: mean of those found. The time of two-stage models grows with them.
        batch: frames in each call.
        measured_at: ISO 8601, UTC.
    """

    fingerprint: str
    processor: str
    device: str
    provider: str
    engine: str
    precision: str
    is_gpu: bool
    frame_ms: float
    people_per_frame: float
    batch: int
    measured_at: str

    @property
    def frames_per_s(self) -> float:
        """Frames a second of one slot that works alone; more slots share the cores or the GPU."""
        return 1000 / self.frame_ms

    @property
    def key(self) -> tuple[str, ...]:
        """What a later measurement replaces."""
        return self.fingerprint, self.processor, self.device, self.provider, self.precision


def measured_now(
    fingerprint: str, device: DeviceInfo, *, frame_ms: float, people_per_frame: float, batch: int
) -> Speed:
    """A measurement on this machine at this moment."""
    return Speed(
        fingerprint=fingerprint,
        processor=cpu_name(),
        device=device.name,
        provider=device.provider,
        engine=device.engine,
        precision=device.precision,
        is_gpu=device.is_gpu,
        frame_ms=frame_ms,
        people_per_frame=people_per_frame,
        batch=batch,
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def read_speeds(models_path: Path) -> list[Speed]:
    """The measurements made on this processor, the newest first; what cannot be read is left out."""
    here = cpu_name()
    return [speed for speed in reversed(_read(models_path)) if speed.processor == here]


def record_speed(models_path: Path, speed: Speed) -> None:
    """Keep a measurement in the place of the last one of the same model on the same device.

    Of two processes that write at once one measurement may be lost; the file stays whole.

    Raises:
        OSError: the file cannot be written.
    """
    models_path.mkdir(parents=True, exist_ok=True)
    kept = [each for each in _read(models_path) if each.key != speed.key]
    content = {"speeds": [asdict(each) for each in (*kept, speed)]}
    write_atomically(models_path / SPEEDS_FILE, json.dumps(content, indent=2) + "\n")


def _read(models_path: Path) -> list[Speed]:
    try:
        rows = json.loads((models_path / SPEEDS_FILE).read_bytes())["speeds"]
        return [speed for row in rows if (speed := _parse(row)) is not None]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []


def _parse(row: Any) -> Speed | None:
    try:
        speed = Speed(**row)
    except TypeError:
        return None
    if not all(isinstance(getattr(speed, field.name), _KINDS[str(field.type)]) for field in fields(Speed)):
        return None
    is_possible = 0 < speed.frame_ms < math.inf and 0 <= speed.people_per_frame < math.inf and speed.batch >= 1
    return speed if is_possible else None
