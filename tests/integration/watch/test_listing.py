"""A watched bucket: what a listing takes in, what it does not and why, and what becomes of it later."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from sqlalchemy import text

from pipeline.core.objects import StoredObject
from pipeline.db.engine import transaction
from pipeline.db.erased_sources import TeamObject, note_erased_source
from pipeline.db.videos import select_video
from pipeline.errors import SourceGone
from pipeline.services.ingest import ingest_video
from pipeline.services.system import System
from pipeline.services.teams import add_team
from pipeline.services.watch.manage import hint
from tests.support.harness import cut, sql, wait_until
from tests.support.paths import DEMO_CLIP
from tests.support.watched_bucket import WatchedPrefix

VIDEOS = "SELECT name, state FROM video ORDER BY object_key, created_at"


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A video of a few frames."""
    return cut(DEMO_CLIP, tmp_path / "clip.mp4", 5)


@pytest.fixture
def bucket(system: System) -> WatchedPrefix:
    """A prefix that others write to; there are the teams u18 and u16."""
    add_team(system, "u18")
    add_team(system, "u16")
    return WatchedPrefix(system)


def ingest_all(system: System) -> None:
    """Read every video that waits, as workers do."""
    for (video_id,) in sql(system, "SELECT id FROM video WHERE state = 'stored' ORDER BY created_at, id"):
        try:
            ingest_video(system, video_id, "w")  # type: ignore[arg-type]
        except Exception:  # noqa: BLE001  its row says so
            continue


def test_videos_are_taken_in_once_with_team_name_and_tags_from_their_keys(
    system: System, bucket: WatchedPrefix, clip: Path
) -> None:
    bucket.put("u18/2026/final cam=03 #1?%.mp4", clip)
    bucket.put("u16/2025/Größe\n🙂.MP4", b"other")
    bucket.watch()
    found = bucket.list_all()
    assert (found["seen"], found["taken"], found["new"]) == (2, 2, 2)
    made = sql(
        system,
        "SELECT team.name, video.name, tags, owned, video.state, run.state, run.lane FROM video "
        "JOIN team ON team.id = video.team_id JOIN run ON run.video_id = video.id ORDER BY team.name",
    )
    assert made == [
        ("u16", "Größe?🙂.MP4", {"season": "2025"}, False, "stored", "waiting", "fresh"),
        ("u18", "final cam=03 #1?%.mp4", {"season": "2026"}, False, "stored", "waiting", "fresh"),
    ]
    ingest_all(system)
    again = bucket.list_all()
    assert (again["seen"], again["taken"], again.get("new")) == (2, 1, 0)
    [[_, why]] = again["examples"]["refused"]
    assert "not a video" in why
    assert bucket.list_all()["refused"] == 1
    assert sql(system, "SELECT state, count(*) FROM video GROUP BY 1 ORDER BY 1") == [("ready", 1), ("rejected", 1)]
    assert len(sql(system, "SELECT 1 FROM run")) == 2


def test_what_is_not_taken_in_is_counted_with_examples(system: System, bucket: WatchedPrefix) -> None:
    keys = {
        "unfit": ["loose.mp4", "u18/2026/deeper/a.mp4"],
        "unknown_team": ["u99/2026/a.mp4"],
        "no_video": ["u18/2026/notes.txt", "u18/2026/._a.mp4"],
    }
    bucket.put_many(key for some in keys.values() for key in some)
    bucket.put("u18/2026/empty.mp4", b"")
    bucket.client.put_object(Bucket=bucket.bucket, Key=bucket.prefix + "u18/2025/", Body=b"")
    bucket.watch()
    found = bucket.list_all()
    assert {name: found[name] for name in keys} == {name: len(some) for name, some in keys.items()}
    assert (found["seen"], found["empty"], found["folder"]) == (7, 1, 1)
    assert {key for key, _ in found["examples"]["unfit"]} == {bucket.prefix + key for key in keys["unfit"]}
    assert found["examples"]["unknown_team"] == [[bucket.prefix + "u99/2026/a.mp4", "there is no team 'u99'"]]
    assert sql(system, VIDEOS) == []
    add_team(system, "u99")
    bucket.put("u18/2026/empty.mp4", b"no longer")
    assert bucket.list_all()["new"] == 2


def test_own_objects_are_left_out(system: System, bucket: WatchedPrefix) -> None:
    bucket.client.put_object(Bucket=system.store.bucket, Key="teams/x/videos/y.mp4", Body=b"ours")
    bucket.client.put_object(Bucket=system.store.bucket, Key="cards/one.mp4", Body=b"theirs")
    bucket.bucket, bucket.prefix = system.store.bucket, ""
    bucket.watch("cards/{name}")
    assert bucket.list_all()["own"] >= 1
    assert sql(system, VIDEOS) == [("one.mp4", "stored")]


def test_an_object_is_taken_in_when_it_has_been_the_same_for_long_enough(system: System, bucket: WatchedPrefix) -> None:
    bucket.put("u18/2026/grows.mp4", b"begun")
    bucket.watch(settle_s=1.5)
    found = bucket.list_all()
    assert (found["settling"], found["taken"]) == (1, 0)
    bucket.put("u18/2026/grows.mp4", b"begun and grown")
    assert bucket.status().hinted == 1
    wait_until(lambda: bucket.tick() and sql(system, VIDEOS), 20, "the object to settle")  # by no other listing
    assert sql(system, "SELECT size_bytes FROM video") == [(len(b"begun and grown"),)]
    assert bucket.status().hinted == 0


@pytest.mark.parametrize("versions", [False, True])
def test_an_object_that_changes_is_a_new_video_and_the_old_one_stays_what_it_was(
    system: System, bucket: WatchedPrefix, clip: Path, tmp_path: Path, versions: bool
) -> None:
    if versions:
        bucket = WatchedPrefix(system, "versioned", versions=True)
    key = bucket.put("u18/2026/cam.mp4", clip)
    bucket.watch()
    bucket.list_all()
    ingest_all(system)
    bucket.put("u18/2026/cam.mp4", cut(DEMO_CLIP, tmp_path / "other.mp4", 9))
    found = bucket.list_all()
    assert (found["seen"], found["new"], found.get("gone", 0)) == (1, 1, 0 if versions else 1)
    ingest_all(system)
    assert sql(system, VIDEOS) == [("cam.mp4", "ready"), ("cam (2).mp4", "ready")]
    gone = sql(system, "SELECT name, source_gone_at IS NOT NULL FROM video ORDER BY created_at")
    assert gone == [("cam.mp4", not versions), ("cam (2).mp4", False)]
    [(size, etag, version)] = sql(system, "SELECT size_bytes, etag, version_id FROM video WHERE name = 'cam.mp4'")
    first = StoredObject(bucket.bucket, key, int(str(size)), str(etag), None if version is None else str(version))
    if versions:
        assert system.store.read_range(first, 0, first.size_bytes) == clip.read_bytes()
    else:
        with pytest.raises(SourceGone):
            system.store.check_unchanged(first)
    assert bucket.list_all()["new"] == 0


@pytest.mark.parametrize("when", ["seen as a rename", "seen as a copy first"])
def test_a_renamed_object_is_not_analysed_twice_and_its_video_follows(
    system: System, bucket: WatchedPrefix, clip: Path, when: str
) -> None:
    bucket.put("u18/2025/cam.mp4", clip)
    bucket.watch()
    bucket.list_all()
    ingest_all(system)
    bucket.rename("u18/2025/cam.mp4", "u18/2026/final.mp4")
    if when == "seen as a copy first":
        bucket.put("u18/2025/cam.mp4", clip)
        bucket.list_all()
        ingest_all(system)
        bucket.delete("u18/2025/cam.mp4")
    bucket.list_all()
    ingest_all(system)
    found = bucket.list_all()
    assert (found["seen"], found["new"]) == (1, 0)
    assert bucket.status().gone == 0
    [(name, others, tags, key)] = sql(
        system, "SELECT name, other_names, tags, object_key FROM video WHERE state = 'ready'"
    )
    assert (name, others, tags) == ("cam.mp4", ["final.mp4"], {"season": "2026"})
    assert key == bucket.prefix + "u18/2026/final.mp4"
    assert sql(system, "SELECT count(*) FROM run WHERE state = 'failed'") == [(0,)]
    assert sql(system, "SELECT count(*) FROM run WHERE state <> 'cancelled'") == [(1,)]


def test_a_deleted_object_is_said_to_be_gone_until_it_is_back(
    system: System, bucket: WatchedPrefix, clip: Path
) -> None:
    for key in ("u18/a/1.mp4", "u18/a-b/1.mp4", "u18/a.b/1.mp4", "u18/a/2.mp4", "u18/b/1.mp4"):  # orders differ here
        bucket.put(key, clip.read_bytes() + key.encode())
    bucket.watch()
    assert bucket.list_all()["new"] == 5
    bucket.list_all()
    for key in ("u18/a/2.mp4", "u18/a-b/1.mp4"):
        bucket.delete(key)
    found = bucket.list_all()
    assert (found["seen"], found["gone"]) == (3, 2)
    status = bucket.status()
    assert (status.gone, sorted(status.gone_keys)) == (
        2,
        [bucket.prefix + "u18/a-b/1.mp4", bucket.prefix + "u18/a/2.mp4"],
    )
    assert bucket.list_all()["gone"] == 0, "said once"
    bucket.put("u18/a/2.mp4", clip.read_bytes() + b"u18/a/2.mp4")
    assert bucket.list_all()["new"] == 0
    assert bucket.status().gone == 1
    bucket.put("u18/a-b/1.mp4", b"another")
    assert bucket.list_all()["new"] == 1


@pytest.mark.parametrize("noted", ["now", "before renamed objects were known"])
def test_what_was_erased_is_not_taken_in_again(system: System, bucket: WatchedPrefix, noted: str) -> None:
    bucket.put("u18/2026/a.mp4", b"erased")
    bucket.watch()
    bucket.list_all()
    with transaction(system.engine) as connection:
        [(video_id, team_id)] = connection.execute(text("SELECT id, team_id FROM video")).all()
        source = select_video(connection, video_id, team="u18").source
        assert source is not None
        if noted == "now":
            erased = TeamObject(team_id, source.bucket, source.key, source.etag, source.size_bytes)
            note_erased_source(connection, erased)
        else:
            line = f"u18\n{source.etag}\ns3://{source.bucket}/{source.key}"
            kept = {"sha256": hashlib.sha256(line.encode()).hexdigest()}
            connection.execute(text("INSERT INTO erased_source (sha256) VALUES (:sha256)"), kept)
        connection.execute(text("DELETE FROM run"))
        connection.execute(text("DELETE FROM video"))
    found = bucket.list_all()
    assert (found["seen"], found["erased"], found["taken"]) == (1, 1, 0)
    hint(system, [f"s3://{source.bucket}/{source.key}"])
    bucket.tick()
    assert sql(system, VIDEOS) == []
    bucket.put("u18/2026/a.mp4", b"another")
    assert bucket.list_all()["new"] == 1
