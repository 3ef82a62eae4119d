"""The view `keypoint`: every keypoint by its name, of models with any number of them."""

from __future__ import annotations

import json
from uuid import UUID

import numpy as np
import pytest

from pipeline.core.keypoints import COCO_17, HALPE_26, Keypoints
from pipeline.core.poses import FramePoses
from pipeline.db import chunks
from pipeline.db.engine import transaction
from pipeline.db.frames import FrameRow
from pipeline.services.system import System
from tests.integration.db.test_chunks import claim, encoded, index_of, make_run
from tests.support.harness import sql

PEOPLE = 2


def analysed_by(system: System, known: Keypoints) -> tuple[UUID, np.ndarray]:
    """A run with two people in frame 1 and nobody in frame 0; their keypoints, float32 `[2, k, 3]`."""
    run_id = make_run(system, frames=10)
    sql(system, "UPDATE model SET spec = CAST(:spec AS jsonb)", spec=json.dumps({"keypoint_names": list(known.names)}))
    numbers = np.arange(PEOPLE * len(known.names) * 3, dtype=np.float32).reshape(PEOPLE, -1, 3)
    two = FramePoses(np.full(PEOPLE, 0.5), np.zeros((PEOPLE, 4)), numbers)
    claimed = claim(system, run_id, 0)
    assert claimed is not None
    pts = index_of(10).pts
    rows = [FrameRow(no, int(pts[no]), two if no == 1 else FramePoses.empty()) for no in range(10)]
    with transaction(system.engine) as connection:
        chunks.commit_chunk(connection, claimed, encoded(claimed, rows))
    return run_id, numbers


@pytest.mark.parametrize("known", [COCO_17, HALPE_26], ids=lambda known: str(len(known.names)))
def test_every_keypoint_has_its_name_and_its_numbers(system: System, known: Keypoints) -> None:
    run_id, numbers = analysed_by(system, known)
    rows = sql(
        system,
        "SELECT frame, pts, person, number, name, x, y, confidence FROM keypoint WHERE run_id = :id "
        "ORDER BY frame, person, number",
        id=run_id,
    )
    assert rows == [
        (1, int(index_of(10).pts[1]), person, number, name, *map(float, numbers[person, number]))
        for person in range(PEOPLE)
        for number, name in enumerate(known.names)
    ]


def test_its_times_are_those_of_poses_and_it_says_what_it_is(system: System) -> None:
    analysed_by(system, COCO_17)
    assert sql(system, "SELECT DISTINCT time_s FROM keypoint") == sql(system, "SELECT DISTINCT time_s FROM pose")
    [(words,)] = sql(system, "SELECT obj_description('keypoint'::regclass)")
    assert "One row per keypoint" in str(words)
