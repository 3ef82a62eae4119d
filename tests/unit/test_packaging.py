"""What is installed: exact pins without addresses, one OpenCV, no libGL, the same versions in all files."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest

from pipeline.inference.engines.sessions import INSTALL_OPENVINO
from tests.support.paths import ROOT

NPM_LOCK = json.loads((ROOT / "pipeline/web/package-lock.json").read_text())
RUNNING, TOOLS = ((ROOT / name).read_text() for name in ("requirements.lock", "requirements-dev.lock"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
STAMPS = ("node_modules/.ready", "node_modules/.tools", "dist/manifest.json")
BOTH = pytest.mark.parametrize("lock", [RUNNING, TOOLS], ids=["requirements.lock", "requirements-dev.lock"])


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(lock: str) -> dict[str, str]:
    return {normal(name): version for name, version in re.findall(r"^([\w.-]+)==([^\s;]+)", lock, re.M)}


def pinned(pins: list[str]) -> dict[str, str]:
    """Names and versions of exact pins, without their extras."""
    found = {}
    for pin in pins:
        match = re.fullmatch(r"([\w.-]+)(?:\[[\w,]+\])?==([\w.]+)", pin)
        assert match is not None, f"{pin} is not an exact pin"
        found[normal(match[1])] = match[2]
    return found


def group(name: str) -> dict[str, str]:
    return pinned([pin for pin in PROJECT["dependency-groups"][name] if isinstance(pin, str)])


@BOTH
def test_the_lock_names_no_host_and_no_path(lock: str) -> None:
    entries = [line for line in lock.splitlines() if not line.lstrip().startswith("#")]
    assert [line for line in entries if "://" in line or re.search(r"[\s=]/\w", line) or " @ " in line] == []
    assert "index" not in lock
    assert len(re.findall(r"^[\w.-]+==", lock, re.M)) == len(locked(lock))


@BOTH
def test_every_locked_package_has_a_hash(lock: str) -> None:
    for entry in re.split(r"\n(?=[\w])", re.sub(r"^#.*\n", "", lock, flags=re.M)):
        assert "--hash=sha256:" in entry, entry.splitlines()[0]


def test_the_pins_of_the_project_are_those_of_the_locks() -> None:
    running = pinned(PROJECT["project"]["dependencies"]) | group("build")
    assert running.items() <= locked(RUNNING).items()
    assert (running | group("dev")).items() <= locked(TOOLS).items()


def test_the_lock_of_the_pages_names_no_host_and_every_package_has_a_hash() -> None:
    root, *packages = NPM_LOCK["packages"].items()
    assert root[0] == ""
    assert [name for name, entry in packages if not entry.get("integrity", "").startswith("sha512-")] == []
    assert [name for name, entry in packages if "resolved" in entry or "://" in entry["version"]] == []


def test_the_pins_of_the_pages_are_exact_and_those_of_their_lock() -> None:
    package = json.loads((ROOT / "pipeline/web/package.json").read_text())
    for kind in ("dependencies", "devDependencies"):
        assert NPM_LOCK["packages"][""][kind] == package[kind]
        for name, version in package[kind].items():
            assert NPM_LOCK["packages"][f"node_modules/{name}"]["version"] == version


def test_openvino_is_installed_in_the_version_that_is_tested() -> None:
    [pin] = PROJECT["project"]["optional-dependencies"]["openvino"]
    assert INSTALL_OPENVINO.split()[-1] == pin
    assert pinned([pin]).items() <= group("dev").items()


def test_what_runs_is_tested_in_the_same_versions_and_no_tool_is_part_of_it() -> None:
    blocks = [dict(re.findall(r"^([\w.-]+)(==(?:.*\n    --hash)*.*)$", lock, re.M)) for lock in (RUNNING, TOOLS)]
    assert len(blocks[0]) == len(locked(RUNNING))
    assert blocks[0].items() <= blocks[1].items(), "versions or hashes differ; `make lock` renews both"
    assert not group("dev").keys() & locked(RUNNING).keys()


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_the_demo_needs_no_tools_and_keeps_those_that_are_there(tmp_path: Path) -> None:
    """What `make` would do, from its own dry run, for a fresh checkout and for one where it did it."""

    def steps(target: str) -> list[str]:
        done = subprocess.run(["make", "-n", target], cwd=tmp_path, capture_output=True, text=True, check=True)
        return [
            python or npm
            for python, npm in re.findall(
                r"install .*?(-r \S+|--editable \.)$|(npm ci(?= )|--omit=dev$|npm run --silent build$)",
                done.stdout,
                re.M,
            )
        ]

    def age(name: str, seconds: int) -> None:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (seconds, seconds))

    shutil.copy(ROOT / "Makefile", tmp_path / "Makefile")
    web = ("package-lock.json", "index.html", "vite.config.ts", "tsconfig.json", "tests/unpack_browser.ts")
    pages = [f"pipeline/web/{name}" for name in (*web, "src/main.tsx", "src")]
    for name in ("pyproject.toml", "requirements.lock", "requirements-dev.lock", *pages):
        age(name, 1)
    running, tools = ["-r requirements.lock", "--editable ."], ["-r requirements-dev.lock"]
    builder, checker, build = ["npm ci", "--omit=dev"], ["npm ci"], ["npm run --silent build"]
    assert steps("demo") == running + builder + build
    assert sorted(steps("test")) == sorted(running + tools + builder + checker + build)
    for older, stamp in enumerate((".venv/.ready", ".venv/.tools", *(f"pipeline/web/{name}" for name in STAMPS))):
        age(stamp, 10 + older)
    assert steps("demo") == steps("test") == []
    age("requirements-dev.lock", 20)
    assert (steps("demo"), steps("test")) == ([], tools)
    age("requirements.lock", 30)
    assert (steps("demo"), steps("test")) == (running, running + tools)
    for name in (".venv/.ready", ".venv/.tools"):
        age(name, 40)
    age("pipeline/web/src/main.tsx", 50)
    assert steps("demo") == steps("test") == build
    age("pipeline/web/package-lock.json", 60)
    assert steps("demo") == builder + build
    assert sorted(steps("test")) == sorted(builder + checker + build)
    assert "uninstall" not in (ROOT / "Makefile").read_text()


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
