"""Frames into Postgres by the product's own path, against a bare COPY of the same bytes into a table like it.

The path: each chunk's frames encoded and spooled, copied under its lease, and committed. Chunks are claimed before they
are decoded, so claims are no part of it. The bare COPY has its bytes ready; it commits as often, once a chunk. Beside
it stand both with all frames as one chunk.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from uuid import UUID, uuid4

import numpy as np
from sqlalchemy import text

from pipeline.bench.derived import note_of
from pipeline.bench.figures import Figure, in_rotation, ratio_figure
from pipeline.bench.goals import goal_of
from pipeline.bench.ground import Ground
from pipeline.bench.measure import in_turn
from pipeline.core.frame_index import FrameIndex
from pipeline.core.objects import StoredObject
from pipeline.core.poses import FramePoses
from pipeline.db.chunks import claim_chunk, commit_chunk
from pipeline.db.engine import transaction
from pipeline.db.frames import FrameRow, FrameSpool, copy_frames, encode_frames
from pipeline.db.models import ensure_model
from pipeline.db.runs import insert_run, select_run
from pipeline.db.uploads import insert_video, mark_stored
from pipeline.db.videos import IndexedVideo, claim_ingest, mark_ready
from pipeline.services.plan import plan_runs
from pipeline.services.system import System
from pipeline.video.sample import KEYFRAME_EVERY, RATE

_LEASE_S = 86_400.0
_PEOPLE = 2
_KEYPOINTS = 17


def measure_rows(ground: Ground) -> list[Figure]:
    """Frames a second."""
    system, frames = ground.site.system, ground.size.rows
    rows = _make_rows(frames)
    ground.meter.begin("postgres", ground.size.pairs)
    in_chunks: list[tuple[float, float]] = []
    as_one: list[tuple[float, float]] = []
    for number in range(ground.size.pairs):
        ground.meter.step(f"frames into Postgres, pair {number + 1} of {ground.size.pairs}")
        for pairs, chunk_frames in in_rotation(
            [(in_chunks, system.settings.chunk_frames), (as_one, len(rows))], number
        ):
            pieces = _encoded(rows, chunk_frames)
            ours_s, bare_s = in_turn(
                number,
                partial(_by_our_path, system, rows, chunk_frames),
                partial(_by_bare_copy, system, pieces),
            )
            pairs.append((frames / ours_s, frames / bare_s))
    details = {"as_one_chunk": as_one, "people_a_frame": _PEOPLE}
    return [
        ratio_figure(
            "postgres",
            f"frames into Postgres, in chunks of {system.settings.chunk_frames}",
            "frames/s",
            in_chunks,
            goal_of("postgres"),
            plain="a bare COPY and commit of each chunk's bytes",
            details={"note": note_of("postgres", details), **details},
        )
    ]


def _encoded(rows: Sequence[FrameRow], chunk_frames: int) -> list[bytes]:
    """The bytes of each chunk."""
    run_id = uuid4()
    parts = (rows[at : at + chunk_frames] for at in range(0, len(rows), chunk_frames))
    return [b"".join(encode_frames(run_id, idx, part)) for idx, part in enumerate(parts)]


def _make_rows(frames: int) -> list[FrameRow]:
    rng = np.random.default_rng(0)
    return [
        FrameRow(
            number,
            number,
            FramePoses(
                np.sort(rng.random(_PEOPLE, np.float32))[::-1].copy(),
                rng.random((_PEOPLE, 4), np.float32) * np.float32(1280),
                rng.random((_PEOPLE, _KEYPOINTS, 3), np.float32),
            ),
        )
        for number in range(frames)
    ]


def _by_our_path(system: System, rows: Sequence[FrameRow], chunk_frames: int) -> float:
    """Seconds, from the first frame encoded to the last chunk's commit."""
    with _planned(system, len(rows), chunk_frames) as (run_id, chunks):
        claims = []
        for idx in range(chunks):
            with transaction(system.engine) as connection:
                claimed = claim_chunk(connection, run_id, idx, "bench", _LEASE_S)
            assert claimed is not None
            claims.append(claimed)
        begun_at = time.perf_counter()
        for claimed in claims:
            first = claimed.plan.first_frame
            with FrameSpool(run_id, claimed.plan.idx, system.settings.scratch_path) as spool:
                for row in rows[first : first + claimed.plan.frames]:
                    spool.add(row)
                with transaction(system.engine) as connection:
                    commit_chunk(connection, claimed, spool.pieces())
        return time.perf_counter() - begun_at


def _by_bare_copy(system: System, pieces: Iterable[bytes]) -> float:
    """Seconds, one COPY and commit a piece, into a table like ours with its keys."""
    with transaction(system.engine) as connection:
        connection.execute(text("CREATE SCHEMA bench"))
        connection.execute(text("CREATE TABLE bench.frame (LIKE public.frame INCLUDING ALL)"))
    try:
        begun_at = time.perf_counter()
        for piece in pieces:
            with transaction(system.engine) as connection:
                connection.execute(text("SET LOCAL search_path TO bench"))
                copy_frames(connection, (piece,))
        return time.perf_counter() - begun_at
    finally:
        with transaction(system.engine) as connection:
            connection.execute(text("DROP SCHEMA bench CASCADE"))


@contextmanager
def _planned(system: System, frames: int, chunk_frames: int) -> Iterator[tuple[UUID, int]]:
    """A run of a video that is not there, cut into chunks; gone after the block."""
    name = f"bench-{uuid4()}"
    index = FrameIndex(
        time_base=Fraction(1, RATE),
        pts=np.arange(frames),
        keyframe=np.arange(frames) % KEYFRAME_EVERY == 0,
        position_bytes=np.full(frames, -1),
        size_bytes=np.zeros(frames, np.int64),
    )
    with transaction(system.engine) as connection:
        video_id, key = insert_video(connection, name, name, bucket=system.store.bucket)
        mark_stored(connection, video_id, StoredObject(system.store.bucket, key, 1, "none"))
        lease = claim_ingest(connection, video_id, name, _LEASE_S)
        assert lease is not None
        ensure_model(connection, name, name, {})
        run_id, _ = insert_run(connection, video_id, name)
        sha256 = hashlib.sha256(name.encode()).hexdigest()
        mark_ready(connection, lease, IndexedVideo(sha256, "none", "none", 1280, 720, 0, index))
        cut = {"chunk_frames": chunk_frames, "first_chunk_frames": 0}
        plan_runs(connection, system.settings.model_copy(update=cut), video_id)
        chunks = select_run(connection, run_id, team=None).chunks_total or 0
    try:
        yield run_id, chunks
    finally:
        with transaction(system.engine) as connection:
            connection.execute(text("DELETE FROM run WHERE id = :id"), {"id": run_id})
            connection.execute(text("DELETE FROM video WHERE id = :id"), {"id": video_id})
            connection.execute(text("DELETE FROM model WHERE fingerprint = :name"), {"name": name})
            connection.execute(text("DELETE FROM team WHERE name = :name"), {"name": name})
