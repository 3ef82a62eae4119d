"""A model that is to be used later, by workers: kept in Postgres, with its weights in the object store."""

from __future__ import annotations

import json

from pipeline.core.model_spec import ModelSpec
from pipeline.core.progress import SILENT, Progress
from pipeline.db.engine import transaction
from pipeline.db.models import ensure_model
from pipeline.inference.zoo import find_model
from pipeline.services.system import System
from pipeline.services.weight_store import store_weights


def prepare_model(system: System, model_name: str, progress: Progress = SILENT) -> ModelSpec:
    """Find a model on this machine, and keep all that workers need of it.

    Raises:
        UnknownModel: there is no such model.
        InvalidWeights: the weights are not on this machine, have changed, or are not those that the team pinned.
    """
    found = find_model(model_name, system.settings.models_path, system.settings.models_pins)
    store_weights(system, found, progress)
    spec = found.spec
    with transaction(system.engine) as connection:
        ensure_model(connection, spec.fingerprint, spec.full_name, json.loads(spec.to_json()))
    return spec
