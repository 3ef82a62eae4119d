"""Hold a run that is done against its video as it lies in the store now: nothing that was written down is believed."""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from sqlalchemy import Connection

from pipeline.core.frame_check import FrameCheck
from pipeline.core.frame_index import FrameIndex
from pipeline.core.objects import export_key
from pipeline.core.progress import SILENT, Progress
from pipeline.core.states import RunState
from pipeline.db.engine import transaction
from pipeline.db.frames import iter_frame_rows
from pipeline.db.runs import RunRow, select_run
from pipeline.db.videos import VideoRow, select_frame_index, select_video
from pipeline.errors import RunFailed, SourceGone, VideoRejected
from pipeline.services.export import JsonLines
from pipeline.services.local_copy import local_copy
from pipeline.services.run_pass import Tally, iter_pass
from pipeline.services.system import System
from pipeline.services.team_limits import limits_of_ready
from pipeline.storage.objects import ObjectMissing
from pipeline.video.reader import VideoInfo, probe
from pipeline.video.source import FileSource


class _Digest:
    """A file that keeps only what its bytes hash to."""

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()

    def write(self, data: bytes) -> None:
        self.sha256.update(data)


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: whether it is as it should be, and what was found."""

    what: str
    good: bool
    found: str


@dataclass(frozen=True)
class Verdict:
    """All that `verify_run` looked at."""

    run_id: UUID
    checks: tuple[Check, ...]

    @property
    def good(self) -> bool:
        return all(check.good for check in self.checks)


def verify_run(system: System, run_id: UUID, progress: Progress = SILENT) -> Verdict:
    """Read the stored video again, index it anew, and hold the run's frames and its export against that.

    Args:
        progress: is told what is being checked.

    Raises:
        RunFailed: the run is not done.
        ServiceUnavailable: a server does not answer.
    """
    with transaction(system.engine) as connection:
        run = select_run(connection, run_id, team=None)
        if run.state is not RunState.DONE:
            raise RunFailed(f"run {run.id} is {run.state}; only a run that is done can be verified")
        video = select_video(connection, run.video_id, team=None)
        ledger = _ledger(connection, run.video_id)
    progress.step("reading the stored video again")
    checks, index = _look_at_video(system, video, ledger)
    progress.step("reading the frames")
    truth = index or ledger
    if truth is None:
        return Verdict(run.id, tuple(checks))
    return Verdict(run.id, (*checks, *_look_at_frames(system, run, truth)))


def _ledger(connection: Connection, video_id: UUID) -> FrameIndex | None:
    """The index as it was written down, None where it cannot be read any more."""
    try:
        return select_frame_index(connection, video_id)
    except (ValueError, TypeError, struct.error, zlib.error):
        return None


def _look_at_video(system: System, video: VideoRow, ledger: FrameIndex | None) -> tuple[list[Check], FrameIndex | None]:
    """The object and its index, made anew; None where the video that was analysed is not there any more."""
    assert video.source is not None
    try:
        with local_copy(system, video.source) as whole:
            if whole.sha256 != video.sha256:
                was = (video.sha256 or "unknown")[:12]
                return [Check("video", False, f"its SHA-256 is {whole.sha256[:12]}, not {was} as ingested")], None
            same = Check("video", True, f"SHA-256 {whole.sha256[:12]}, as ingested")
            try:
                info = probe(FileSource(whole.file), limits_of_ready(system, video))
            except VideoRejected as error:
                return [same, Check("index", False, f"cannot be made any more: {error.message}")], None
    except SourceGone as error:
        return [Check("video", False, error.message)], None
    return [same, _compare(ledger, info.index), _compare_facts(video, info)], info.index


def _compare_facts(video: VideoRow, info: VideoInfo) -> Check:
    """What exports and viewers read beside the frames."""
    index = info.index
    anew = {
        "time_base": index.time_base,
        "frames": len(index),
        "first_pts": int(index.pts[0]),
        "last_pts": int(index.pts[-1]),
        "width": info.width,
        "height": info.height,
        "codec": info.codec,
    }
    wrong = [f"{name} is {now}, {getattr(video, name)} was written down" for name, now in anew.items()
             if getattr(video, name) != now]  # fmt: skip
    return Check("facts", not wrong, "; ".join(wrong) or f"{info.width} x {info.height}, time base {index.time_base}")


def _compare(ledger: FrameIndex | None, anew: FrameIndex) -> Check:
    if ledger is None:
        return Check("index", False, "what was written down cannot be read")
    if len(ledger) != len(anew):
        return Check("index", False, f"{len(anew)} frames, {len(ledger)} were written down")
    if (ledger.time_base, ledger.indexed_by_position) != (anew.time_base, anew.indexed_by_position):
        return Check("index", False, f"its time base is {anew.time_base}, {ledger.time_base} was written down")
    for name in ("pts", "keyframe", "position_bytes", "size_bytes"):
        differ = np.flatnonzero(getattr(ledger, name) != getattr(anew, name))
        if len(differ):
            return Check("index", False, f"{name} of {len(differ)} frames is not as written down, first {differ[0]}")
    return Check("index", True, f"{len(anew)} frames, as written down")


def _look_at_frames(system: System, run: RunRow, index: FrameIndex) -> tuple[Check, Check]:
    """The committed frames against the index, and the stored export against the frames, in one pass."""
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
    return rows, _look_at_export(system, run.id, digest.sha256.hexdigest())


def _look_at_export(system: System, run_id: UUID, sha256: str) -> Check:
    key = export_key(run_id)
    stored = hashlib.sha256()
    try:
        for piece in system.store.iter_whole(system.store.head(key)):
            stored.update(piece)
    except (ObjectMissing, SourceGone):
        return Check("export", False, f"{key} is gone from the store; `poseline export` makes one")
    same = stored.hexdigest() == sha256
    return Check("export", same, f"{key} {'has' if same else 'does not have'} what the database has")
