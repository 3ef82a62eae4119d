"""Submit one video: take it in and request its run. An upload that is refused leaves a row that says why."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from pipeline.core.model_spec import ModelSpec
from pipeline.core.progress import SILENT, Progress
from pipeline.db.engine import transaction
from pipeline.db.models import ensure_model
from pipeline.db.run_ends import insert_failed_run
from pipeline.db.teams import lock_team
from pipeline.db.uploads import insert_refused
from pipeline.errors import OwnPreview, VideoRejected
from pipeline.inference.zoo import find_model
from pipeline.services.request import Request, request_run
from pipeline.services.system import System
from pipeline.services.upload import Upload, printable, register_object, upload_file


@dataclass(frozen=True)
class Submitted:
    """The video that was taken in, and the run that was requested for it."""

    upload: Upload
    request: Request


def submit_video(system: System, source: str, team: str, model_name: str, progress: Progress = SILENT) -> Submitted:
    """Take in a file of this machine, or an object by its `s3://bucket/key`, and request its run.

    A video that cannot be analysed leaves a rejected video and a failed run, both with the reason. Any other error,
    and a preview that Poseline drew, leaves neither. `progress` counts bytes of a file.

    Raises:
        VideoRejected: it is not a video that can be analysed.
        UnknownModel, InvalidWeights: there is no such model here; nothing was uploaded.
        UsageError, ObjectMissing, ServiceUnavailable: as `upload_file`, `register_object` and `request_run`.
    """
    spec = find_model(model_name, system.settings.models_path, system.settings.models_pins).spec
    try:
        if source.startswith("s3://"):
            upload = register_object(system, source, team)
        else:
            upload = upload_file(system, Path(source), team, progress=progress)
    except OwnPreview:  # nobody wants to find those among the runs
        raise
    except VideoRejected as error:
        path = Path(source)
        record_refusal(system, team, printable(path.name), path.stat().st_size, spec, error.message)
        raise
    try:
        return Submitted(upload, request_run(system, upload.video.id, model_name))
    except VideoRejected as error:  # a worker has ingested it already
        with transaction(system.engine) as connection:
            ensure_model(connection, spec.fingerprint, spec.full_name, json.loads(spec.to_json()))
            insert_failed_run(connection, upload.video.id, spec.fingerprint, error.message)
        raise


def record_refusal(system: System, team: str, name: str, size_bytes: int, spec: ModelSpec, reason: str) -> UUID:
    """Record an upload that was refused before any of it was stored. Returns the id of its failed run.

    The same refusal again renews the time of the rows that it left before.
    """
    with transaction(system.engine) as connection:
        lock_team(connection, team)
        video_id = insert_refused(
            connection, team, name, bucket=system.store.bucket, size_bytes=size_bytes, reason=reason
        )
        ensure_model(connection, spec.fingerprint, spec.full_name, json.loads(spec.to_json()))
        return insert_failed_run(connection, video_id, spec.fingerprint, reason)
