"""Pausing a team or a lane: nothing more of it is sent, what was sent goes on, and it is said where people look."""

from __future__ import annotations

import json

import pytest

from pipeline.cli.main import main
from pipeline.db.engine import transaction
from pipeline.db.workers import DeviceRow, report_worker
from pipeline.errors import UnknownLane, UnknownTeam
from pipeline.services.dispatch import dispatch
from pipeline.services.pause import list_pauses, pause, resume
from pipeline.services.runs import get_run, poll_runs
from pipeline.services.system import System
from pipeline.services.teams import add_team
from pipeline.settings import Settings
from tests.integration.db.test_chunks import claim, commit, make_run
from tests.support.harness import sql


def sent(system: System) -> list[object]:
    return [run_id for (run_id,) in sql(system, "SELECT DISTINCT run_id FROM chunk WHERE state = 'queued'")]


@pytest.mark.parametrize("kind", ["team", "lane"])
def test_nothing_more_of_what_is_paused_is_sent_and_what_was_sent_goes_on(system: System, kind: str) -> None:
    held, other = make_run(system, team="held"), make_run(system, team="other")
    sql(system, "UPDATE run SET lane = 'reprocess' WHERE id = :id", id=held)
    part = ("team", "held") if kind == "team" else ("lane", "reprocess")
    with transaction(system.engine) as connection:
        computes = DeviceRow("a chip", "a provider")
        report_worker(connection, name="w", pid=1, slots=8, version="1", computes=computes)
    in_hand = claim(system, held, 0)
    sql(system, "UPDATE chunk SET state = 'queued', queued_at = now() WHERE run_id = :id AND idx = 1", id=held)
    [change] = pause(system, [part])  # type: ignore[list-item]
    assert (change.changed, change.open_runs) == (True, 1)
    for _ in range(5):
        dispatch(system)
        sql(system, "UPDATE chunk SET state = 'running' WHERE state = 'queued' AND run_id = :id", id=other)
    assert sql(system, "SELECT state FROM chunk WHERE run_id = :id AND idx = 2", id=held) == [("ready",)]
    assert sql(system, "SELECT DISTINCT state FROM chunk WHERE run_id = :id", id=other) == [("running",)]
    assert in_hand is not None
    commit(system, in_hand)
    assert claim(system, held, 1) is not None, "a message that was sent before the pause"
    [change] = resume(system, [part])  # type: ignore[list-item]
    assert (change.changed, change.since) == (True, None)
    assert sent(system) == [held], "it did not go on at once"


def test_a_pause_is_said_where_people_look(
    system: System, configured: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = make_run(system, team="league a")

    def said(*args: str) -> str:
        capsys.readouterr()
        assert main([*args]) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    assert "paused" not in said("status") + said("runs") + said("show", str(run_id))
    assert "1 open run waits; `poseline resume --team 'league a'` goes on with it" in said(
        "pause", "--team", "league a"
    )
    assert "is already paused since" in said("pause", "--team", "league a", "--lane", "live")
    for command in (("status",), ("runs",), ("show", str(run_id))):
        assert "team league a is paused since" in said(*command)
    assert "queued (paused)" in said("runs")
    assert {each["name"] for each in json.loads(said("status", "--json"))["paused"]} == {"live", "league a"}
    [listed] = json.loads(said("runs", "--json"))
    assert listed["paused_since"] == json.loads(said("show", str(run_id), "--json"))["paused_since"] is not None
    reasons = poll_runs(system, [run_id], team="league a").blocking_reasons
    assert "team league a is paused since" in reasons[run_id], "who waits is not told"
    sql(system, "UPDATE team SET paused_at = '2020-02-03 12:00+00'")
    assert "since 2020-02-03" in said("status")
    assert said("resume", "--team", "league a", "--lane", "live").splitlines() == [
        "team league a goes on",
        "lane live goes on",
    ]
    assert said("resume", "--lane", "live").strip() == "lane live was not paused"
    assert json.loads(said("resume", "--lane", "live", "--json")) == [
        {"kind": "lane", "name": "live", "paused_since": None, "changed": False, "open_runs": 0}
    ]
    assert get_run(system, run_id, team=None).to_dict()["paused_since"] is None


def test_an_unknown_name_pauses_nothing(system: System) -> None:
    add_team(system, "known")
    with pytest.raises(UnknownTeam, match="did you mean 'known'"):
        pause(system, [("team", "known"), ("team", "knwon")])
    with pytest.raises(UnknownLane, match="the lanes are live, fresh, reprocess"):
        pause(system, [("team", "known"), ("lane", "slow")])
    assert list_pauses(system) == []
    pause(system, [("team", "default")])
    assert [each.name for each in list_pauses(system)] == ["default"]
