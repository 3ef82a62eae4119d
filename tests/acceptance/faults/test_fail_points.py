"""Killed before and after every statement of plan, claim, commit and finish: all of it or nothing, and the run ends."""

from __future__ import annotations

import json
import os
from fractions import Fraction
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
import pytest

from pipeline.core.frame_index import FrameIndex
from pipeline.core.objects import StoredObject
from pipeline.db import models, runs, uploads, videos
from pipeline.db.engine import transaction
from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.inference.zoo import find_model
from pipeline.services.finish import finish_run
from pipeline.services.reconcile import tick
from pipeline.services.system import System
from pipeline.settings import Settings
from tests.acceptance.faults.standard_checks import standard_checks
from tests.support.fail_points import OPERATIONS, PTS_PER_FRAME, analyse_made_up, fail_points
from tests.support.harness import export_bytes, run_of, sql

FRAMES = 8
#: A run is ended that far before the operation is killed in it.
BEFORE = {"plan": "waiting", "claim and commit": "queued", "finish": "finishing"}
#: More points than an operation can have; it is never reached.
MOST = 200
#: `make test` kills at every other point, `make soak` at every one.
STEP = 1 if os.environ.get("POSELINE_SOAK") else 2


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Leases that no kill outlives by itself: the test says when they have run out."""
    return settings.model_copy(update={"lease_s": 60.0})


def waiting_run(system: System, source: StoredObject) -> UUID:
    """A run, not planned yet, of a made-up video over an object that is there."""
    with transaction(system.engine) as connection:
        video_id, _ = uploads.insert_video(connection, "team", "v.mp4", bucket=source.bucket, key=source.key)
        uploads.mark_stored(connection, video_id, source)
        lease = videos.claim_ingest(connection, video_id, "w", 60)
        assert lease is not None
        pts = np.arange(FRAMES) * PTS_PER_FRAME
        index = FrameIndex(Fraction(1, 30), pts, pts == 0, np.full(FRAMES, -1), np.ones(FRAMES, int))
        videos.mark_ready(connection, lease, videos.IndexedVideo(uuid4().hex, "mov", "h264", 4, 4, 0, index))
        spec = find_model(BUNDLED_MODEL, system.settings.models_path).spec
        models.ensure_model(connection, spec.fingerprint, spec.full_name, json.loads(spec.to_json()))
        return runs.insert_run(connection, video_id, spec.fingerprint)[0]


def advance(system: System, run_id: UUID, state: str) -> None:
    """Bring a waiting run into that state, without any fault."""
    for operation, before in BEFORE.items():
        if before == state:
            break
        OPERATIONS[operation](system, run_id)
    assert run_of(system, run_id).state == state


def recover(system: System) -> None:
    """What beat and workers do once the leases of the dead have run out."""
    for table in ("chunk", "run"):
        sql(system, f"UPDATE {table} SET lease_until = now() - interval '1 s' WHERE lease_token IS NOT NULL")
    for _ in range(5):
        tick(system)
        for table in ("chunk", "run"):
            sql(system, f"UPDATE {table} SET not_before = now() - interval '1 s' WHERE not_before > now()")
        for (run_id,) in sql(system, "SELECT run_id FROM chunk WHERE state IN ('ready', 'queued')"):
            analyse_made_up(system, UUID(str(run_id)))
        for (run_id,) in sql(system, "SELECT id FROM run WHERE state = 'finishing'"):
            finish_run(system, UUID(str(run_id)), "w")
        if not sql(system, "SELECT 1 FROM run WHERE state NOT IN ('done', 'failed')"):
            return


def assert_all_or_nothing(system: System, run_id: UUID) -> None:
    """A chunk is done with all its frames and none pending, or is not, with none; a plan has chunks and a total."""
    [(state, total, pending, chunks, done, frames)] = sql(
        system,
        "SELECT state, chunks_total, chunks_pending, (SELECT count(*) FROM chunk WHERE run_id = run.id), "
        "(SELECT count(*) FROM chunk WHERE run_id = run.id AND state = 'done'), "
        "(SELECT count(*) FROM frame WHERE run_id = run.id) FROM run WHERE id = :id",
        id=run_id,
    )
    if state == "waiting":
        assert (total, pending, chunks, frames) == (None, None, 0, 0)
    else:
        assert (total, pending, chunks, frames) == (1, 1 - int(str(done)), 1, FRAMES * int(str(done)))
    assert (state in {"finishing", "done"}) is bool(done)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_killed_at_every_statement(system: System, settings: Settings, tmp_path: Path, operation: str) -> None:
    clip = tmp_path / "object"
    clip.write_bytes(b"it only has to be there")
    source = system.store.put_file(clip, f"matches/{uuid4()}")
    clean = waiting_run(system, source)
    for name in OPERATIONS:
        OPERATIONS[name](system, clean)
    expected = export_bytes(system, clean, tmp_path / "clean.jsonl")
    assert len(expected.splitlines()) == FRAMES

    killed: list[UUID] = []
    with fail_points(settings) as points:
        for point in range(1, MOST, STEP):
            run_id = waiting_run(system, source)
            advance(system, run_id, BEFORE[operation])
            died = points.kill_at(operation, run_id, point)
            killed.append(run_id)
            assert_all_or_nothing(system, run_id)
            if not died:
                break
    assert len(killed) > 8 / STEP, "there are fewer points than an operation has statements"
    recover(system)
    for run_id in killed:
        run = run_of(system, run_id)
        assert (run.state, run.reason) == ("done", None)
        assert export_bytes(system, run_id, tmp_path / f"{run_id}.jsonl") == expected
    assert sql(system, "SELECT max(attempts) <= 2 FROM run") == [(True,)]
    standard_checks(system, tmp_path, messages=False)
