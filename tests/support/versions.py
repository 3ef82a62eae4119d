"""Videos with several runs, without models or decoding: rows straight into Postgres, finished by the service itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
from sqlalchemy import text

from pipeline.core.frame_index import FrameIndex
from pipeline.core.keypoints import COCO_17, Keypoints
from pipeline.core.objects import StoredObject
from pipeline.core.poses import FramePoses
from pipeline.db.engine import transaction
from pipeline.db.frames import FrameRow, copy_frames, encode_frames
from pipeline.db.models import ensure_model
from pipeline.db.runs import insert_run
from pipeline.db.uploads import insert_video, mark_stored
from pipeline.db.videos import IndexedVideo, claim_ingest, mark_ready, select_frame_index
from pipeline.services.finish import finish_run
from pipeline.services.ingest import ingest_video
from pipeline.services.system import System
from pipeline.services.upload import upload_file
from tests.support.harness import sql
from tests.support.long_run import make_index

FRAMES = 120
#: Keypoints of a person of 100 px: on a grid, so that no two are in one place.
_GRID = np.array([(10 + 20 * (k % 5), 10 + 20 * (k // 5 % 5)) for k in range(133)], np.float32)

#: The people in a frame of this number; None where it could not be analysed.
Scene = Callable[[int], FramePoses | None]


def people(
    *lefts_px: float, moved_px: float = 0.0, confidence: float = 0.8, keypoints: int = 17, side_px: float = 100
) -> FramePoses:
    """People 100 px high side by side, each `moved_px` to the right of where its box is."""
    if not lefts_px:
        return FramePoses.empty()
    boxes = np.array([(left, 100, left + side_px, 100 + side_px) for left in lefts_px], np.float32)
    xyc = np.zeros((len(lefts_px), keypoints, 3), np.float32)
    for person, left in enumerate(lefts_px):
        xyc[person, :, :2] = _GRID[:keypoints] * side_px / 100 + (left + moved_px, 100)
    xyc[:, :, 2] = confidence
    return FramePoses(np.full(len(lefts_px), 0.9, np.float32), boxes, xyc)


def two_people(_: int) -> FramePoses:
    """Two people who stand still."""
    return people(100, 400)


def make_video(system: System, name: str = "cam1.mp4", *, team: str = "team", frames: int = FRAMES) -> UUID:
    """A video that is ready; its object is a placeholder."""
    with transaction(system.engine) as connection:
        video_id, key = insert_video(connection, team, name, bucket=system.store.bucket)
        mark_stored(connection, video_id, _placeholder(system, key))
        lease = claim_ingest(connection, video_id, "w", 3600)
        assert lease is not None
        sha256 = hashlib.sha256(f"{name} {uuid4()}".encode()).hexdigest()
        mark_ready(connection, lease, IndexedVideo(sha256, "mp4", "h264", 1280, 720, 0, make_index(frames)))
    return video_id


def _placeholder(system: System, key: str) -> StoredObject:
    path = system.settings.scratch_path / "placeholder"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"no video")
    return system.store.put_file(path, key)


def take_in(system: System, clip: Path, *, team: str = "team") -> UUID:
    """A video that is ready and can be decoded."""
    video_id = upload_file(system, clip, team).video.id
    ingest_video(system, video_id, "w")
    return video_id


def make_run(
    system: System,
    video_id: UUID,
    scene: Scene = two_people,
    *,
    model: str = "older",
    rule: str = "automatic",
    pass_id: UUID | None = None,
    keypoints: Keypoints = COCO_17,
    finish: bool = True,
) -> UUID:
    """A run of a video by a model of that name, which found `scene`; finished, or about to be."""
    spec = {"keypoint_names": list(keypoints.names), "skeleton": [list(limb) for limb in keypoints.skeleton]}
    with transaction(system.engine) as connection:
        ensure_model(connection, f"fingerprint of {model}", model, spec)
        run_id, _ = insert_run(connection, video_id, f"fingerprint of {model}")
        copy_frames(connection, encode_frames(run_id, 0, _rows(scene, select_frame_index(connection, video_id))))
        values = {"id": run_id, "rule": rule, "pass_id": pass_id}
        for state in ("queued", "running", "finishing"):
            connection.execute(
                text(
                    f"UPDATE run SET state = '{state}', chunks_total = 1, chunks_pending = 0, promotion = :rule, "
                    "pass_id = :pass_id WHERE id = :id"
                ),
                values,
            )
    if finish:
        finish_run(system, run_id, "w")
    return run_id


def _rows(scene: Scene, index: FrameIndex) -> Iterator[FrameRow]:
    for number, pts in enumerate(map(int, index.pts)):
        found = scene(number)
        if found is None:
            yield FrameRow(number, pts, FramePoses.empty(), "it could not be decoded")
        else:
            yield FrameRow(number, pts, found)


def make_pass(
    system: System, name: str, *, schedule: str | None = None, model: str = "newer", rule: str = "automatic"
) -> UUID:
    """A pass, of a schedule if one is named, by a model that is made if needed."""
    spec = json.dumps({"keypoint_names": list(COCO_17.names), "skeleton": []})
    values = {"model": model, "spec": spec, "name": name, "schedule": schedule, "rule": rule}
    sql(
        system,
        "INSERT INTO model (fingerprint, name, spec) "
        "VALUES ('fingerprint of ' || :model, :model, CAST(:spec AS jsonb)) ON CONFLICT DO NOTHING",
        **values,
    )
    if schedule is not None:
        sql(
            system,
            "INSERT INTO schedule (name, cron, timezone, model_fingerprint) "
            "VALUES (:schedule, '0 1 * * *', 'UTC', 'fingerprint of ' || :model) ON CONFLICT DO NOTHING",
            **values,
        )
    [(pass_id,)] = sql(
        system,
        "INSERT INTO pass (schedule_id, schedule_name, name, model_fingerprint, promotion, opened_at) "
        "VALUES ((SELECT id FROM schedule WHERE name = :schedule), :schedule, :name, 'fingerprint of ' || :model, "
        ":rule, now()) "
        "RETURNING id",
        **values,
    )
    assert isinstance(pass_id, UUID)
    return pass_id


def current_of(system: System, video_id: UUID) -> UUID | None:
    """A video's current run."""
    [(run_id,)] = sql(system, "SELECT current_run_id FROM video WHERE id = :id", id=video_id)
    assert run_id is None or isinstance(run_id, UUID)
    return run_id


def scene_of(every: Sequence[FramePoses]) -> Scene:
    """A scene that repeats these frames."""
    return lambda number: every[number % len(every)]
