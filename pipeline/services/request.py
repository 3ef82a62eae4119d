"""Ask for a run: one video, one model. Asked for twice, it is the same run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from pipeline.db.engine import transaction
from pipeline.db.runs import ensure_model, insert_run
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
    """A run that was asked for, and whether it stood already."""

    run_id: UUID
    known: bool


def request_run(
    system: System, video_id: UUID, model_name: str, on_step: Callable[[str], None] | None = None
) -> Request:
    """The run of that video by that model, planned at once where the video is ready.

    The weights are put in the store first, so that every worker can get them.

    Raises:
        UnknownModel: there is no such model.
        UsageError: no worker here computes in its precision.
        VideoRejected: the video turned out to be none.
        InvalidWeights: its weights are not on this machine, or are not what they were, or not what the team pinned.
    """
    found = find_model(model_name, system.settings.models_path, system.settings.models_pins)
    spec = found.spec
    store_weights(system, found, on_step)
    with transaction(system.engine) as connection:
        video_id = lock_for_run(connection, video_id)
        ensure_model(connection, spec.fingerprint, spec.full_name, json.loads(spec.to_json()))
        run_id, new = insert_run(connection, video_id, spec.fingerprint)
        lack = missing_capability(connection, spec.precision) if new else None
        if lack is not None:  # and with it what was just inserted is gone
            raise UsageError(lack)
        planned = plan_runs(connection, system.settings, video_id)
    if planned:
        dispatch(system)
    return Request(run_id, known=not new)
