"""docs/api.md: its commands work as they stand, and answer what it shows."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.tags import parse_tags
from pipeline.services.system import System
from pipeline.services.tags import tag_video
from tests.support.analysis import analyse
from tests.support.keys import make_key
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "api.md").read_text()


def commands() -> list[tuple[str, str]]:
    """Each command of the page that a shell can run anywhere, and what the page shows of its answer."""
    found: list[tuple[str, str]] = []
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, shown = part.partition("\n")
            if not command.startswith("poseline"):
                found.append((command, shown.strip()))
    return found


def test_its_commands_answer_what_it_shows(system: System, origin: str, short_clip: Path, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    shutil.copy(short_clip, tmp_path / "sprint.mp4")
    analyse(system, tmp_path / "sprint.mp4", team="club")
    tag_video(system, "sprint", team="club", tags=parse_tags(["season=2026"]))
    key = make_key(system, "club")
    wanted = commands()
    assert len(wanted) > 15
    script = ["set -e"]
    for number, (command, _) in enumerate(wanted):
        asked = command.replace("http://127.0.0.1:8080", origin).replace("psl_…", key)
        script.append(asked if asked.startswith("export") else f"{{ {asked} ; }} > answer-{number}")
    subprocess.run(["bash", "-c", "\n".join(script)], cwd=tmp_path, env=dict(os.environ), check=True, timeout=120)
    for number, (command, shown) in enumerate(wanted):
        if shown:
            assert _has(json.loads((tmp_path / f"answer-{number}").read_text()), json.loads(shown)), command
    for name in ("video.json", "run.json", "runs.json", "changes.json"):
        assert "urn:poseline" not in (tmp_path / name).read_text(), name
    assert (tmp_path / "first-bytes").stat().st_size == 100
    assert (tmp_path / "sprint.csv").read_text().startswith("frame,pts,time_s,person")
    assert (tmp_path / "sprint.png").read_bytes().startswith(b"\x89PNG")
    assert "event: changes" in (tmp_path / "events.txt").read_text()


def _has(answer: Any, shown: Any) -> bool:
    """Whether an answer has what is shown: an id or a time may be another one, and more fields may be there."""
    if isinstance(shown, dict):
        return isinstance(answer, dict) and all(name in answer and _has(answer[name], shown[name]) for name in shown)
    if isinstance(shown, list):
        return len(answer) == len(shown) and all(map(_has, answer, shown))
    if isinstance(shown, float):
        return abs(answer - shown) < 0.01
    return (isinstance(shown, str) and ("…" in shown or shown.endswith("Z"))) or bool(answer == shown)
