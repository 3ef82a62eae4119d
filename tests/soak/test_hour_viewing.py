"""The viewer of an hour of ten people: its timeline, times and poses come at once, while the run goes on and after."""

from __future__ import annotations

import gzip
import time

import pytest

from pipeline.core.roles import Role
from pipeline.services.finish import finish_run
from pipeline.services.system import System
from tests.support.harness import run_of
from tests.support.long_run import make_long_run
from tests.support.web import Client, make_team, served, signed_in

FRAMES, PEOPLE = 108_000, 10
#: Of each answer.
ASKED_S = 0.3
TIMES = 7


def seconds_of(client: Client, path: str) -> tuple[float, float, int]:
    """The first answer's, the quickest of more (the machine may do other work meanwhile), and the bytes of one."""
    taken, size = [], 0
    for _ in range(TIMES):
        began = time.perf_counter()
        answer = client.ask("GET", path, headers={"Accept-Encoding": "gzip"})
        taken.append(time.perf_counter() - began)
        assert answer.status == 200
        size = len(gzip.compress(answer.data))
    return taken[0], min(taken[1:]), size


def test_an_hour_is_seen_at_once(system: System, capsys: pytest.CaptureFixture[str]) -> None:
    run_id = make_long_run(system, FRAMES, PEOPLE)
    team_id, video_id = make_team(system, "team"), run_of(system, run_id).video_id
    run_path = f"/teams/{team_id}/videos/{video_id}/runs/{run_id}"
    slow = []
    with served(system) as origin:
        client = signed_in(system, origin, "a@example.org", team=Role.VIEWER)
        for state in ("going on", "ended"):
            if state == "ended":
                finish_run(system, run_id, "w")
            for path in ("timeline", "times", "poses/0", "poses/180", "poses/359"):
                first, then, size = seconds_of(client, f"{run_path}/{path}")
                line = f"{state}, {path}: {1000 * first:.0f} ms, then {1000 * then:.0f}; {size / 1000:.0f} kB"
                with capsys.disabled():
                    print(line, flush=True)  # noqa: T201  its figures are in the docs
                slow += [line] if then > ASKED_S else []
    assert slow == []
