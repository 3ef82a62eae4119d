"""`poseline queue`: what a person sees of what waits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.main import main
from pipeline.services.system import System
from pipeline.settings import Settings
from tests.integration.db.test_chunks import claim, commit, make_run
from tests.integration.services.test_dispatch import add_worker, store
from tests.support.harness import run_of, sql


def shown(capsys: pytest.CaptureFixture[str], *args: str) -> Any:
    assert main(["queue", *args, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_what_waits_how_fast_it_goes_and_when_it_is_done(
    configured: Settings, system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    begun, waits = make_run(system, "a"), make_run(system, "b", frames=60)
    add_worker(system, 2)
    report = shown(capsys)
    assert {run["run_id"]: run["done_in_s"] for run in report["runs"]} == {str(begun): None, str(waits): None}
    claimed = claim(system, begun, 0)
    assert claimed is not None
    sql(system, "UPDATE chunk SET started_at = clock_timestamp() - interval '40 seconds' WHERE state = 'running'")
    commit(system, claimed)
    report = shown(capsys)
    runs = {run["run_id"]: run for run in report["runs"]}
    assert [runs[str(run)]["frames_left"] for run in (begun, waits)] == [20, 60]
    assert runs[str(begun)]["done_in_s"] < runs[str(waits)]["done_in_s"]
    # 80 frames of 4 s on two slots.
    assert runs[str(waits)]["done_in_s"] == pytest.approx(160, rel=0.1)
    assert [(q["lane"], q["team"], q["frames_left"]) for q in report["queues"]] == [
        ("fresh", "a", 20),
        ("fresh", "b", 60),
    ]
    assert [run["team"] for run in shown(capsys, "--team", "b")["runs"]] == ["b"]
    sql(system, 'UPDATE video SET tags = \'{"half": "2"}\' WHERE id = :id', id=run_of(system, waits).video_id)
    [tagged] = shown(capsys, "--tag", "half=2")["runs"]
    assert tagged["run_id"] == str(waits)
    assert tagged["done_in_s"] == pytest.approx(160, rel=0.1), "the others do not count"
    assert main(["queue", "--tag", "half=1"]) == 0
    assert "nothing of that is in the queue" in capsys.readouterr().out
    assert main(["queue", "--team", "c"]) == 2
    assert "there is no team 'c'" in capsys.readouterr().err
    sql(system, "UPDATE team SET paused_at = now() WHERE name = 'b'")
    assert main(["queue"]) == 0
    out = capsys.readouterr().out
    assert "paused" in out
    assert "2 slots; kept for each lane: live 20%, fresh 20%, reprocess 10%" in out


def test_a_deadline_that_will_be_missed_is_said(
    configured: Settings, system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = make_run(system, frames=30)
    add_worker(system, 1)
    claimed = claim(system, run_id, 0)
    assert claimed is not None
    sql(system, "UPDATE chunk SET started_at = clock_timestamp() - interval '60 seconds' WHERE state = 'running'")
    commit(system, claimed)
    sql(system, "UPDATE run SET deadline = now() + interval '30 seconds'")
    [run] = shown(capsys)["runs"]
    assert run["late"]
    sql(system, "UPDATE run SET deadline = now() + interval '30 minutes'")
    [run] = shown(capsys)["runs"]
    assert not run["late"]


def test_what_is_analysed_takes_no_slot_and_what_runs_only_what_is_left(
    configured: Settings, system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    analysed, runs = make_run(system, "a", frames=30), make_run(system, "b", frames=60)
    add_worker(system, 1)
    for idx in range(3):
        claimed = claim(system, analysed, idx)
        assert claimed is not None
        commit(system, claimed)
    # One after the other, as one slot does it.
    sql(
        system,
        "UPDATE chunk SET started_at = now() - (4 - idx) * interval '40 s' + interval '10 s', "
        "finished_at = now() - (3 - idx) * interval '40 s' + interval '10 s' WHERE state = 'done'",
    )
    assert claim(system, runs, 0) is not None
    sql(system, "UPDATE chunk SET started_at = now() - interval '30 s' WHERE state = 'running'")
    done = {run["run_id"]: run["done_in_s"] for run in shown(capsys)["runs"]}
    assert done[str(analysed)] == 0
    # Of 6 chunks of 40 s one has run for 30.
    assert done[str(runs)] == pytest.approx(5 * 40 + 10, rel=0.05)


def test_videos_that_are_not_ingested_are_counted(
    configured: Settings, system: System, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["queue"]) == 0
    assert "the queue is empty" in capsys.readouterr().out
    make_run(system, "a")
    store(system, "a", 1)
    sql(
        system,
        "INSERT INTO run (video_id, team_id, model_fingerprint, precision, state) "
        "SELECT id, team_id, 'f', 'fp32', 'waiting' FROM video WHERE state = 'stored'",
    )
    [queue] = shown(capsys)["queues"]
    assert (queue["runs"], queue["waiting"]) == (1, 1)


def test_shares_are_changed_and_checked(
    configured: Settings, system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["queue", "share", "reprocess", "0.3", "--json"]) == 0
    lanes = json.loads(capsys.readouterr().out)
    assert {lane["lane"]: lane["share"] for lane in lanes} == {"live": 0.2, "fresh": 0.2, "reprocess": 0.3}
    assert main(["queue", "share", "fresh", "0.8"]) == 2
    assert "lower another first" in capsys.readouterr().err
    assert main(["queue", "share", "old", "0.1"]) == 2
    assert "the lanes are live, fresh, reprocess" in capsys.readouterr().err
