"""One mutated video's way through the product: stored, ingested, planned, decoded; some are analysed and finished."""

from __future__ import annotations

import hashlib
import io
import json
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from pipeline.core.chunk_plan import plan_chunks
from pipeline.core.frame_index import FrameIndex
from pipeline.core.states import RunState, VideoState, is_final
from pipeline.db.chunks import count_chunks
from pipeline.db.engine import transaction
from pipeline.db.frames import iter_frame_rows
from pipeline.db.models import ensure_model
from pipeline.db.runs import insert_run, select_run
from pipeline.db.uploads import insert_video, mark_stored
from pipeline.db.videos import VideoRow, select_frame_index, select_video
from pipeline.errors import DecodeFailed, PoselineError, RunFailed, VideoRejected
from pipeline.inference.pose_model import PoseModel
from pipeline.services.detect import detect_chunk
from pipeline.services.finish import finish_run
from pipeline.services.ingest import ingest_video
from pipeline.services.model_cache import ModelCache
from pipeline.services.system import System
from pipeline.services.teams import limits_of
from pipeline.storage.blocks import ObjectSource
from pipeline.video.reader import VideoReader
from tests.fuzz.mutations import Case

MAX_S = 15.0
#: Of the videos that are ready, one in so many is analysed to the end.
ANALYSED_SHARE = 8
_TRIES = 20


@dataclass
class Outcome:
    """What became of a case.

    Args:
        ended: `ready` or `rejected`.
        reason: of the rejection, or of the run's failure.
        gave_up: what decoder children failed of, each a line.
        problems: what must not be; empty where all is well.
    """

    case: Case
    ended: str = ""
    reason: str = ""
    frames: int = 0
    missing: int = 0
    seconds: float = 0.0
    gave_up: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class Journey:
    """The way, for any number of cases and from several threads at once."""

    def __init__(self, system: System, model: PoseModel, models: ModelCache) -> None:
        self._system = system
        self._model = model
        self._models = models

    def go(self, case: Case) -> Outcome:
        """Take one case through; nothing is raised, whatever happens."""
        outcome = Outcome(case)
        started_s = time.monotonic()
        try:
            self._go(case, outcome)
        except Exception as error:  # noqa: BLE001 - any is a finding
            outcome.problems.append(f"{type(error).__name__}: {error}"[:500])
        outcome.seconds = time.monotonic() - started_s
        if outcome.seconds > MAX_S:
            outcome.problems.append(f"it took {outcome.seconds:.1f} s")
        return outcome

    def _go(self, case: Case, outcome: Outcome) -> None:
        system = self._system
        analysed = case.number % ANALYSED_SHARE == 0
        team = "analysed" if analysed else "decoded"
        with transaction(system.engine) as connection:
            video_id, key = insert_video(connection, team, case.name, bucket=system.store.bucket)
        stored = system.store.put_stream(io.BytesIO(case.data), len(case.data), key)
        run_id = None
        with transaction(system.engine) as connection:
            mark_stored(connection, video_id, stored)
            if analysed:
                spec = self._model.spec
                ensure_model(connection, spec.fingerprint, spec.name, json.loads(spec.to_json()))
                run_id, _ = insert_run(connection, video_id, spec.fingerprint)
        video = self._ingest(video_id, outcome)
        outcome.ended, outcome.reason = video.state, video.reason or ""
        if video.state is VideoState.READY:
            with transaction(system.engine) as connection:
                index = select_frame_index(connection, video_id)
            outcome.frames = len(index)
            if run_id is not None:
                self._analyse(run_id, index, outcome)
            else:
                self._decode(video, index, outcome)
        elif video.state is VideoState.REJECTED:
            self._check_rejected(video, run_id, outcome)
        else:
            outcome.problems.append(f"it stayed {video.state}")
        system.store.delete(key)

    def _ingest(self, video_id: UUID, outcome: Outcome) -> VideoRow:
        """As workers do it: again after a failure, until the video is ready or rejected."""
        for _ in range(self._system.settings.max_errors):
            try:
                ingest_video(self._system, video_id, "fuzz")
            except DecodeFailed as error:
                outcome.gave_up.append(f"ingest: {error.message}")
            except VideoRejected:
                pass  # its row says so
            with transaction(self._system.engine) as connection:
                video = select_video(connection, video_id, team=None)
            if video.state is not VideoState.STORED:
                break
        return video

    def _check_rejected(self, video: VideoRow, run_id: UUID | None, outcome: Outcome) -> None:
        reason = video.reason or ""
        if not reason or not reason.isprintable() or len(reason) > 500:
            outcome.problems.append(f"the reason is no line: {reason!r}")
        if run_id is not None and video.duplicate_of is None:
            with transaction(self._system.engine) as connection:
                run = select_run(connection, run_id, team=None)
            if (run.state, run.reason) != (RunState.FAILED, reason):
                outcome.problems.append(f"its run is {run.state} ({run.reason})")

    def _decode(self, video: VideoRow, index: FrameIndex, outcome: Outcome) -> None:
        """Every planned frame once: given, or known to be missing; none else, none out of order."""
        planned: list[int] = []
        pictures: dict[int, bytes] = {}
        for plan in plan_chunks(index, self._system.settings.chunk_frames):
            numbers = range(plan.first_frame, plan.first_frame + plan.frames)
            planned += numbers
            pictures |= self._pictures(video, index, numbers, outcome)
        outcome.missing = len(index) - len(pictures)
        if planned != list(range(len(index))):
            outcome.problems.append("the chunks are not the video")
        if pictures:
            whole = self._pictures(video, index, range(len(index)), outcome)
            foreign = list(_foreign(pictures, whole))
            if foreign:
                outcome.problems.append(f"frames with the pictures of others: {foreign[:5]}")

    def _pictures(self, video: VideoRow, index: FrameIndex, numbers: range, outcome: Outcome) -> dict[int, bytes]:
        """What a child gives for these frames: digests of pictures by frame number."""
        system, side = self._system, self._model.spec.side_px
        assert video.source is not None
        pictures: dict[int, bytes] = {}
        try:
            source, limits = ObjectSource(system.store, video.source), limits_of(system, video.team)
            for frame in VideoReader(source, index, video.size, limits).frames(numbers.start, numbers.stop, side):
                if pictures and frame.number <= max(pictures):
                    outcome.problems.append(f"frame {frame.number} came after frame {max(pictures)}")
                if frame.number not in numbers or frame.pts != index.pts[frame.number]:
                    outcome.problems.append(f"frame {frame.number} came with pts {frame.pts} for {numbers}")
                if frame.image.shape != (side, side, 3) or not 0 < frame.scale < math.inf:
                    outcome.problems.append(f"a picture of {frame.image.shape} at scale {frame.scale}")
                pictures[frame.number] = hashlib.blake2b(frame.image.tobytes(), digest_size=16).digest()
        except DecodeFailed as error:
            outcome.gave_up.append(f"chunk: {error.message}")
        return pictures

    def _analyse(self, run_id: UUID, index: FrameIndex, outcome: Outcome) -> None:
        """Every chunk and the end of its run, again after a failure, as workers do it."""
        system = self._system
        for _ in range(_TRIES):
            with transaction(system.engine) as connection:
                run = select_run(connection, run_id, team=None)
                open_chunks = count_chunks(connection, run_id)
            if run.state not in {RunState.QUEUED, RunState.RUNNING}:
                break
            for idx in range(run.chunks_total or 0):
                try:
                    detect_chunk(system, self._models, run_id, idx, "fuzz")
                except DecodeFailed as error:
                    outcome.gave_up.append(f"chunk: {error.message}")
        try:
            finish_run(system, run_id, "fuzz")
        except RunFailed:
            pass  # its row says so
        except PoselineError as error:
            outcome.problems.append(f"finish: {error.message}")
        with transaction(system.engine) as connection:
            run = select_run(connection, run_id, team=None)
        rows = list(iter_frame_rows(system.engine, run_id))
        outcome.missing = sum(row.missing is not None for row in rows)
        if not is_final(run.state):
            outcome.problems.append(f"its run stayed {run.state}, chunks {open_chunks}")
        elif [(row.frame, row.pts) for row in rows] != list(enumerate(index.pts.tolist())):
            outcome.problems.append(f"its run is {run.state}, but not the ledger's frames ({run.reason})")
        elif run.state is RunState.FAILED:
            outcome.reason = run.reason or ""
            if "could not be analysed" not in outcome.reason:
                outcome.problems.append(f"its run failed: {outcome.reason}")


def _foreign(given: Mapping[int, bytes], whole: Mapping[int, bytes]) -> Iterator[str]:
    """Frames whose picture in a chunk is that of a later frame in one decode of the whole video.

    A decoder that covers damage up shows earlier pictures again, and not the same ones from another start; a later
    one comes only of frames counted wrongly.
    """
    numbers: dict[bytes, list[int]] = {}
    for number, picture in whole.items():
        numbers.setdefault(picture, []).append(number)
    for number, picture in given.items():
        others = numbers.get(picture, [number])
        if min(others) > number:
            yield f"{number} shows {others[0]}"
