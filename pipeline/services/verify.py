"""Compare a done run with its video as stored now: the video is read and indexed again, and every frame compared."""

from __future__ import annotations

import hashlib
import struct
import zlib
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from sqlalchemy import Connection

from pipeline.core.frame_check import FrameCheck
from pipeline.core.frame_index import FrameIndex
from pipeline.core.object_keys import export_key
from pipeline.core.progress import SILENT, Progress
from pipeline.core.states import RunState
from pipeline.db.engine import transaction
from pipeline.db.frames import iter_frame_rows
from pipeline.db.run_search import select_current_runs
from pipeline.db.runs import RunRow, select_run
from pipeline.db.videos import VideoRow, select_frame_index, select_video
from pipeline.errors import OriginalRemoved, RunFailed, ServiceUnavailable, SourceGone, VideoRejected
from pipeline.services.frame_pass import Tally, iter_pass
from pipeline.services.local_copy import local_copy
from pipeline.services.pose_writers import JsonLines
from pipeline.services.system import System
from pipeline.services.teams import limits_of_ready
from pipeline.storage.store_errors import ObjectMissing
from pipeline.video.reader import VideoInfo, probe


class _Digest:
    """A file that keeps only what its bytes hash to."""

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()

    def write(self, data: bytes) -> None:
        self.sha256.update(data)


@dataclass(frozen=True)
class Check:
    """One thing that was checked, whether it is right, and what was found."""

    what: str
    good: bool
    found: str


@dataclass(frozen=True)
class Verdict:
    """All checks of `verify_run`."""

    run_id: UUID
    checks: tuple[Check, ...]

    @property
    def good(self) -> bool:
        return all(check.good for check in self.checks)

    def to_dict(self) -> dict[str, object]:
        """The verdict as JSON fields."""
        checks = [{"what": check.what, "good": check.good, "found": check.found} for check in self.checks]
        return {"run_id": str(self.run_id), "good": self.good, "checks": checks}


def current_runs(system: System, *, team: str | None) -> list[UUID]:
    """The current run of every video that has one: what readers see."""
    with transaction(system.engine) as connection:
        return list(select_current_runs(connection, team_name=team))


def verify_run(system: System, run_id: UUID, progress: Progress = SILENT) -> Verdict:
    """Read the stored video again, index it again, and compare the run's frames and its export with that.

    Args:
        progress: is told what is being checked.

    Raises:
        RunFailed: the run is not done.
        BucketMissing: there is no bucket of that name, which says nothing of the run.
        ServiceUnavailable: a server does not answer.
    """
    with transaction(system.engine) as connection:
        run = select_run(connection, run_id, team=None)
        if run.state is not RunState.DONE:
            raise RunFailed(f"run {run.id} is {run.state}; only a run that is done can be verified")
        video = select_video(connection, run.video_id, team=None)
        recorded = _recorded_index(connection, run.video_id)
    system.store.check_bucket()
    progress.step("reading the stored video again")
    checks, index = _check_video(system, video, recorded)
    progress.step("reading the frames")
    expected = index or recorded
    if expected is None:
        return Verdict(run.id, tuple(checks))
    return Verdict(run.id, (*checks, *_check_frames(system, run, expected)))


def _recorded_index(connection: Connection, video_id: UUID) -> FrameIndex | None:
    """The index as recorded at ingest, None where it cannot be read."""
    try:
        return select_frame_index(connection, video_id)
    except (ValueError, TypeError, struct.error, zlib.error):
        return None


def _check_video(system: System, video: VideoRow, recorded: FrameIndex | None) -> tuple[list[Check], FrameIndex | None]:
    """Check the stored object and index it again; None where the video that was analysed is gone."""
    try:
        source = video.original
    except OriginalRemoved as error:
        return [Check("video", True, f"not compared: {error.message}")], None
    try:
        with local_copy(system, source) as whole:
            sha256 = whole.sha256()
            if sha256 != video.sha256:
                was = (video.sha256 or "unknown")[:12]
                return [Check("video", False, f"its SHA-256 is {sha256[:12]}, not {was} as ingested")], None
            same = Check("video", True, f"SHA-256 {sha256[:12]}, as ingested")
            try:
                info = probe(whole.bytes, limits_of_ready(system, video))
            except VideoRejected as error:
                return [same, Check("index", False, f"cannot be made again: {error.message}")], None
    except SourceGone as error:
        with suppress(ServiceUnavailable):  # as where keys may read objects, but ask for no bucket
            system.store.check_bucket(source.bucket)
        return [Check("video", False, error.message)], None
    return [same, _compare(recorded, info.index), _compare_properties(video, info)], info.index


def _compare_properties(video: VideoRow, info: VideoInfo) -> Check:
    """Compare what exports and viewers read besides the frames."""
    index = info.index
    found = {
        "time_base": index.time_base,
        "frames": len(index),
        "first_pts": int(index.pts[0]),
        "last_pts": int(index.pts[-1]),
        "width": info.width,
        "height": info.height,
        "codec": info.codec,
    }
    wrong = [f"{name} is {now}, {getattr(video, name)} was recorded" for name, now in found.items()
             if getattr(video, name) != now]  # fmt: skip
    same = f"{info.width} x {info.height}, time base {index.time_base}"
    return Check("properties", not wrong, "; ".join(wrong) or same)


def _compare(recorded: FrameIndex | None, found: FrameIndex) -> Check:
    if recorded is None:
        return Check("index", False, "the recorded index cannot be read")
    if len(recorded) != len(found):
        return Check("index", False, f"{len(found)} frames, {len(recorded)} were recorded")
    if (recorded.time_base, recorded.indexed_by_position) != (found.time_base, found.indexed_by_position):
        return Check("index", False, f"its time base is {found.time_base}, {recorded.time_base} was recorded")
    for name in ("pts", "keyframe", "position_bytes", "size_bytes"):
        differ = np.flatnonzero(getattr(recorded, name) != getattr(found, name))
        if len(differ):
            return Check("index", False, f"{name} of {len(differ)} frames is not as recorded, first {differ[0]}")
    return Check("index", True, f"{len(found)} frames, as recorded")


def _check_frames(system: System, run: RunRow, index: FrameIndex) -> tuple[Check, Check]:
    """Compare the committed frames with the index, and the stored export with the frames, in one pass."""
    tally, check, digest = Tally(), FrameCheck(index), _Digest()
    try:
        for _ in iter_pass(iter_frame_rows(system.engine, run.id), (tally, check, JsonLines(digest, index.time_base))):
            pass
    except ValueError as error:
        broken = f"{tally.frames} rows can be read, the next one not ({error})"
        return Check("frames", False, broken), Check("export", False, "not compared")
    findings = check.findings()
    found = f"{findings.rows} rows: {findings}"
    if tally.missing:
        found += f"; {tally.missing} of them could not be analysed"
    told, now = run.summary or {}, tally.summary(index, run.chunks_total)
    wrong = [f"{name} {told.get(name)} for {now[name]}" for name in now if told.get(name) != now[name]]
    if wrong and findings.clean:
        found += f"; the summary has {', '.join(wrong)}"
    rows = Check("frames", findings.clean and not wrong, found)
    return rows, _check_export(system, run, digest.sha256.hexdigest())


def _check_export(system: System, run: RunRow, sha256: str) -> Check:
    key = export_key(run.id)
    if run.export_removed_at is not None:
        when = f"removed on {run.export_removed_at:%Y-%m-%d} by the team's retention"
        return Check("export", True, f"not compared: {when}; `poseline export` makes one")
    stored = hashlib.sha256()
    try:
        for piece in system.store.iter_whole(system.store.head(key)):
            stored.update(piece)
    except (ObjectMissing, SourceGone):
        return Check("export", False, f"{key} is gone from the store; `poseline export` makes one")
    same = stored.hexdigest() == sha256
    return Check("export", same, f"{key} {'has' if same else 'does not have'} what the database has")
