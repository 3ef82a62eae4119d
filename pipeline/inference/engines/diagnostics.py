"""Text for `poseline doctor`: what this machine can compute with, what is missing, and the fix.

No session is made, no engine is imported and no process is started.
"""

from __future__ import annotations

import importlib.util
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pipeline.errors import DeviceUnavailable
from pipeline.inference.engines.nvidia import cuda_name, driver_version, missing_libraries
from pipeline.inference.engines.sessions import INSTALL_OPENVINO

#: Builds of onnxruntime that unpack into one folder (PyPI); two of them overwrite each other's files.
_BUILDS = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml", "onnxruntime-silicon")

#: Linux's flags in /proc/cpuinfo for bf16 arithmetic (arch/x86/include/asm/cpufeatures.h; arm64's elf_hwcaps).
_BF16_FLAGS = ("amx_bf16", "avx512_bf16", "bf16")


def describe_onnxruntime(installed: dict[str, str] | None = None) -> str:
    """Which build of onnxruntime is here.

    Args:
        installed: version by package; None to look.

    Raises:
        DeviceUnavailable: there is not exactly one.
    """
    found = _installed() if installed is None else installed
    builds = ", ".join(f"{name} {number}" for name, number in found.items())
    if not found:
        raise DeviceUnavailable("no onnxruntime is installed; install from requirements.lock (`make install`)")
    if len(found) > 1:
        keep = "onnxruntime-gpu" if "onnxruntime-gpu" in found else "onnxruntime"
        raise DeviceUnavailable(
            f"{builds} are installed and overwrite each other's files; `pip uninstall {' '.join(found)}`, then "
            f"`pip install {keep}`"
        )
    return builds


def describe_nvidia(*, has_cuda_build: bool, driver: str | None = None, missing: list[str] | None = None) -> str:
    """What there is of NVIDIA's, and whether it is used. Ask when a model was loaded: see `missing_libraries`.

    Args:
        has_cuda_build: whether onnxruntime was built for it.
        driver: its version, empty for none; None to look.
        missing: libraries that cannot be loaded; None to try.

    Raises:
        DeviceUnavailable: onnxruntime was built for CUDA and something of that is missing.
    """
    driver = driver_version() if driver is None else driver
    if not has_cuda_build:
        if not driver:
            return "no driver, and onnxruntime is built without CUDA"
        return (
            f"{cuda_name()}, driver {driver}, not used: onnxruntime is built without CUDA; "
            "`pip uninstall onnxruntime`, then `pip install onnxruntime-gpu`"
        )
    missing = missing_libraries() if missing is None else missing
    if not driver:
        raise DeviceUnavailable(
            "onnxruntime is built for CUDA, but no NVIDIA driver is loaded; install NVIDIA's driver, 580 or newer "
            "(in a container: run it with `--gpus all`), or put onnxruntime in the place of onnxruntime-gpu"
        )
    if missing:
        raise DeviceUnavailable(
            f"{cuda_name()}, driver {driver}, but not found: {', '.join(missing)}; "
            "install what stands behind each, by pip or with CUDA and cuDNN themselves"
        )
    return f"{cuda_name()}, driver {driver}, CUDA and cuDNN are found"


def describe_openvino(flags: set[str] | None = None) -> str:
    """Whether OpenVINO is here, and whether this CPU has bf16.

    Args:
        flags: the CPU's, as Linux names them; None to read them.
    """
    own = _cpu_flags() if flags is None else flags
    flag = next((flag for flag in _BF16_FLAGS if flag in own), None)
    bf16 = "this CPU has no bf16" if flag is None else f"this CPU has bf16 ({flag})"
    if importlib.util.find_spec("openvino") is None:
        return f"not installed; {bf16}; `{INSTALL_OPENVINO}` brings it"
    return f"{version('openvino')}; {bf16}" + ("" if flag is None else ", models named NAME@bf16 use it")


def has_bf16() -> bool:
    """Whether this machine's CPU has bf16 arithmetic."""
    return not _cpu_flags().isdisjoint(_BF16_FLAGS)


def _installed() -> dict[str, str]:
    found = {}
    for name in _BUILDS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _cpu_flags() -> set[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return {flag for line in lines if line.startswith(("flags", "Features")) for flag in line.partition(":")[2].split()}
