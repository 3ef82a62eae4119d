"""The examples of docs/reprocessing.md do what the page says, on the command line."""

from __future__ import annotations

import re
import shlex

import pytest

from pipeline.services.passes import advance_passes
from pipeline.services.system import System
from tests.integration.services.test_dispatch import add_worker
from tests.support.commands import said
from tests.support.harness import sql
from tests.support.nights import analyse
from tests.support.paths import ROOT
from tests.support.season import fill_videos

pytestmark = pytest.mark.usefixtures("configured")

PAGE = (ROOT / "docs" / "reprocessing.md").read_text()
EXAMPLES = re.findall(r"^\$ (poseline .*)\n((?:(?!\$ |```).*\n)*)", PAGE, re.M)


def without_what_differs(text: str) -> list[str]:
    """The words of an output, without times."""
    text = "\n".join(line for line in text.splitlines() if "[info" not in line)
    return re.sub(r"(\w{3} )?(\d{4}-)?\d\d-\d\d \d\d:\d\d(:\d\d)?|\b[0-9a-f]{8}\b", "…", text).split()


def test_every_example_prints_what_the_page_says(system: System, capsys: pytest.CaptureFixture[str]) -> None:
    fill_videos(system, videos=4, frames=60)
    sql(system, """UPDATE video SET created_at = created_at - interval '30 days'""")
    sql(system, """UPDATE video SET tags = '{"season": "2025"}' WHERE name <> 'match-4.mp4'""")
    add_worker(system, 1)
    for command, shown in EXAMPLES:
        if command.endswith("--promotion better"):
            # The sample is done with, so that the schedule has three videos.
            sql(system, "UPDATE pass SET closed_at = now(), ended = 'stopped'")
            sql(system, "DELETE FROM run")
        if command == "poseline schedule show season":
            analyse(system)
            advance_passes(system)
            sql(system, "UPDATE video SET tags = '{}' WHERE name = 'match-3.mp4'")
        assert without_what_differs(said(capsys, *shlex.split(command)[1:])) == without_what_differs(shown), command
    assert len(EXAMPLES) == 13


def test_the_page_names_every_command_of_schedules() -> None:
    from pipeline.cli.schedule import schedule  # noqa: PLC0415

    for name in schedule.commands:
        assert f"poseline schedule {name}" in PAGE
