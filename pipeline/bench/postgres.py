"""Frames into Postgres as a worker writes them, against a bare COPY of the same bytes into a table like it.

A worker encodes and spools each chunk's frames, copies them under its lease, and commits. Claiming is excluded: chunks
are claimed before they are decoded. The bare COPY has its bytes ready and also commits once per chunk. Both are
measured again with all frames in one chunk.
"""

from __future__ import annotations

import hashlib
import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from uuid import UUID, uuid4

import numpy as np
from sqlalchemy import text

from pipeline.bench.context import Context
from pipeline.bench.figures import Figure, in_rotation, ratio_figure
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

_LEASE_S = 86_400.0
_PEOPLE = 2
_KEYPOINTS = 17
_FPS = 30
_KEYFRAME_EVERY = 60


def measure_rows(context: Context) -> list[Figure]:
    """Frames per second."""
    system, frames = context.stack.system, context.size.rows
    rows = _make_rows(frames)
    in_chunks: list[tuple[float, float]] = []
    in_one: list[tuple[float, float]] = []
    for number in range(context.size.pairs):
        context.on_step(f"frames into Postgres, pair {number + 1} of {context.size.pairs}")
        for pairs, chunk_frames in in_rotation([(in_chunks, system.settings.chunk_frames), (in_one, frames)], number):
            encoded = _encoded(rows, chunk_frames)
            works = (partial(_as_a_worker, system, rows, chunk_frames), partial(_by_bare_copy, system, encoded))
            taken_s = {at: works[at]() for at in in_rotation((0, 1), number)}
            pairs.append((frames / taken_s[0], frames / taken_s[1]))
    one = statistics.median(ours for ours, _ in in_one)
    ratio = statistics.median(ours / bare for ours, bare in in_one)
    return [
        ratio_figure(
            "postgres",
            f"frames into Postgres, in chunks of {system.settings.chunk_frames}",
            "frames/s",
            in_chunks,
            baseline_label="a bare COPY and commit of each chunk's bytes",
            note=f"as one chunk {one:,.0f} frames/s, {ratio:.2f} of one bare COPY",
            details={"as_one_chunk": in_one, "people_per_frame": _PEOPLE},
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


def _as_a_worker(system: System, rows: Sequence[FrameRow], chunk_frames: int) -> float:
    """Seconds from encoding the first frame to the last chunk's commit."""
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


def _by_bare_copy(system: System, chunks: Iterable[bytes]) -> float:
    """Seconds of one COPY and commit per chunk, into a table like ours with its keys."""
    with transaction(system.engine) as connection:
        connection.execute(text("CREATE SCHEMA bench"))
        connection.execute(text("CREATE TABLE bench.frame (LIKE public.frame INCLUDING ALL)"))
    try:
        begun_at = time.perf_counter()
        for chunk in chunks:
            with transaction(system.engine) as connection:
                connection.execute(text("SET LOCAL search_path TO bench"))
                copy_frames(connection, (chunk,))
        return time.perf_counter() - begun_at
    finally:
        with transaction(system.engine) as connection:
            connection.execute(text("DROP SCHEMA bench CASCADE"))


@contextmanager
def _planned(system: System, frames: int, chunk_frames: int) -> Iterator[tuple[UUID, int]]:
    """A planned run of a video without an object; removed after the block."""
    name = f"bench-{uuid4()}"
    index = FrameIndex(
        time_base=Fraction(1, _FPS),
        pts=np.arange(frames),
        keyframe=np.arange(frames) % _KEYFRAME_EVERY == 0,
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
