"""Finish a run: hold its frames against the video's ledger, sum it up, store its export, and only then call it done."""

from __future__ import annotations

import tempfile
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import numpy as np

from pipeline.core.frame_check import FrameCheck
from pipeline.core.frame_index import FrameIndex
from pipeline.db.engine import transaction
from pipeline.db.frames import FrameRow, iter_frame_rows
from pipeline.db.leases import Lease, release
from pipeline.db.runs import RunRow, claim_finish, mark_done, mark_failed, select_run
from pipeline.db.videos import select_frame_index, select_video
from pipeline.errors import LeaseLost, SourceGone, Stopping, in_one_line, is_outage
from pipeline.logs import bind, get_logger
from pipeline.services.export import JsonLines
from pipeline.services.lease_heartbeat import keep_lease
from pipeline.services.system import System

log = get_logger(__name__)


@dataclass
class Tally:
    """What is counted while a run's frames pass by once."""

    ledger: FrameCheck
    frames: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    with_people: int = 0
    poses: int = 0
    most_people: int = 0

    def add(self, row: FrameRow) -> None:
        self.ledger.add(row.frame_no, row.pts)
        people = len(row.poses)
        self.frames += 1
        if row.missing is not None:
            self.reasons[row.missing] += 1
        self.with_people += people > 0
        self.poses += people
        self.most_people = max(self.most_people, people)

    @property
    def missing(self) -> int:
        """Frames without poses, each for one of the reasons."""
        return self.reasons.total()


def results_key(run_id: UUID) -> str:
    """Where a run's export lies in our bucket."""
    return f"runs/{run_id}/poses.jsonl"


def finish_run(system: System, run_id: UUID, worker: str, stopping: threading.Event | None = None) -> None:
    """Do what a message says, if it still holds: a stale or doubled message does nothing."""
    settings = system.settings
    with bind(run=str(run_id)):
        with transaction(system.engine) as connection:
            lease = claim_finish(connection, run_id, worker, settings.lease_s)
            if lease is None:
                return
        try:
            with transaction(system.engine) as connection:
                run = select_run(connection, run_id, team=None)
                video = select_video(connection, run.video_id, team=None)
                index = select_frame_index(connection, run.video_id)
            assert video.source is not None
            system.store.check_unchanged(video.source)
            tally = _pass_once(system, run, index, lease, stopping)
            reason = _verdict(tally, index, settings.max_missing_share)
            with transaction(system.engine) as connection:
                summary = summarise(run, tally, index)
                if reason is None:
                    mark_done(connection, lease, summary)
                else:
                    mark_failed(connection, run_id, reason, summary)
        except LeaseLost:
            return
        except Stopping:
            with transaction(system.engine) as connection:
                release(connection, lease)
            return
        except SourceGone as error:
            with transaction(system.engine) as connection:
                mark_failed(connection, run_id, error.message)
            log.warning("run_failed", reason=error.message)
            raise
        except Exception as error:
            reason, outage = in_one_line(error), is_outage(error)
            log.warning("finish_failed", reason=reason, outage=outage)
            with transaction(system.engine) as connection:
                errors = release(connection, lease, error=reason, backoff_s=settings.backoff_s, outage=outage)
                if errors is not None and errors >= settings.max_errors:
                    mark_failed(connection, run_id, f"could not be finished after {errors} tries: {reason}")
            raise
        if reason is None:
            log.info("run_done", **summary)
        else:
            log.error("run_failed", reason=reason, **summary)


def _pass_once(system: System, run: RunRow, index: FrameIndex, lease: Lease, stopping: threading.Event | None) -> Tally:
    """Count, check and export in one pass over the frames."""
    tally = Tally(FrameCheck(index))
    sent_bytes = 0

    def on_bytes(more: int) -> None:
        # From several threads, and so not exact; that it moves is all that the lease asks.
        nonlocal sent_bytes
        sent_bytes += more

    scratch_path = system.settings.scratch_path
    scratch_path.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryFile(dir=scratch_path) as scratch,
        keep_lease(system, lease, progress=lambda: tally.frames + sent_bytes, stopping=stopping) as keeper,
    ):
        lines = JsonLines(scratch, index.time_base)
        for row in iter_frame_rows(system.engine, run.id):
            tally.add(row)
            lines.write(row)
            if not tally.frames % 256:
                keeper.check()
        keeper.check()
        size_bytes = scratch.tell()
        scratch.seek(0)
        # The key is the run's own, so a second try overwrites the same object with the same bytes.
        system.store.put_stream(scratch, size_bytes, results_key(run.id), on_bytes, content_type="application/jsonl")
        keeper.check()
    return tally


def _verdict(tally: Tally, index: FrameIndex, max_missing_share: float) -> str | None:
    findings = tally.ledger.findings()
    if not findings.clean:
        return f"the frames are not the video's: {findings}; analyse the video again and report this"
    if tally.missing > max_missing_share * len(index):
        return (
            f"{tally.missing} of {len(index)} frames could not be analysed, more than {max_missing_share:.0%}: "
            f"{tally.reasons.most_common(1)[0][0]}"
        )
    return None


def summarise(run: RunRow, tally: Tally, index: FrameIndex) -> dict[str, Any]:
    """What is kept of a run for people, from its frames."""
    steps = np.diff(index.pts)
    last_s = float(np.median(steps) * index.time_base) if len(steps) else 0.0
    return {
        "frames": tally.frames,
        "frames_missing": tally.missing,
        "frames_with_people": tally.with_people,
        "poses": tally.poses,
        "most_people": tally.most_people,
        "video_s": round(float((int(index.pts[-1]) - int(index.pts[0])) * index.time_base) + last_s, 3),
        "first_time_s": float(int(index.pts[0]) * index.time_base),
        "chunks": run.chunks_total,
    }
