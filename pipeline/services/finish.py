"""Finish a run: compare its frames with the video's index, sum it up, store its export, and only then mark it done.

Whether it becomes its video's current run is decided by `settle`.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import UUID

from sqlalchemy import Connection

from pipeline.core.frame_check import FrameCheck
from pipeline.core.frame_index import FrameIndex
from pipeline.core.live_gaps import live_gaps
from pipeline.core.object_keys import export_key, run_folder
from pipeline.db.engine import transaction
from pipeline.db.frames import iter_frame_rows
from pipeline.db.leases import Lease
from pipeline.db.run_ends import claim_finish, mark_failed, set_export_key
from pipeline.db.runs import run_exists, select_run
from pipeline.db.videos import select_frame_index, select_video
from pipeline.errors import RunFailed, ServiceUnavailable, SourceGone
from pipeline.logs import get_logger, log_context
from pipeline.services.frame_pass import Tally, iter_pass
from pipeline.services.leased_work import LeasedWork, WorkKind, leased_work
from pipeline.services.pose_writers import JsonLines
from pipeline.services.settle import Finishing, end_done
from pipeline.services.system import System

log = get_logger(__name__)


def finish_run(system: System, run_id: UUID, worker: str, stopping: threading.Event | None = None) -> None:
    """Finish the run that a message names; a stale or doubled message does nothing.

    Raises:
        RunFailed, SourceGone: it ended without results; its row says why.
    """

    def claim(connection: Connection) -> Finishing | None:
        lease = claim_finish(connection, run_id, worker, system.settings.lease_s)
        if lease is None:
            return None
        run = select_run(connection, run_id, team=None)
        index = select_frame_index(connection, run.video_id)
        return Finishing(lease, run, select_video(connection, run.video_id, team=None), index)

    with log_context(run=str(run_id)), leased_work(system, RUN_WORK, claim, stopping) as work:
        if work is None:
            return
        assert work.claimed.video.source is not None
        system.store.check_unchanged(work.claimed.video.source)
        with _leaving_nothing_of_erased(system, run_id):
            tally, failure = _check_and_export(system, work)
            run = work.claimed.run
            summary = tally.summary(work.claimed.index, run.chunks_total)
            if run.live is not None:
                summary["live"] = live_gaps(run.live, summary)
            if failure is not None:
                with work.commit() as connection:
                    mark_failed(connection, work.claimed.lease, failure, summary)
                log.error("run_failed", reason=failure, **summary)
                raise RunFailed(failure)
            end_done(system, work, summary)
        log.info("run_done", **summary)


@contextmanager
def _leaving_nothing_of_erased(system: System, run_id: UUID) -> Iterator[None]:
    """Remove the export that the block may have stored, where its run was erased meanwhile."""
    try:
        yield
    except Exception:
        with suppress(ServiceUnavailable):
            with transaction(system.engine) as connection:
                is_there = run_exists(connection, run_id)
            if not is_there:
                system.store.versions.remove(system.store.bucket, run_folder(run_id))
        raise


def _check_and_export(system: System, work: LeasedWork[Finishing]) -> tuple[Tally, str | None]:
    """Count, check and export in one pass over the frames; store the export if all is well, else return why not."""
    claimed, heartbeat = work.claimed, work.heartbeat
    tally, check = Tally(), FrameCheck(claimed.index)
    scratch_path = system.settings.scratch_path
    scratch_path.mkdir(parents=True, exist_ok=True)

    def on_bytes(count: int) -> None:
        heartbeat.advance(count)
        heartbeat.check()

    with tempfile.TemporaryFile(dir=scratch_path) as scratch:
        sinks = (tally, check, JsonLines(scratch, claimed.index.time_base))
        for _ in iter_pass(iter_frame_rows(system.engine, claimed.run.id), sinks):
            heartbeat.advance()
            heartbeat.check()
        # What was not analysed live is stated; a bound on it is for what a worker could not read.
        most_missing = system.settings.max_missing_share if claimed.run.live is None else 1.0
        failure = _find_failure(tally, check, claimed.index, most_missing)
        if failure is None:
            key, size_bytes = export_key(claimed.run.id), scratch.tell()
            with transaction(system.engine) as connection:
                set_export_key(connection, claimed.lease, key)
            scratch.seek(0)
            # The key is the run's own, so a second attempt overwrites the same object with the same bytes.
            system.store.put_stream(scratch, size_bytes, key, on_bytes, content_type="application/jsonl", sparing=True)
            heartbeat.check()
    return tally, failure


def _find_failure(tally: Tally, check: FrameCheck, index: FrameIndex, max_missing_share: float) -> str | None:
    """Why a run must not be marked done, None where it may be."""
    findings = check.findings()
    if not findings.clean:
        return f"the frames are not the video's: {findings}; analyse the video again and report this"
    if tally.missing > max_missing_share * len(index):
        return (
            f"{tally.missing} of {len(index)} frames could not be analysed, more than {max_missing_share:.0%}: "
            f"{tally.missing_reasons.most_common(1)[0][0]}"
        )
    return None


def _fail(connection: Connection, lease: Lease, reason: str) -> None:
    mark_failed(connection, lease, reason)


RUN_WORK = WorkKind(
    "run",
    fatal=(SourceGone,),
    fail=_fail,
    give_up=_fail,
    errors_reason="could not be finished after {count} tries: {error}",
    expired_reason="{count} workers died or hung while finishing it",
)
