"""Videos with stored objects and runs, made without any worker: what is kept, and what is erased."""

from __future__ import annotations

import json
from fractions import Fraction
from io import BytesIO
from uuid import UUID, uuid4

import numpy as np

from pipeline.core.frame_index import FrameIndex
from pipeline.core.objects import StoredObject
from pipeline.db import models, runs, uploads, videos
from pipeline.db.engine import transaction
from pipeline.db.video_tags import write_tags
from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.inference.zoo import find_model
from pipeline.services.system import System
from tests.support.fail_points import OPERATIONS, PTS_PER_FRAME
from tests.support.harness import sql

FRAMES = 8


def stored_video(
    system: System,
    name: str = "v.mp4",
    *,
    team: str = "team",
    content: str | None = None,
    registered: StoredObject | None = None,
    tags: dict[str, str] | None = None,
) -> UUID:
    """A video that is ready, with an object of its own or, `registered`, one that is its owner's."""
    content = content or uuid4().hex
    with transaction(system.engine) as connection:
        own = {} if registered is None else {"key": registered.key}
        video_id, key = uploads.insert_video(connection, team, name, bucket=system.store.bucket, **own)
        source = registered or system.store.put_stream(BytesIO(content.encode()), len(content), key)
        uploads.mark_stored(connection, video_id, source)
        lease = videos.claim_ingest(connection, video_id, "w", 60)
        assert lease is not None
        pts = np.arange(FRAMES) * PTS_PER_FRAME
        index = FrameIndex(Fraction(1, 30), pts, pts == 0, np.full(FRAMES, -1), np.ones(FRAMES, int))
        videos.mark_ready(connection, lease, videos.IndexedVideo(content, "mov", "h264", 4, 4, 0, index))
        write_tags(connection, {video_id: tags or {}})
    return video_id


def requested_run(system: System, video_id: UUID, *, params: str | None = None) -> UUID:
    """A run of a video that waits to be planned. `params` tells it apart from others."""
    with transaction(system.engine) as connection:
        spec = find_model(BUNDLED_MODEL, system.settings.models_path).spec
        models.ensure_model(connection, spec.fingerprint, spec.full_name, json.loads(spec.to_json()))
        more = {} if params is None else {"no": params}
        made = runs.insert_runs(connection, [video_id], spec.fingerprint, params=more)
        return made[video_id][0]


def done_run(system: System, video_id: UUID, *, params: str | None = None) -> UUID:
    """A done run of a video, with frames and a stored export; it is the video's current one."""
    run_id = requested_run(system, video_id, params=params)
    for operation in OPERATIONS.values():
        operation(system, run_id)
    assert sql(system, "SELECT state FROM run WHERE id = :id", id=run_id) == [("done",)]
    return run_id


def age(system: System, table: str, column: str, row_id: UUID, days: float) -> None:
    """Have something been so many days ago."""
    statement = f"UPDATE {table} SET {column} = now() - make_interval(secs => :s) WHERE id = :id"
    sql(system, statement, s=days * 86_400, id=row_id)


def keys(system: System, *ids: UUID) -> list[str]:
    """The keys of all versions and open uploads that are Poseline's own and name one of these."""
    found = {key for top in ("teams/", "runs/") for key in system.store.versions.iter_keys(system.store.bucket, top)}
    return sorted(key for key in found if any(str(each) in key for each in ids))
