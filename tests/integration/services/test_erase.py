"""What is erased is gone from database and store, whatever was under way; nothing else is, and it can be proved."""

from __future__ import annotations

import json
from io import BytesIO
from uuid import UUID, uuid4

import pytest

from pipeline.core.object_keys import export_key, video_key
from pipeline.core.retention import Kind
from pipeline.db import uploads
from pipeline.db.engine import transaction
from pipeline.errors import NotFound, UsageError
from pipeline.services.erase.check import check_erasures, list_erasures
from pipeline.services.erase.receipt import sha256_of
from pipeline.services.erase.targets import begin_erasure, find_asked
from pipeline.services.reconcile import tick
from pipeline.services.retention import set_retention
from pipeline.services.system import System
from pipeline.services.teams import add_team, list_teams
from tests.support.erased import erase, is_gone, receipt
from tests.support.harness import sql, wait_until
from tests.support.kept import FRAMES, done_run, keys, requested_run, stored_video
from tests.support.watched_bucket import WatchedPrefix


def test_a_video_goes_with_all_that_was_made_of_it_and_another_stays(system: System) -> None:
    video_id, other = stored_video(system, "match.mp4", tags={"person": "anna"}), stored_video(system, "other.mp4")
    first, second = done_run(system, video_id), done_run(system, video_id, params="2")
    kept = done_run(system, other)
    open_ = requested_run(system, video_id, params="3")
    sql(system, "UPDATE video SET other_names = '{again.mp4}' WHERE id = :id", id=video_id)
    sql(
        system,
        "INSERT INTO worker_death VALUES ('w', now(), now(), ARRAY[:run || '/0', :video, :other || '/0'])",
        run=str(first),
        video=str(video_id),
        other=str(kept),
    )
    compared = sql(system, "SELECT count(*) FROM comparison")[0][0]
    promoted = sql(system, "SELECT count(*) FROM promotion WHERE video_id = :id", id=video_id)[0][0]

    note = (
        "INSERT INTO audit (team_id, actor, action, subject, detail) SELECT team_id, 'anna', 'done', :subject, :detail "
        "FROM video WHERE id = :id"
    )
    for subject, detail in ((video_id, {}), (second, {"file": "csv"}), (kept, {"file": "csv"})):
        sql(system, note, subject=str(subject), detail=json.dumps(detail), id=video_id)

    erasure_id = erase(system, "match.mp4")
    assert is_gone(system, video_id, first, second, open_)
    assert sql(system, "SELECT actor, subject, detail FROM audit ORDER BY id") == [
        *[("anna", "", {})] * 2,
        ("anna", str(kept), {"file": "csv"}),
    ]
    got = receipt(system, erasure_id)
    assert got["rows"] == {
        "chunks": 2,
        "comparisons": compared,
        "frames": 2 * FRAMES,
        "names": 2,
        "promotions": promoted,
        "runs": 3,
        "tags": 1,
        "videos": 1,
    }
    assert (got["objects"]["versions"], got["registered_objects_left"]) == (3, 0)
    assert got["sha256"]["videos"] == [sha256_of(str(video_id))]
    assert got["sha256"]["runs"] == sorted(sha256_of(str(each)) for each in (first, second, open_))
    assert "match" not in str(got)
    assert sql(system, "SELECT held FROM worker_death") == [([f"{kept}/0"],)]
    assert sql(system, "SELECT count(*) FROM frame WHERE run_id = :id", id=kept) == [(FRAMES,)]
    assert len(keys(system, other, kept)) == 2
    with pytest.raises(NotFound, match="there is no video"):
        find_asked(system, ["match.mp4"], team=None, tags={})


def test_every_version_and_open_upload_goes(system: System) -> None:
    client, bucket = system.store._client, f"versions-{uuid4()}"
    client.create_bucket(Bucket=bucket)
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    video_id = stored_video(system)
    [(key,)] = sql(system, "SELECT object_key FROM video")
    for content in (b"first", b"second"):
        client.put_object(Bucket=bucket, Key=str(key), Body=content)
    client.delete_object(Bucket=bucket, Key=str(key))
    client.create_multipart_upload(Bucket=bucket, Key=str(key))
    sql(system, "UPDATE video SET bucket = :bucket", bucket=bucket)

    got = receipt(system, erase(system, str(video_id)))
    assert got["objects"] == {"versions": 3, "markers": 1, "uploads": 1, "size_bytes": 11 + 32}
    assert list(system.store.versions.iter_keys(bucket, "")) == []
    assert sorted(got["buckets"]) == sorted([bucket, system.store.bucket])


def test_a_persons_videos_are_those_with_the_tag_and_of_that_team(system: System) -> None:
    hers = [stored_video(system, f"{n}.mp4", team="club", tags={"person": "anna", "n": str(n)}) for n in range(2)]
    his = stored_video(system, "his.mp4", team="club", tags={"person": "ben"})
    elsewhere = stored_video(system, "0.mp4", team="other", tags={"person": "anna"})
    asked = find_asked(system, [], team="club", tags={"person": "anna"})
    assert (asked.extent.videos, asked.confirmation) == (2, "person=anna")
    erasure_id = erase(system, team="club", tags={"person": "anna"})
    assert all(is_gone(system, each) for each in hers)
    assert {row[0] for row in sql(system, "SELECT id FROM video")} == {his, elsewhere}
    [row] = list_erasures(system, [erasure_id])
    assert row.asked_sha256 == sha256_of("team:club tag:person=anna")
    with pytest.raises(NotFound, match="no video tagged person=anna"):
        find_asked(system, [], team="club", tags={"person": "anna"})


def test_a_team_goes_with_its_settings_and_another_stays(system: System) -> None:
    video_id, other = stored_video(system, team="club"), stored_video(system, team="other")
    run_id = done_run(system, video_id)
    set_retention(system, "club", Kind.RUNS, 30)
    made = "SELECT id, team_id FROM video WHERE id = :id"
    sql(
        system,
        "INSERT INTO schedule (name, team_id, cron, timezone, model_fingerprint) "
        "SELECT 'nightly', team_id, '0 1 * * *', 'UTC', model_fingerprint FROM run",
    )
    sql(
        system,
        "INSERT INTO pass (schedule_id, name, team_id, model_fingerprint, promotion, opened_at, video_ids) "
        "SELECT id, name, team_id, model_fingerprint, 'automatic', now(), ARRAY[CAST(:id AS uuid)] FROM schedule",
        id=video_id,
    )
    sql(system, "UPDATE run SET pass_id = (SELECT id FROM pass)")
    sql(system, f"INSERT INTO watch (bucket, prefix, pattern, team_id, model_fingerprint) "
        f"SELECT 'b', '', 'p', v.team_id, model_fingerprint FROM ({made}) v, run",
        id=video_id)  # fmt: skip
    [(team_id,)] = sql(system, "SELECT id FROM team WHERE name = 'club'")
    sql(system, "INSERT INTO live_session (team_id, mode) VALUES (:id, 'full')", id=team_id)
    system.store.put_stream(BytesIO(b"left"), 4, f"teams/{team_id}/videos/{uuid4()}")  # by nobody that is known

    got = receipt(system, erase(system, team="club"))
    kinds = ("teams", "rules", "schedules", "passes", "watches", "live sessions", "videos")
    assert {name: got["rows"][name] for name in kinds} == dict.fromkeys(kinds, 1)
    assert is_gone(system, video_id, run_id)
    assert keys(system, UUID(str(team_id))) == []
    assert [row.name for row in list_teams(system)] == ["other"]
    assert keys(system, other) != []


def test_uploads_of_the_same_content_go_together_but_not_another_teams(system: System) -> None:
    content = uuid4().hex
    original = stored_video(system, "a.mp4", content=content)
    theirs = stored_video(system, "a.mp4", team="other", content=content)
    with transaction(system.engine) as connection:
        [(team_id,)] = sql(system, "SELECT id FROM team WHERE name = 'team'")
        del connection
    second = uuid4()
    sql(
        system,
        "INSERT INTO video (id, team_id, name, state, bucket, object_key, owned, sha256, duplicate_of, reason) "
        "VALUES (:id, :team, 'copy.mp4', 'rejected', :bucket, :key, true, :sha, :of, 'the same')",
        id=second,
        team=team_id,
        bucket=system.store.bucket,
        key=video_key(UUID(str(team_id)), second),
        sha=content,
        of=original,
    )
    got = receipt(system, erase(system, "copy.mp4"))
    assert got["rows"]["videos"] == 2
    assert is_gone(system, original)
    assert is_gone(system, second)
    assert keys(system, theirs) != []


def test_a_registered_object_stays_and_is_named(system: System) -> None:
    source = system.store.put_stream(BytesIO(b"theirs"), 6, f"matches/{uuid4()}")
    video_id = stored_video(system, "theirs.mp4", registered=source)
    with transaction(system.engine) as connection:
        second, _ = uploads.insert_video(connection, "team", "again.mp4", bucket=source.bucket, key=source.key)
        uploads.mark_stored(connection, second, source)
    sql(system, "UPDATE video SET state = 'rejected', duplicate_of = :one WHERE id = :id", one=video_id, id=second)
    asked = find_asked(system, ["theirs"], team=None, tags={})
    assert asked.extent.registered == (f"s3://{source.bucket}/{source.key}",)
    assert receipt(system, erase(system, "theirs.mp4"))["registered_objects_left"] == 1
    assert is_gone(system, video_id)
    system.store.check_unchanged(source)


def test_a_watch_does_not_take_in_again_what_was_erased(system: System) -> None:
    watched = WatchedPrefix(system)
    add_team(system, "u18")
    for name in ("one", "two"):
        watched.put(f"u18/2026/{name}.mp4", name.encode())
    watched.watch()
    assert watched.list_all()["new"] == 2
    erase(system, "one.mp4", team="u18")
    assert watched.list_all()["new"] == 0
    watched.rename("u18/2026/one.mp4", "u18/2027/renamed.mp4")
    watched.put("u18/2027/copy.mp4", b"one")
    found = watched.list_all()
    assert (found["new"], found["erased"]) == (0, 2)
    watched.put("u18/2026/one.mp4", b"another recording")
    assert watched.list_all()["new"] == 1
    erase(system, team="u18")
    add_team(system, "u18")
    watched.rename("u18/2026/two.mp4", "u18/2027/two.mp4")
    assert watched.list_all()["new"] == 0
    assert sql(system, "SELECT 1 FROM video") == []


def test_a_copy_that_was_not_read_yet_goes_too(system: System) -> None:
    watched = WatchedPrefix(system)
    for team in ("u18", "u19"):
        add_team(system, team)
        for name, content in (("one", b"same"), ("copy", b"same"), ("other", b"else")):
            watched.put(f"{team}/2026/{name}.mp4", content)
    watched.watch()
    assert watched.list_all()["new"] == 6
    erase(system, "one.mp4", team="u18")
    left = "SELECT video.name FROM video JOIN team ON team.id = team_id WHERE team.name = :team ORDER BY 1"
    assert sql(system, left, team="u18") == [("other.mp4",)]
    assert len(sql(system, left, team="u19")) == 3
    assert watched.list_all()["new"] == 0


def test_an_object_that_another_video_reads_stays(system: System) -> None:
    one, two = stored_video(system, "one.mp4"), stored_video(system, "two.mp4")
    sql(system, "UPDATE video SET object_key = (SELECT object_key FROM video WHERE id = :two) WHERE id = :one",
        one=one, two=two)  # fmt: skip
    erase(system, "one.mp4")
    assert len(keys(system, two)) == 1


def test_what_is_asked_for_has_to_be_clear(system: System) -> None:
    stored_video(system, "same.mp4")
    stored_video(system, "same.mp4")
    for names, team, tags, error in (
        ((), None, {}, "name what to erase"),
        ((), None, {"person": "anna"}, "name what to erase"),
        (("same.mp4",), "team", {"person": "anna"}, "not both"),
        (("same.mp4",), None, {}, "2 videos are called same.mp4; name one by its id"),
        (("nothing",), None, {}, "there is no video 'nothing'"),
        ((), "tame", {}, "did you mean 'team'"),
    ):
        with pytest.raises(UsageError, match=error):
            find_asked(system, names, team=team, tags=tags)
    assert sql(system, "SELECT 1 FROM erasure") == []


def test_a_check_finds_what_comes_back(system: System) -> None:
    video_id = stored_video(system)
    run_id = done_run(system, video_id)
    kept = done_run(system, stored_video(system, "other.mp4"))
    erasure_id = erase(system, str(video_id))
    system.store.put_stream(BytesIO(b"late"), 4, export_key(run_id))
    sql(
        system,
        "INSERT INTO frame SELECT :id, frame, 0, pts, 0, NULL, '{}', '{}', '{}' FROM frame WHERE run_id = :kept",
        id=run_id,
        kept=kept,
    )
    sql(system, "INSERT INTO team (id, name) VALUES (:id, 'with the id of a video')", id=video_id)
    [check] = check_erasures(system)
    assert not check.good
    assert check.back == (f"frame {run_id}", f"s3://{system.store.bucket}/{export_key(run_id)}", f"team {video_id}")
    # The object is looked for again, and removed.
    sql(system, "UPDATE erasure_item SET look_at = now()")
    soon = "SELECT 1 FROM erasure_item WHERE look_at IS NULL OR look_at < now() + interval '20 s'"
    wait_until(
        lambda: tick(system) or not sql(system, soon), 20, "every object to be looked for, and again in a minute"
    )
    assert keys(system, run_id) == []
    sql(system, "UPDATE erasure SET finished_at = now() - interval '8 days'")
    sql(system, "UPDATE erasure_item SET look_at = now()")
    wait_until(lambda: tick(system) or not sql(system, "SELECT 1 FROM erasure_item"), 20)
    assert list_erasures(system, [erasure_id])[0].receipt["sha256"]["videos"] == [sha256_of(str(video_id))]


def test_a_tick_finishes_what_was_begun(system: System) -> None:
    video_id = stored_video(system)
    run_id = done_run(system, video_id)
    asked = find_asked(system, [str(run_id)], team=None, tags={})
    erasure_id = begin_erasure(system, asked, "somebody who went away")
    [check] = check_erasures(system, [erasure_id])
    assert not check.good
    assert "not finished yet" in check.line
    wait_until(lambda: tick(system) or check_erasures(system, [erasure_id])[0].good, 20)
    assert is_gone(system, video_id, run_id)
    assert receipt(system, erasure_id)["rows"]["frames"] == FRAMES
