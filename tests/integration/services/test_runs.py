"""What the command line and the API read of runs."""

from __future__ import annotations

import dataclasses
import json

from pipeline.core.model_spec import ModelSpec, NetworkSpec
from pipeline.db.engine import transaction
from pipeline.db.runs import ensure_model
from pipeline.services.system import System
from tests.integration.db.test_chunks import make_run
from tests.support.harness import run_of

SPEC = ModelSpec(
    name="m",
    pose=NetworkSpec("rtmo", "0" * 64, 64, 64),
    score_threshold=0.3,
    nms_threshold=0.45,
    licence="MIT",
    source="a test",
)


def store_model(system: System, fields: dict[str, object]) -> None:
    with transaction(system.engine) as connection:
        ensure_model(connection, "f", "m", fields)


def test_a_run_whose_model_was_decoded_by_another_version_is_readable(system: System) -> None:
    run_id = make_run(system)
    older = dataclasses.replace(SPEC, pose=dataclasses.replace(SPEC.pose, decoding="rtmlib-0.0.1 /0"))
    store_model(system, json.loads(older.to_json()))
    assert run_of(system, run_id).model == older
    assert not older.pose.is_current
