"""What is installed: exact pins without addresses, one OpenCV, no libGL, the same versions in both files."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest

from tests.support.paths import ROOT

LOCK = (ROOT / "requirements.lock").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked() -> dict[str, str]:
    return {normal(name): version for name, version in re.findall(r"^([\w.-]+)==([^\s;]+)", LOCK, re.M)}


def test_the_lock_names_no_host_and_no_path() -> None:
    entries = [line for line in LOCK.splitlines() if not line.lstrip().startswith("#")]
    assert [line for line in entries if "://" in line or re.search(r"[\s=]/\w", line) or " @ " in line] == []
    assert "index" not in LOCK
    assert len(re.findall(r"^[\w.-]+==", LOCK, re.M)) == len(locked())


def test_every_locked_package_has_a_hash() -> None:
    for entry in re.split(r"\n(?=[\w])", re.sub(r"^#.*\n", "", LOCK, flags=re.M)):
        assert "--hash=sha256:" in entry, entry.splitlines()[0]


def test_the_pins_of_the_project_are_those_of_the_lock() -> None:
    pins = PROJECT["project"]["dependencies"] + PROJECT["dependency-groups"]["dev"]
    for pin in pins:
        match = re.fullmatch(r"([\w.-]+)(?:\[[\w,]+\])?==([\w.]+)", pin)
        assert match is not None, f"{pin} is not an exact pin"
        assert locked()[normal(match[1])] == match[2]


def test_only_the_headless_opencv_is_there() -> None:
    found = {normal(d.name) for d in distributions() if "opencv" in normal(d.name)}
    assert found == {"opencv-python-headless"}


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux to see what is loaded")
def test_every_module_can_be_imported_without_libgl() -> None:
    modules = sorted(
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in (ROOT / "pipeline").rglob("*.py")
    )
    code = (
        f"import importlib\nfor name in {modules!r} + ['workers.tasks', 'workers.runtime', 'rtmlib']:\n"
        "    importlib.import_module(name)\n"
        "print([line.split()[-1] for line in open('/proc/self/maps') if 'libGL' in line])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "[]"
