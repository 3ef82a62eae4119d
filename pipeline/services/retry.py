"""Try again what failed, was cancelled, was given up, or waits out a back-off.

A run is immutable once it has ended, so what is tried again of it is a new run of the same video, model, lane and
deadline. In a run that is under way, the chunks that were given up become ready again.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from pipeline.core.progress import SILENT, Progress
from pipeline.core.states import ChunkState, RunState, VideoState
from pipeline.core.tags import Tags
from pipeline.db import retries as db
from pipeline.db.chunks import ANALYSED, count_chunks
from pipeline.db.engine import transaction
from pipeline.db.live_runs import insert_live_run
from pipeline.db.run_search import find_by_video_id
from pipeline.db.runs import RunRow, insert_run, select_run
from pipeline.db.videos import VideoRow, lock_for_run, select_video
from pipeline.errors import LeaseLost, NotFound, SourceGone, UsageError, VideoRejected
from pipeline.services.dispatch import dispatch
from pipeline.services.plan import plan_runs
from pipeline.services.runs import find_run, short_id
from pipeline.services.system import System
from pipeline.services.upload_steps import printable

#: A new run, the run that was made for it before, chunks that are ready again, an end of a back-off, nothing to do, or
#: an error.
Action = Literal["new_run", "existing_run", "chunks", "now", "none", "refused"]


@dataclass(frozen=True)
class Retry:
    """What was done for one run.

    Args:
        new_run_id: the run that takes its place.
        chunks: how many were made ready again, or need not wait any longer.
        message: the same in words.
    """

    run_id: UUID
    video: str
    action: Action
    message: str
    new_run_id: UUID | None = None
    chunks: int = 0

    def to_dict(self) -> dict[str, object]:
        """The outcome as JSON fields."""
        new_run_id = self.new_run_id and str(self.new_run_id)
        fields = {"run_id": str(self.run_id), "video": self.video, "action": self.action, "new_run_id": new_run_id}
        return {**fields, "chunks": self.chunks, "message": self.message}


def retry(system: System, target: str, *, team: str | None) -> Retry:
    """Try one thing again.

    Args:
        target: a run as `find_run` finds it, a chunk of it (`RUN:3`), or the beginning of a video's id.

    Raises:
        NotFound: there is no such run, chunk or video.
        UsageError: the file was refused before it was stored, or the chunk's run has ended.
        SourceGone: the stored video changed or went away; it has to be uploaded again.
    """
    run_id, idx = _find(system, target, team)
    with transaction(system.engine) as connection:
        run = select_run(connection, run_id, team=team)
    done = _retry_run(system, run) if idx is None else _retry_chunk(system, run, idx)
    dispatch(system)
    return done


def iter_retry_failed(
    system: System, *, team: str | None, since: datetime | None, tags: Tags | None = None, progress: Progress = SILENT
) -> Iterator[Retry]:
    """As `iter_retry` of what an outage left behind: every failed run for which no other stands, and the runs under way
    that gave chunks up.

    Args:
        since: only what failed since then.
        tags: only of videos that have all these.
    """
    with transaction(system.engine) as connection:
        found = db.select_failed(connection, team_name=team, since=since, tags=tags)
        found += db.select_with_quarantined(connection, team_name=team, since=since, tags=tags)
    yield from iter_retry(system, found, progress)


def iter_retry(system: System, run_ids: Collection[UUID], progress: Progress = SILENT) -> Iterator[Retry]:
    """Try many runs again. Each is done when it is asked for; what cannot be tried again is yielded as refused."""
    progress.total(len(run_ids))
    for run_id in run_ids:
        with transaction(system.engine) as connection:
            run = select_run(connection, run_id, team=None)
        try:
            yield _retry_run(system, run)
        except (UsageError, SourceGone, VideoRejected) as error:
            yield _outcome(run, "refused", error.message)
        progress.advance()
    dispatch(system)


def _find(system: System, target: str, team: str | None) -> tuple[UUID, int | None]:
    try:
        return find_run(system, target, team=team), None
    except NotFound:
        of_chunk = re.fullmatch(r"(.+):(\d{1,9})", target)
        if of_chunk is not None:
            return find_run(system, of_chunk[1], team=team), int(of_chunk[2])
        with transaction(system.engine) as connection:
            runs = find_by_video_id(connection, target, team=team)
        if len({run.video_id for run in runs}) != 1:
            raise
        return runs[0].id, None


def _retry_run(system: System, run: RunRow) -> Retry:
    if run.state in ANALYSED:
        return _retry_chunks(system, run)
    if run.state in {RunState.FAILED, RunState.CANCELLED}:
        return _analyse_again(system, run)
    if run.state is RunState.DONE:
        with transaction(system.engine) as connection:
            given_up = count_chunks(connection, run.id).get(ChunkState.QUARANTINED, 0)
        if given_up:
            return _analyse_again(system, run, because=f", but {_chunks(given_up)} of it had been given up")
        return _outcome(run, "none", "done, and no part of it was given up; nothing to try again")
    with transaction(system.engine) as connection:
        waited = (
            db.end_ingest_backoff(connection, run.video_id)
            if run.state is RunState.WAITING
            else db.end_finish_backoff(connection, run.id)
        )
    if not waited:
        return _outcome(run, "none", f"{run.state}; there is nothing to try again")
    if run.state is RunState.FINISHING:
        system.queue.send_finish(run.id)
    return _outcome(run, "now", "tried again now")


def _retry_chunks(system: System, run: RunRow, idx: int | None = None) -> Retry:
    try:
        with transaction(system.engine) as connection:
            again = db.requeue_quarantined(connection, run.id, idx)
            hurried = db.end_chunk_backoff(connection, run.id, idx)
    except LeaseLost:  # its last chunk ended, or it was cancelled, at this moment
        return _outcome(run, "none", "it just ended; ask again")
    done = [f"{_chunks(again)} that had been given up"] * bool(again)
    done += [f"{_chunks(hurried)} that waited after an error"] * bool(hurried)
    if not done:
        return _outcome(run, "none", f"{run.state}, and nothing of it was given up or waits after an error")
    message = f"{run.state}; {' and '.join(done)} {'is' if again + hurried == 1 else 'are'} tried again"
    return _outcome(run, "chunks" if again else "now", message, chunks=again + hurried)


def _retry_chunk(system: System, run: RunRow, idx: int) -> Retry:
    if run.state not in ANALYSED:
        raise UsageError(
            f"run {short_id(run.id)} is {run.state}, so its chunks stay as they are; "
            f"`poseline retry {short_id(run.id)}` tries the whole of it again"
        )
    with transaction(system.engine) as connection:
        state = db.select_chunk_state(connection, run.id, idx)
    if state is None:
        raise NotFound(f"run {short_id(run.id)} has no chunk {idx}; its chunks are 0 to {(run.chunks_total or 1) - 1}")
    done = _retry_chunks(system, run, idx)
    if done.action != "none":
        return done
    return _outcome(run, "none", f"chunk {idx} is {state}; it was not given up and does not wait after an error")


def _analyse_again(system: System, run: RunRow, because: str = "") -> Retry:
    """Request a run again that has ended, of its video, model, lane and deadline, also where that has passed."""
    with transaction(system.engine) as connection:
        video = select_video(connection, run.video_id, team=None)
    again = _is_rejected(video)
    if again and video.source is None:
        raise UsageError(f"{printable(run.video)} was refused before it was stored ({video.reason}); upload it again")
    if video.source is not None:
        system.store.check_unchanged(video.original)
    with transaction(system.engine) as connection:
        if again:
            db.reingest(connection, video.id)
        video_id = lock_for_run(connection, video.id)
        retry_of = run.id if run.state is RunState.DONE else None
        fingerprint = run.model_fingerprint
        if run.live is not None:
            new_id, new = insert_live_run(connection, video_id, fingerprint, run.live, retry_of=retry_of)
        else:
            new_id, new = insert_run(
                connection, video_id, fingerprint, lane=run.lane, deadline=run.deadline, retry_of=retry_of
            )
        if new:
            db.keep_rule(connection, new_id, run.id)
        plan_runs(connection, system.settings, video_id)
        state = select_run(connection, new_id, team=None).state
    if not new:
        message = f"{run.state}{because}; run {short_id(new_id)} was made for it before and is {state}"
        return _outcome(run, "existing_run", message, new_run_id=new_id)
    how = "ingested and analysed again" if again else "analysed again"
    return _outcome(run, "new_run", f"{run.state}{because}; {how} as run {short_id(new_id)}", new_run_id=new_id)


def _is_rejected(video: VideoRow) -> bool:
    """Whether a video was rejected for itself, not as a second upload of another."""
    return video.state is VideoState.REJECTED and video.duplicate_of is None


def _outcome(run: RunRow, action: Action, message: str, *, new_run_id: UUID | None = None, chunks: int = 0) -> Retry:
    return Retry(run.id, printable(run.video), action, message, new_run_id, chunks)


def _chunks(count: int) -> str:
    return "1 chunk" if count == 1 else f"{count} chunks"
