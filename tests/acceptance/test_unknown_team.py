"""A misspelt `--team` does not make a team without limits: on a terminal it is asked, elsewhere refused."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.services.system import System
from pipeline.services.teams import add_team, list_teams
from pipeline.settings import Settings
from tests.support.harness import environment, sql


def ingest(settings: Settings, clip: Path, team: str, *, answer: str | None) -> tuple[int, str]:
    """Exit code and what is said, on a terminal where `answer` is typed, or without one."""
    command = [sys.executable, "-m", "pipeline.cli.main", "ingest", str(clip), "--team", team]
    env = {**environment(settings), "TERM": "dumb"}
    if answer is None:
        done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        return done.returncode, done.stderr
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command, env=env, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    ) as asked:
        os.close(theirs)
        os.write(ours, answer.encode())
        said = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # Linux's way to say that the other side is closed
                break
            if not piece:
                break
            said += piece
        code = asked.wait()
    os.close(ours)
    return code, said.decode()


def test_without_a_terminal_an_unknown_team_is_refused(settings: Settings, system: System, short_clip: Path) -> None:
    add_team(system, "tigers", limits={"max_frames": 1000})
    code, said = ingest(settings, short_clip, "tigres", answer=None)
    assert code == 2
    assert said == (
        "poseline: there is no team 'tigres' (did you mean 'tigers'?); `poseline teams` lists them, "
        "`poseline teams add tigres` makes it\n"
    )
    assert [team.name for team in list_teams(system)] == ["tigers"]
    assert sql(system, "SELECT 1 FROM video") == []


@pytest.mark.parametrize(("answer", "code", "made"), [("y\n", 0, True), ("n\n", 2, False), ("\n", 2, False)])
def test_on_a_terminal_it_is_asked(
    settings: Settings, system: System, short_clip: Path, answer: str, code: int, made: bool
) -> None:
    got, said = ingest(settings, short_clip, "lions", answer=answer)
    assert "there is no team 'lions'; make it with the default limits? [y/N]" in said
    assert got == code
    assert [team.name for team in list_teams(system)] == ["lions"] * made
    assert len(sql(system, "SELECT 1 FROM video")) == made


def test_known_teams_and_the_default_one_are_not_asked_about(
    settings: Settings, system: System, short_clip: Path
) -> None:
    add_team(system, "tigers")
    for team in ("tigers", "default"):
        assert ingest(settings, short_clip, team, answer=None)[0] == 0
