"""The rig of the fault tests, and where they write how long recovery took: `FAULT_TIMES=docs/faults.json pytest …`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.services.system import System
from pipeline.settings import Settings
from tests.acceptance.faults.rig import FRAMES, Rig, put_oracle
from tests.conftest import fresh_settings, opened
from tests.support.analysis import analyse
from tests.support.harness import export_bytes, processes
from tests.support.video_maker import make_video


@pytest.fixture(scope="session")
def times() -> Iterator[dict[str, float]]:
    """Seconds until recovery, by test; merged at the end into the file that FAULT_TIMES names."""
    measured: dict[str, float] = {}
    yield measured
    if to := os.environ.get("FAULT_TIMES"):
        path = Path(to)
        before = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(before | measured, indent=1, sort_keys=True) + "\n")


@pytest.fixture(scope="session")
def numbered_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds with each frame's number in its pixels."""
    return make_video(tmp_path_factory.mktemp("numbered") / "numbered.mp4", FRAMES, gop=10)


@pytest.fixture(scope="session")
def expected(servers: Path, template: str, numbered_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The numbered clip's export from an undisturbed run in one process and one chunk."""
    folder = tmp_path_factory.mktemp("expected")
    with fresh_settings(servers, template, folder / "home") as settings, opened(settings) as system:
        return clean_export(system, numbered_clip, folder)


def clean_export(system: System, clip: Path, folder: Path) -> bytes:
    put_oracle(system.settings.models_path)
    run_id = analyse(system, clip, put=False)
    return export_bytes(system, run_id, folder / "expected.jsonl")


@pytest.fixture
def rig(
    system: System, settings: Settings, numbered_clip: Path, expected: bytes, tmp_path: Path, times: dict[str, float]
) -> Iterator[Rig]:
    """Servers, a clip and what it must give; the processes of the test end with it."""
    with processes(settings, tmp_path / "logs") as running:
        yield Rig(system, running, numbered_clip, expected, tmp_path, times)
