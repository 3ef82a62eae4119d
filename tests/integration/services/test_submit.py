"""An upload that is refused leaves a row with the reason; whatever is not the video's fault leaves none."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, text

from pipeline.core.states import RunState
from pipeline.errors import PoselineError, ServiceUnavailable, UnknownModel, UsageError, VideoRejected
from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.services import registration
from pipeline.services.ingest import ingest_video
from pipeline.services.reconcile import tick
from pipeline.services.registration import RequestedRun
from pipeline.services.runs import duration_s
from pipeline.services.submit import submit_video
from pipeline.services.system import System
from pipeline.services.teams import add_team
from pipeline.services.to_take_in import TakenIn
from tests.conftest import opened
from tests.support.harness import run_of, sql

ROWS = "SELECT v.name, v.state, v.reason, v.size_bytes, v.etag, r.state, r.reason FROM video v JOIN run r ON true"


def text_file(folder: Path, name: str = "notes.mp4", lines: int = 99) -> Path:
    path = folder / name
    path.write_bytes(b"Tuesday: five by five\n" * lines)
    return path


def refused(system: System, path: Path, team: str = "team", model: str = BUNDLED_MODEL) -> str:
    with pytest.raises(VideoRejected) as caught:
        submit_video(system, str(path), team, model)
    return caught.value.message


def run_asked(taken: TakenIn) -> RequestedRun:
    assert taken.run is not None
    return taken.run


def test_a_video_is_taken_in_and_its_run_requested(system: System, short_clip: Path) -> None:
    first = submit_video(system, str(short_clip), "team", BUNDLED_MODEL)
    assert first.known_as is None
    assert run_of(system, run_asked(first).run_id).video_id == first.video_id
    again = submit_video(system, str(short_clip), "team", BUNDLED_MODEL)
    assert (again.known_as, run_asked(again).run_id) == (short_clip.name, run_asked(first).run_id)
    assert run_asked(again).existed


def test_a_refused_upload_leaves_a_video_and_a_run_with_the_reason(system: System, tmp_path: Path) -> None:
    path = text_file(tmp_path)
    reason = refused(system, path)
    assert "not a video" in reason
    size = path.stat().st_size
    assert sql(system, ROWS) == [("notes.mp4", "rejected", reason, size, None, "failed", reason)]
    [(run_id,)] = sql(system, "SELECT id FROM run")
    run = run_of(system, run_id)  # type: ignore[arg-type]
    assert (run.team, run.model_name, run.state) == ("team", BUNDLED_MODEL, RunState.FAILED)
    assert (run.started_at, duration_s(run), run.finished_at is None) == (None, None, False)


def test_every_kind_of_refusal_leaves_its_reason(system: System, short_clip: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    assert "is empty" in refused(system, tmp_path / "empty.mp4")
    add_team(system, "small", limits={"max_bytes": 1000})
    assert "the limit is 1000 bytes" in refused(system, short_clip, "small")
    assert {(name, size) for name, _, _, size, *_ in sql(system, ROWS + " AND r.video_id = v.id")} == {
        ("empty.mp4", 0),
        (short_clip.name, short_clip.stat().st_size),
    }


def test_the_same_refusal_again_renews_its_rows(system: System, tmp_path: Path) -> None:
    path = text_file(tmp_path)
    refused(system, path)
    sql(system, "UPDATE video SET created_at = created_at - interval '1 day'")
    sql(system, "UPDATE run SET created_at = created_at - interval '1 day', finished_at = now() - interval '1 day'")
    for _ in range(3):
        refused(system, path)
    age = "SELECT count(*), max(now() - created_at) < interval '1 hour' FROM "
    assert sql(system, age + "video") == sql(system, age + "run") == [(1, True)]
    assert sql(system, "SELECT finished_at >= created_at FROM run") == [(True,)]
    refused(system, path, model=f"{BUNDLED_MODEL}@bf16")
    assert sql(system, "SELECT count(DISTINCT video_id), count(*) FROM run") == [(1, 2)]
    refused(system, path, team="another")
    refused(system, text_file(tmp_path, "notes.mp4", lines=98))
    refused(system, text_file(tmp_path, "other.mp4"))
    assert sql(system, "SELECT count(*) FROM video") == [(4,)]


def test_refusals_disturb_no_sweep_and_no_later_upload(system: System, short_clip: Path, tmp_path: Path) -> None:
    refused(system, text_file(tmp_path))
    before = sql(system, "SELECT * FROM video"), sql(system, "SELECT * FROM run")
    sql(system, "UPDATE video SET created_at = now() - interval '30 days', not_before = now() - interval '30 days'")
    before = sql(system, "SELECT * FROM video"), sql(system, "SELECT * FROM run")
    tick(system)
    assert (sql(system, "SELECT * FROM video"), sql(system, "SELECT * FROM run")) == before
    (tmp_path / "notes.mp4").write_bytes(short_clip.read_bytes())
    taken = submit_video(system, str(tmp_path / "notes.mp4"), "team", BUNDLED_MODEL)
    ingest_video(system, taken.video_id, "w")
    assert run_of(system, run_asked(taken).run_id).state is RunState.QUEUED


def test_what_is_not_the_video_s_fault_leaves_no_row(system: System, short_clip: Path, tmp_path: Path) -> None:
    bad, missing = str(text_file(tmp_path)), str(tmp_path / "none.mp4")
    wrong: list[tuple[tuple[str, str, str], type[PoselineError]]] = [
        ((missing, "team", BUNDLED_MODEL), UsageError),
        ((str(tmp_path), "team", BUNDLED_MODEL), UsageError),
        ((bad, "\n", BUNDLED_MODEL), UsageError),
        ((bad, "team", "rtmo-z"), UnknownModel),
        (("s3://", "team", BUNDLED_MODEL), UsageError),
    ]
    for arguments, kind in wrong:
        with pytest.raises(kind):
            submit_video(system, *arguments)
    away = system.settings.model_copy(update={"s3_endpoint": "http://127.0.0.1:1"})
    with opened(away) as cut_off, pytest.raises(ServiceUnavailable):
        submit_video(cut_off, str(short_clip), "team", BUNDLED_MODEL)
    for table in ("video", "run"):
        assert sql(system, f"SELECT count(*) FROM {table}") == [(0,)], table


def test_a_video_that_a_worker_rejects_at_once_has_its_run_all_the_same(
    system: System, short_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker may be done with a small file before its run is requested."""

    insert = registration.mark_all_stored

    def after_ingest(connection: Connection, *rows: Any) -> set[UUID]:
        marked = insert(connection, *rows)
        connection.execute(text("UPDATE video SET state = 'rejected', reason = 'damaged on its way'"))
        return marked

    monkeypatch.setattr(registration, "mark_all_stored", after_ingest)
    with pytest.raises(VideoRejected, match="damaged on its way"):
        submit_video(system, str(short_clip), "team", BUNDLED_MODEL)
    assert sql(system, "SELECT state, reason FROM run") == [("failed", "damaged on its way")]
