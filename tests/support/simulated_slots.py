"""Slots that take messages from Redis, claim, wait as long as a chunk takes, and commit: workers without the work.

What they show of the queue does not depend on how busy this machine is, as long as it keeps up with the commits.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from uuid import UUID

from redis import Redis

from pipeline.core.poses import FramePoses
from pipeline.db.chunks import claim_chunk, commit_chunk
from pipeline.db.engine import transaction
from pipeline.db.frames import FrameRow, encode_frames
from pipeline.queue import FRAMES, keys_of
from pipeline.services.dispatch import refill
from pipeline.services.reconcile import tick
from pipeline.services.system import System
from tests.support.harness import sql

_NOBODY = FramePoses.empty()


def _work(system: System, redis: Redis, frame_s: Callable[[UUID], float], stop: threading.Event) -> None:
    while not stop.is_set():
        taken = redis.brpop(keys_of(FRAMES), timeout=1)
        if taken is None:
            continue
        [run, idx], _, _ = json.loads(base64.b64decode(json.loads(taken[1])["body"]))
        run_id = UUID(run)
        with transaction(system.engine) as connection:
            claimed = claim_chunk(connection, run_id, idx, "w", 3600)
        if claimed is None:
            continue
        stop.wait(frame_s(run_id) * claimed.plan.frames)
        first = claimed.plan.first_frame
        rows = [FrameRow(number, number, _NOBODY) for number in range(first, first + claimed.plan.frames)]
        with transaction(system.engine) as connection:
            commit_chunk(connection, claimed, encode_frames(run_id, idx, rows))
        refill(system, "fp32", lone=claimed.lone)


@contextmanager
def simulated_slots(
    system: System, slots: int, frame_s: Callable[[UUID], float], tick_s: float = 0.5
) -> Iterator[None]:
    """So many slots of one worker, and a beat, for one block.

    Args:
        frame_s: how long a frame of a run takes.
    """
    sql(
        system,
        "INSERT INTO worker (name, pid, device, provider, slots, version) VALUES ('w', 1, 'd', 'p', :slots, '0')",
        slots=slots,
    )
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(system.settings.tick_s):
            sql(system, "UPDATE worker SET seen_at = clock_timestamp()")
            tick(system)

    with Redis.from_url(system.settings.broker_url.get_secret_value()) as redis, ThreadPoolExecutor(slots + 1) as pool:
        working = [pool.submit(_work, system, redis, frame_s, stop) for _ in range(slots)] + [pool.submit(beat)]
        try:
            yield
        finally:
            stop.set()
        for one in working:
            one.result(30)
