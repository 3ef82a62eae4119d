"""What the command line and the API read of runs."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.cli.formatting import detail_lines
from pipeline.core.model_spec import ModelSpec, NetworkSpec
from pipeline.db.engine import transaction
from pipeline.db.models import ensure_model
from pipeline.db.run_search import find_by_id, find_by_video_name, select_runs, select_runs_by_id
from pipeline.db.runs import insert_run, select_run
from pipeline.db.uploads import insert_video
from pipeline.db.videos import select_video
from pipeline.db.workers import DeviceRow, report_worker
from pipeline.errors import InvalidWeights, NotFound, RunFailed, UnknownTeam
from pipeline.queue import QUEUES
from pipeline.services.cancel import cancel_run
from pipeline.services.export import export_run
from pipeline.services.preview import preview_run
from pipeline.services.runs import find_run, get_run, list_runs, poll_runs
from pipeline.services.status import get_status
from pipeline.services.system import System
from pipeline.services.teams import add_team
from tests.integration.db.test_chunks import make_run
from tests.support.harness import run_of

SPEC = ModelSpec(
    name="m",
    pose=NetworkSpec("rtmo", "0" * 64, 64, 64),
    score_threshold=0.3,
    nms_threshold=0.45,
    licence="MIT",
    source="a test",
)


def store_model(system: System, fields: dict[str, object]) -> None:
    with transaction(system.engine) as connection:
        ensure_model(connection, "f", "m", fields)


def test_a_run_whose_model_was_decoded_by_another_version_is_readable(system: System) -> None:
    run_id = make_run(system)
    older = dataclasses.replace(SPEC, pose=dataclasses.replace(SPEC.pose, decoding="rtmlib-0.0.1 /0"))
    store_model(system, json.loads(older.to_json()))
    assert run_of(system, run_id).model == older
    assert not older.pose.is_current


def test_a_run_of_one_team_does_not_exist_for_another(system: System, tmp_path: Path) -> None:
    run_id = make_run(system, team="a")
    add_team(system, "b")
    reads: dict[str, Callable[[str | None], object]] = {
        "find": lambda team: find_run(system, str(run_id), team=team),
        "get": lambda team: get_run(system, run_id, team=team),
        "export": lambda team: export_run(system, run_id, tmp_path / "x.jsonl", "jsonl", team=team),
        "preview": lambda team: preview_run(system, run_id, tmp_path / "x.png", team=team),
        "cancel": lambda team: cancel_run(system, run_id, team=team),
    }
    for name, read in reads.items():
        with pytest.raises(NotFound):
            read("b")
        for team in ("a", None):
            try:
                read(team)
            except RunFailed:  # it is not done, so it was found
                assert name in {"export", "preview"}
    assert list_runs(system, team="b", limit=9) == []
    for ask_for in (lambda: list_runs(system, team="c", limit=9), lambda: find_run(system, str(run_id), team="c")):
        with pytest.raises(UnknownTeam, match="there is no team 'c'"):
            ask_for()
    assert poll_runs(system, [run_id], team="b").runs == []
    assert [run.id for run in poll_runs(system, [run_id], team="a").runs] == [run_id]
    assert [run.id for run in list_runs(system, team="a", limit=9)] == [run_id]
    assert [run.id for run in list_runs(system, team=None, limit=9)] == [run_id]
    with transaction(system.engine) as connection:
        video_id = run_of(system, run_id).video_id
        assert select_video(connection, video_id, team="a").team == "a"
        with pytest.raises(NotFound):
            select_video(connection, video_id, team="b")


def test_every_query_of_runs_and_videos_by_id_names_the_team() -> None:
    for query in (
        select_run,
        find_by_id,
        find_by_video_name,
        select_runs,
        select_runs_by_id,
        select_video,
        find_run,
        get_run,
        poll_runs,
        cancel_run,
        list_runs,
    ):
        team = inspect.signature(query).parameters["team"]
        assert team.kind is inspect.Parameter.KEYWORD_ONLY
        assert team.default is inspect.Parameter.empty


def test_a_run_is_cancelled_once(system: System) -> None:
    run_id = make_run(system)
    first, second = (cancel_run(system, run_id, team="team").to_dict() for _ in range(2))
    assert first == {"run_id": str(run_id), "state": "cancelled", "was_open": True}
    assert second == {**first, "was_open": False}


def test_a_run_whose_model_cannot_be_read_is_listed_all_the_same(system: System) -> None:
    run_id = make_run(system)
    store_model(system, {"fields": "of another version"})
    assert get_run(system, run_id, team=None).to_dict()["model"] == "m"
    with pytest.raises(InvalidWeights, match="another Poseline version"):
        _ = run_of(system, run_id).model


def test_a_video_before_ingest_shows_no_none(system: System) -> None:
    with transaction(system.engine) as connection:
        video_id, _ = insert_video(connection, "team", "v\x1b[2J.mp4", bucket="b")
        ensure_model(connection, "f", "m", {})
        run_id, _ = insert_run(connection, video_id, "f")
    lines = detail_lines(get_run(system, run_id, team=None))
    assert lines[1] == "  video   v?[2J.mp4, team team"
    assert not any("None" in line or "?/" in line for line in lines)


def test_status_names_workers_and_queues(system: System) -> None:
    with transaction(system.engine) as connection:
        report_worker(
            connection, name="w", pid=1, slots=2, version="1", computes=DeviceRow("a chip", "a provider", golden_ms=3.0)
        )
    status = get_status(system).to_dict()
    [worker] = status["workers"]
    assert (worker["name"], worker["device"], worker["golden_ms"], worker["answers"]) == ("w", "a chip", 3.0, False)
    assert status["queues"] == dict.fromkeys(QUEUES, 0)
