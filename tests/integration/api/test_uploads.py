"""Uploads over the API: in any order, twice, broken off, doubled, too much, and completed once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from pipeline.core.audit import Action
from pipeline.core.roles import Role
from pipeline.core.upload_parts import MIB
from pipeline.db.audit import select_audit
from pipeline.db.engine import transaction
from pipeline.db.pressure import put_pressure
from pipeline.services.reconcile.uploads import complete_sent_uploads, remove_abandoned_uploads
from pipeline.services.system import System
from pipeline.services.teams import set_team
from pipeline.services.upload import upload_file
from tests.support.erased import erase, receipt
from tests.support.harness import cut, processes, sql, wait_done
from tests.support.paths import DEMO_CLIP
from tests.support.uploads import (
    PART,
    assert_no_upload_left,
    begin,
    complete,
    digest,
    parts_of,
    put,
    put_all,
    sha256,
    stored_bytes,
)
from tests.support.web import Client, make_team, served, signed_in


@pytest.fixture
def system(system: System) -> System:
    """With small parts, so that short files have several."""
    return replace(system, settings=system.settings.model_copy(update={"upload_part_bytes": PART}))


@pytest.fixture
def origin(system: System) -> Iterator[str]:
    """Where the application answers."""
    with served(system) as origin:
        yield origin


@pytest.fixture
def team(system: System) -> UUID:
    """A team without videos."""
    return make_team(system, "ours")


@pytest.fixture
def coach(system: System, origin: str, team: UUID) -> Client:
    """A coach's browser."""
    return signed_in(system, origin, "coach@example.org", ours=Role.COACH)


@pytest.fixture(scope="module")
def content() -> bytes:
    """Three parts and a bit, of which no two are the same."""
    return os.urandom(3 * PART + 12_345)


def test_parts_come_in_any_order_twice_and_at_once(system: System, coach: Client, team: UUID, content: bytes) -> None:
    begun = begin(coach, team, content, tags={"match": "home"})
    assert begun["status"] == "begun"
    upload = begun["upload"]["id"]
    assert (begun["upload"]["part_bytes"], begun["upload"]["parts_total"]) == (PART, 4)
    parts = parts_of(content)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda n: put(coach, team, upload, n, parts[n - 1]).status, [4, 2, 2, 3, 4]))
    assert answers == [200] * 5
    early = complete(coach, team, upload)
    assert (early.status, early.json()["type"]) == (409, "urn:poseline:parts-missing")
    assert "parts 1 of 4 are missing" in early.json()["detail"]
    put_all(coach, team, upload, content, [1])
    assert [part["number"] for part in coach.get(f"/teams/{team}/uploads/{upload}")["parts"]] == [1, 2, 3, 4]
    with ThreadPoolExecutor(3) as pool:
        done = [each.json() for each in pool.map(lambda _: complete(coach, team, upload), range(3))]
    assert done[0] == done[1] == done[2] == complete(coach, team, upload).json()
    assert (done[0]["video_id"], done[0]["state"], done[0]["problem"]) == (upload, "stored", "")
    assert sql(system, "SELECT id::text FROM run WHERE video_id = :id", id=upload) == [(done[0]["run_id"],)]
    assert sql(system, "SELECT tags, size_bytes FROM video") == [({"match": "home"}, len(content))]
    assert stored_bytes(system, team, upload) == content
    assert coach.get(f"/teams/{team}/uploads/{upload}")["complete"] is True
    for late in (put(coach, team, upload, 1, parts[0]), coach.ask("DELETE", f"/teams/{team}/uploads/{upload}")):
        assert (late.status, late.json()["type"]) == (409, "urn:poseline:upload-complete")
        assert "this upload is complete" in late.json()["detail"]
    assert_no_upload_left(system, team)


def test_an_uploaded_clip_is_analysed(system: System, coach: Client, team: UUID, tmp_path: Path) -> None:
    clip = cut(DEMO_CLIP, tmp_path / "short.mp4", 30).read_bytes()
    upload = begin(coach, team, clip, "demo.mp4")["upload"]["id"]
    put_all(coach, team, upload, clip)
    run_id = complete(coach, team, upload).json()["run_id"]
    with processes(system.settings, tmp_path / "logs") as running:
        running.worker("--slots", "1")
        running.beat()
        wait_done(system, UUID(run_id))
    assert sql(system, "SELECT sha256, state FROM video") == [(sha256(clip), "ready")]


def test_damaged_parts_are_refused(coach: Client, system: System, team: UUID, content: bytes) -> None:
    upload = begin(coach, team, content)["upload"]["id"]
    path = f"/teams/{team}/uploads/{upload}/parts"
    first, second = parts_of(content)[:2]
    wrong = coach.ask("PUT", f"{path}/1", first, digest(second))
    assert (wrong.status, wrong.json()["type"]) == (400, "urn:poseline:part-damaged")
    assert coach.ask("PUT", f"{path}/1", first[:-1], digest(first[:-1])).status == 400
    assert coach.ask("PUT", f"{path}/5", first, digest(first)).status == 400
    assert coach.ask("PUT", f"{path}/0", first, digest(first)).status == 422
    assert coach.ask("PUT", f"{path}/1", first, {"Content-Digest": "md5=:AA==:"}).status == 400
    assert coach.ask("PUT", f"{path}/1", first).status == 422
    assert coach.get(f"/teams/{team}/uploads/{upload}")["parts"] == []
    assert list(system.settings.scratch_path.iterdir()) == []


def test_a_file_goes_on_where_it_stopped_for_whoever_picks_it(
    system: System, origin: str, coach: Client, team: UUID, content: bytes
) -> None:
    upload = begin(coach, team, content)["upload"]["id"]
    put_all(coach, team, upload, content, [1, 3])
    other = signed_in(system, origin, "second@example.org", ours=Role.OWNER)
    again = begin(other, team, content)
    assert (again["status"], again["upload"]["id"]) == ("resumed", upload)
    assert [(part["number"], part["sha256"]) for part in again["upload"]["parts"]] == [
        (number, sha256(parts_of(content)[number - 1])) for number in (1, 3)
    ]
    [listed] = coach.get(f"/teams/{team}/uploads")["items"]
    assert (listed["id"], listed["parts_stored"], listed["stored_bytes"]) == (upload, 2, 2 * PART)
    assert listed["begun_by"] == "coach@example.org"
    different = bytes(reversed(content))
    assert begin(coach, team, different)["status"] == "begun", "same name, size and time, and another beginning"
    assert begin(coach, team, content, modified_ms=8)["status"] == "begun"


def test_the_same_request_twice_begins_one_upload(coach: Client, team: UUID, system: System) -> None:
    wish = {"name": "a.mp4", "size_bytes": 10}
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: coach.ask("POST", f"/teams/{team}/uploads", wish), range(3)))
    assert len({answer.json()["upload"]["id"] for answer in answers}) == 1
    key = {"Idempotency-Key": uuid4().hex}
    one = coach.ask("POST", f"/teams/{team}/uploads", {**wish, "name": "b.mp4"}, key)
    assert one.status == 201
    two = coach.ask("POST", f"/teams/{team}/uploads", {**wish, "name": "b.mp4", "modified_ms": 5}, key)
    assert two.json()["upload"]["id"] == one.json()["upload"]["id"]
    assert coach.ask("POST", f"/teams/{team}/uploads", {**wish, "size_bytes": 11}, key).status == 400
    assert sql(system, "SELECT count(*) FROM video") == [(2,)]


def test_doubles_are_named_before_they_are_sent(
    system: System, coach: Client, team: UUID, content: bytes, tmp_path: Path
) -> None:
    upload = begin(coach, team, content)["upload"]["id"]
    put_all(coach, team, upload, content)
    complete(coach, team, upload)
    known = begin(coach, team, content, "copy.mp4")
    assert known["status"] == "known"
    assert known["known"] == {"id": upload, "name": "a.mp4", "state": "stored", "certain": False}
    assert begin(coach, team, content, "copy.mp4", again=True)["status"] == "begun"
    # One that came in by the command line has no parts.
    clip = upload_file(system, DEMO_CLIP, "ours").video
    found = begin(coach, team, DEMO_CLIP.read_bytes(), "phone.mp4")
    assert (found["known"]["id"], found["known"]["certain"]) == (str(clip.id), DEMO_CLIP.stat().st_size <= PART)
    whole = begin(coach, team, b"x" * 99, "whole.mp4", sha256=sha256(DEMO_CLIP.read_bytes()))
    assert (whole["known"]["name"], whole["known"]["certain"]) == (DEMO_CLIP.name, True)


def test_what_there_is_no_room_for_is_refused_before_a_byte_is_sent(
    system: System, coach: Client, team: UUID, content: bytes
) -> None:
    set_team(system, "ours", quota_bytes=2 * len(content), limits={"max_bytes": 10 * len(content)})
    begin(coach, team, content)
    room = coach.get(f"/teams/{team}/uploads")["room"]
    assert (room["left_bytes"], room["max_bytes"], room["part_bytes"]) == (len(content), 10 * len(content), PART)
    wish = {"name": "b.mp4", "size_bytes": len(content) + 1}
    over = coach.ask("POST", f"/teams/{team}/uploads", wish)
    assert (over.status, over.json()["type"]) == (413, "urn:poseline:quota-reached")
    assert "delete videos, or have the quota raised" in over.json()["detail"]
    large = coach.ask("POST", f"/teams/{team}/uploads", {**wish, "size_bytes": 11 * len(content)})
    assert (large.status, large.json()["type"]) == (422, "urn:poseline:video-rejected")
    assert coach.ask("POST", f"/teams/{team}/uploads", {**wish, "size_bytes": 0}).status == 422
    assert coach.ask("POST", f"/teams/{team}/uploads", {**wish, "size_bytes": 9, "model": "no"}).status == 404
    with transaction(system.engine) as connection:
        put_pressure(connection, "store", "the videos in the object store take 9 GiB of 10 GiB: make room")
    full = coach.ask("POST", f"/teams/{team}/uploads", {**wish, "size_bytes": 9})
    assert (full.status, full.headers["retry-after"]) == (503, "60")
    assert "9 GiB of 10 GiB" in full.json()["detail"]
    assert coach.get(f"/teams/{team}/uploads")["room"]["short_of"] is not None
    assert sql(system, "SELECT count(*) FROM video") == [(1,)]


def test_an_upload_is_given_up(system: System, coach: Client, team: UUID, content: bytes) -> None:
    upload = begin(coach, team, content)["upload"]["id"]
    put_all(coach, team, upload, content, [1])
    assert coach.ask("DELETE", f"/teams/{team}/uploads/{upload}").status == 204
    assert coach.ask("DELETE", f"/teams/{team}/uploads/{upload}").status == 404
    with transaction(system.engine) as connection:
        noted = [row.action for row in select_audit(connection, team, before=None, limit=10)]
    assert noted.count(Action.UPLOAD_GIVEN_UP) == 1
    assert put(coach, team, upload, 2, parts_of(content)[1]).status == 404
    assert_no_upload_left(system, team)


def test_abandoned_uploads_go_by_their_last_activity(system: System, coach: Client, team: UUID, content: bytes) -> None:
    old, used = (begin(coach, team, content, name)["upload"]["id"] for name in ("old.mp4", "used.mp4"))
    sql(system, "UPDATE upload SET begun_at = now() - interval '9 days', last_at = now() - interval '8 days'")
    sql(system, "UPDATE video SET created_at = now() - interval '9 days'")
    put_all(coach, team, used, content, [1])
    remove_abandoned_uploads(system)
    assert sql(system, "SELECT video_id::text FROM upload") == [(used,)]
    assert coach.ask("GET", f"/teams/{team}/uploads/{old}").status == 404
    sql(system, "UPDATE upload SET last_at = now() - interval '8 days'")
    assert begin(coach, team, content, "used.mp4")["status"] == "resumed"
    remove_abandoned_uploads(system)
    assert sql(system, "SELECT video_id::text FROM upload") == [(used,)]


def test_beat_completes_what_nobody_did(system: System, coach: Client, team: UUID, content: bytes) -> None:
    upload, part = (begin(coach, team, content, name)["upload"]["id"] for name in ("a.mp4", "b.mp4"))
    put_all(coach, team, upload, content)
    put_all(coach, team, part, content, [1])
    complete_sent_uploads(system)
    assert sql(system, "SELECT count(*) FROM run") == [(0,)], "its browser may be about to"
    sql(system, "UPDATE upload SET last_at = now() - interval '1 minute'")
    complete_sent_uploads(system)
    assert sql(system, "SELECT video_id::text FROM run") == [(upload,)]
    assert stored_bytes(system, team, upload) == content


def test_parts_that_the_store_has_lost_are_asked_for_again(
    system: System, coach: Client, team: UUID, content: bytes
) -> None:
    upload = begin(coach, team, content)["upload"]["id"]
    put_all(coach, team, upload, content, [1, 2])
    [(key,)] = sql(system, "SELECT object_key FROM video")
    system.store.parts.abort_all(str(key))
    lost = put(coach, team, upload, 3, parts_of(content)[2])
    assert (lost.status, lost.json()["type"]) == (409, "urn:poseline:parts-missing")
    assert begin(coach, team, content)["upload"]["parts"] == []
    put_all(coach, team, upload, content)
    assert complete(coach, team, upload).status == 200
    assert stored_bytes(system, team, upload) == content
    assert_no_upload_left(system, team)


def test_an_upload_that_is_erased_comes_not_back(system: System, coach: Client, team: UUID, content: bytes) -> None:
    upload = begin(coach, team, content)["upload"]["id"]
    put_all(coach, team, upload, content, [1, 2])
    got = receipt(system, erase(system, upload))
    assert (got["rows"]["videos"], got["objects"]["uploads"]) == (1, 1)
    assert put(coach, team, upload, 3, parts_of(content)[2]).status == 404
    assert complete(coach, team, upload).status == 404
    assert sql(system, "SELECT video_id FROM upload") == []
    assert_no_upload_left(system, team)
    begin(coach, team, content)
    erase(system, team="ours")
    assert sql(system, "SELECT video_id FROM upload") == []
    assert_no_upload_left(system, team)


def test_a_size_that_is_no_number_and_a_name_that_is_none_are_refused(coach: Client, team: UUID) -> None:
    path = f"/teams/{team}/uploads"
    for size in (True, "5", 5.5):
        refused = coach.ask("POST", path, {"name": "a.mp4", "size_bytes": size})
        assert (refused.status, refused.json()["detail"].startswith("size_bytes: ")) == (422, True), size
    for name in ("", " ", ".", "..", "folder/..", "C:\\videos\\.", ". . ."):
        refused = coach.ask("POST", path, {"name": name, "size_bytes": 5})
        assert (refused.status, refused.json()["detail"]) == (
            400, "a video's name has 1 to 255 characters, and not dots alone",
        ), name  # fmt: skip
    assert coach.ask("POST", path, {"name": "..a", "size_bytes": 5}).status == 201


@pytest.mark.parametrize("method_path", ["GET {}", "DELETE {}", "PUT {}/parts/1", "POST {}/complete"])
def test_uploads_are_the_teams_own_and_no_viewers(
    system: System, origin: str, coach: Client, team: UUID, method_path: str
) -> None:
    upload = begin(coach, team, b"x" * MIB)["upload"]["id"]
    method, _, path = method_path.format(f"/uploads/{upload}").partition(" ")
    theirs = make_team(system, "theirs")
    other = signed_in(system, origin, "other@example.org", theirs=Role.OWNER)
    viewer = signed_in(system, origin, "viewer@example.org", ours=Role.VIEWER)
    body, headers = (b"x" * MIB, digest(b"x" * MIB)) if method == "PUT" else (None, None)
    assert viewer.ask(method, f"/teams/{team}{path}", body, headers).status == 403
    assert other.ask(method, f"/teams/{team}{path}", body, headers).status == 404
    assert other.ask(method, f"/teams/{theirs}{path}", body, headers).status == 404
    assert sql(system, "SELECT state FROM video") == [("uploading",)]
