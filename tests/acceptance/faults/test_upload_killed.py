"""Killed before and after every statement of completing an upload: a repeat or beat finishes it, and once."""

from __future__ import annotations

import hashlib
import io
import os
from uuid import UUID

import pytest

from pipeline.core.roles import Role
from pipeline.db.accounts import TeamOf
from pipeline.services.accounts.callers import Caller
from pipeline.services.reconcile.uploads import complete_sent_uploads
from pipeline.services.system import System
from pipeline.services.uploads.begin import Wanted, begin_upload
from pipeline.services.uploads.complete import complete_upload
from pipeline.services.uploads.parts import expect_part, store_part
from pipeline.settings import Settings
from tests.support.fail_points import fail_points
from tests.support.harness import sql
from tests.support.uploads import assert_no_upload_left, sha256, stored_bytes
from tests.support.web import make_team

#: More points than there can be; the last one is never reached.
MOST = 81
SOAK = "POSELINE_SOAK" in os.environ
#: Odd, so that every other kill is left to beat.
STEP = 1 if SOAK else 5


def sent(system: System, team: TeamOf, number: int) -> tuple[UUID, bytes]:
    """An upload whose parts are stored, and its content."""
    content = os.urandom(1000 + number)
    upload = begin_upload(system, team, Wanted(f"{number}.mp4", len(content)), Caller()).upload
    assert upload is not None
    store_part(system, expect_part(system, team, upload.id, 1, sha256(content)), io.BytesIO(content))
    return upload.id, content


@pytest.mark.timeout(900 if SOAK else 120)
def test_completing_is_finished_wherever_it_was_killed(system: System, settings: Settings) -> None:
    team = TeamOf(make_team(system, "ours"), "ours", Role.COACH)
    with fail_points(settings) as points:
        for point in range(1, MOST, STEP):
            upload_id, content = sent(system, team, point)
            killed = points.kill_at("complete upload", upload_id, point)
            if point % 2:
                complete_upload(system, upload_id, team.id)
            else:
                sql(system, "UPDATE upload SET last_at = now() - interval '1 hour'")
                complete_sent_uploads(system)
            assert stored_bytes(system, team.id, str(upload_id)) == content
            assert sql(system, "SELECT state, sha256 FROM video WHERE id = :id", id=upload_id) == [
                ("stored", hashlib.sha256(content).hexdigest())
            ]
            assert sql(system, "SELECT count(*) FROM run WHERE video_id = :id", id=upload_id) == [(1,)]
            noted = "SELECT count(*) FROM audit WHERE action = 'video_uploaded' AND subject = :id"
            assert sql(system, noted, id=str(upload_id)) == [(1,)]
            assert_no_upload_left(system, team.id)
            if not killed:
                break
        assert 10 < point < MOST - STEP
