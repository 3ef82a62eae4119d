"""Request a run: one video, one model. The same request twice gives the same run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pipeline.core.progress import SILENT, Progress
from pipeline.db.engine import transaction
from pipeline.db.models import ensure_model
from pipeline.db.runs import insert_run
from pipeline.db.videos import lock_for_run
from pipeline.errors import UsageError
from pipeline.inference.zoo import find_model
from pipeline.services.capabilities import missing_capability
from pipeline.services.dispatch import dispatch
from pipeline.services.plan import plan_runs
from pipeline.services.system import System
from pipeline.services.weight_store import store_weights


@dataclass(frozen=True)
class Request:
    """The run that was requested, and whether it had been requested before."""

    run_id: UUID
    existed: bool


def request_run(
    system: System,
    video_id: UUID,
    model_name: str,
    progress: Progress = SILENT,
    *,
    lane: str = "fresh",
    deadline: datetime | None = None,
) -> Request:
    """The run of that video by that model, planned at once if the video is ready.

    The weights are uploaded to the object store first, so that every worker can fetch them.

    Raises:
        UnknownModel: there is no such model.
        UsageError: no worker computes in its precision.
        VideoRejected: the video was rejected.
        InvalidWeights: the weights are not on this machine, have changed, or are not those that the team pinned.
    """
    found = find_model(model_name, system.settings.models_path, system.settings.models_pins)
    spec = found.spec
    store_weights(system, found, progress)
    with transaction(system.engine) as connection:
        video_id = lock_for_run(connection, video_id)
        ensure_model(connection, spec.fingerprint, spec.full_name, json.loads(spec.to_json()))
        run_id, new = insert_run(connection, video_id, spec.fingerprint, lane=lane, deadline=deadline)
        missing = missing_capability(connection, spec.precision) if new else None
        if missing is not None:  # rolls back what was just inserted
            raise UsageError(missing)
        planned = plan_runs(connection, system.settings, video_id)
    if planned:
        dispatch(system)
    return Request(run_id, existed=not new)
