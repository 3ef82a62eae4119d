"""What a figure was measured on: without this it says nothing."""

from __future__ import annotations

import datetime
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import psutil

import pipeline
from pipeline.inference.engines.sessions import cpu_name

_PACKAGES = {
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu"),
    "openvino": ("openvino",),
    "rtmlib": ("rtmlib",),
    "opencv": ("opencv-python-headless",),
    "av": ("av",),
    "numpy": ("numpy",),
}


def machine_facts() -> dict[str, Any]:
    """The chip, the versions, the date, and how busy the machine is before anything was measured."""
    load = os.getloadavg()
    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count() or 1,
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "poseline": pipeline.__version__,
        **{name: _first_version(packages) for name, packages in _PACKAGES.items()},
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "load_average_before": [round(value, 2) for value in load],
    }


def _first_version(packages: tuple[str, ...]) -> str | None:
    for package in packages:
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return None
