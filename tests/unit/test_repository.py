"""What the repository holds: nothing at its top that was left there by accident, and nothing large unasked."""

from __future__ import annotations

import subprocess

import pytest

from tests.support.paths import ROOT

TOP = {
    *(".ci", ".dockerignore", ".env.example", ".gitignore", "CHANGELOG.md", "LICENSE", "Makefile", "NOTICE"),
    *("README.md", "docker", "docker-compose.yml", "docs", "migrations", "pipeline", "pyproject.toml"),
    *("requirements.lock", "requirements-dev.lock", "tests", "workers"),
}
#: Files above 250 kB, each of which the product ships on purpose.
LARGE = {"pipeline/inference/bundled/movenet-multipose-384.onnx", "pipeline/cli/clips/demo.mp4"}


def tracked() -> list[str]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [name for name in names.split("\0") if name]


def test_the_top_level_holds_what_belongs_there_and_no_more() -> None:
    assert {name.split("/")[0] for name in tracked()} == TOP


def test_no_large_file_came_in_by_accident() -> None:
    sizes = {name: (ROOT / name).stat().st_size for name in tracked() if (ROOT / name).is_file()}
    assert {name for name, size in sizes.items() if size > 250_000} == LARGE
