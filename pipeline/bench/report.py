"""A report is everything that was measured at once, and on what: kept as JSON, shown as a table."""

from __future__ import annotations

import datetime
import json
import os
import platform
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

import pipeline
from pipeline.bench.figures import Figure, Unavailable
from pipeline.core.files import write_atomically
from pipeline.errors import UsageError

SCHEMA = 2
HEADINGS = ("", "Poseline", "against", "ratio", "goal", "met")
_PACKAGES = {
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu"),
    "openvino": ("openvino",),
    "rtmlib": ("rtmlib",),
    "opencv": ("opencv-python-headless",),
    "av": ("av",),
    "numpy": ("numpy",),
}


@dataclass(frozen=True)
class Report:
    """See the module.

    Args:
        machine: from `describe_machine`.
        clip: the video that was analysed.
        model: in fp32.
        pairs: per figure of the whole system.
        unavailable: engines that this machine does not have.
    """

    machine: Mapping[str, Any]
    clip: Mapping[str, Any]
    model: str
    pairs: int
    figures: tuple[Figure, ...]
    unavailable: tuple[Unavailable, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The report as it is in JSON."""
        return {"schema": SCHEMA, **asdict(self)}

    def write(self, path: Path) -> None:
        """Write the JSON atomically.

        Raises:
            UsageError: it cannot be written.
        """
        write_json(path, self.to_dict())


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a report atomically.

    Raises:
        UsageError: it cannot be written.
    """
    try:
        write_atomically(path, json.dumps(value, indent=1) + "\n")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}; choose another --out") from error


def check_writable(path: Path) -> None:
    """Find out before half an hour of measuring whether a report can be written there.

    Raises:
        UsageError: it cannot, and why.
    """
    if path.exists() and not path.is_file():
        raise UsageError(f"{path} is not a file; name a file with --out")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}; choose another --out") from error


def table_rows(figures: Sequence[Figure]) -> list[tuple[str, str, str, str, str, str]]:
    """The table, as `HEADINGS`."""
    return [
        (
            figure.label,
            _amount(figure.ours, figure.unit),
            "" if figure.baseline is None else f"{_amount(figure.baseline, figure.unit)}, {figure.baseline_label}",
            "" if figure.baseline is None else f"{figure.outcome:.2f}",
            figure.goal or "",
            {True: "yes", False: "no", None: ""}[figure.met],
        )
        for figure in figures
    ]


def notes(figures: Sequence[Figure]) -> list[str]:
    """The figures' notes, one line each."""
    return [f"{figure.label}: {figure.note}." for figure in figures if figure.note]


def _amount(value: float, unit: str) -> str:
    number = f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"
    return f"{number} {unit}".strip()


def describe_machine(cpu: str) -> dict[str, Any]:
    """The hardware, the versions, the date, and the load before anything was measured."""
    return {
        "cpu": cpu,
        "cores": os.cpu_count() or 1,
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "poseline": pipeline.__version__,
        **{name: _first_version(packages) for name, packages in _PACKAGES.items()},
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "load_average_before": [round(value, 2) for value in os.getloadavg()],
    }


def _first_version(packages: tuple[str, ...]) -> str | None:
    for package in packages:
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return None
