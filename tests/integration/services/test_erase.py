"""What is erased is gone from database and store, whatever was under way; nothing else is, and it can be proved."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from pipeline.core.object_keys import export_key, video_key
from pipeline.core.retention import Kind
from pipeline.db.chunks import claim_chunk, commit_chunk
from pipeline.db.engine import transaction
from pipeline.db.frames import encode_frames
from pipeline.errors import LeaseLost, NotFound, PoselineError, UnknownTeam, UsageError
from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.services.erase.check import check_erasures, list_erasures
from pipeline.services.erase.receipt import sha256_of
from pipeline.services.erase.targets import begin_erasure, find_asked
from pipeline.services.erase.work import go_on
from pipeline.services.finish import finish_run
from pipeline.services.ingest import ingest_video
from pipeline.services.plan import plan_runs
from pipeline.services.reconcile import tick
from pipeline.services.request import request_run
from pipeline.services.retention import set_retention
from pipeline.services.submit import submit_video
from pipeline.services.system import System
from pipeline.services.teams import add_team, list_teams
from pipeline.services.upload import upload_file
from pipeline.storage.objects import PART_BYTES, ObjectStore
from tests.support.fail_points import OPERATIONS, made_up
from tests.support.harness import sql, wait_until
from tests.support.kept import FRAMES, done_run, keys, requested_run, stored_video
from tests.support.watched_bucket import WatchedPrefix


def erase(system: System, *names: str, team: str | None = None, tags: dict[str, str] | None = None) -> UUID:
    """Erase, and check the receipt against what is there."""
    erasure_id = begin_erasure(system, find_asked(system, names, team=team, tags=tags or {}), "a test")
    assert go_on(system, erasure_id)
    [check] = check_erasures(system, [erasure_id])
    assert check.good, check.line
    return erasure_id


def receipt(system: System, erasure_id: UUID) -> Any:
    """The receipt of a finished erasure."""
    [erasure] = list_erasures(system, [erasure_id])
    assert erasure.finished_at is not None
    return erasure.receipt


def is_gone(system: System, video_id: UUID, *runs: UUID) -> bool:
    """Whether no table and no object has these ids."""
    for table, column in (("video", "id"), ("run", "video_id")):
        assert sql(system, f"SELECT 1 FROM {table} WHERE {column} = :id", id=video_id) == []
    for table in ("chunk", "frame", "frame_removal", "comparison"):
        for run_id in runs:
            assert sql(system, f"SELECT 1 FROM {table} WHERE run_id = :id", id=run_id) == []
    assert keys(system, video_id, *runs) == []
    return True


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

    erasure_id = erase(system, "match.mp4")
    assert is_gone(system, video_id, first, second, open_)
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
    system.store.put_stream(BytesIO(b"left"), 4, f"teams/{team_id}/videos/{uuid4()}")  # by nobody that is known

    got = receipt(system, erase(system, team="club"))
    assert {name: got["rows"][name] for name in ("teams", "rules", "schedules", "passes", "watches", "videos")} == (
        dict.fromkeys(("teams", "rules", "schedules", "passes", "watches", "videos"), 1)
    )
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
    watched.put("u18/2026/one.mp4", b"another recording")
    assert watched.list_all()["new"] == 1
    erase(system, team="u18")
    add_team(system, "u18")
    assert watched.list_all()["new"] == 0
    assert sql(system, "SELECT 1 FROM video") == []


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
    wait_until(lambda: tick(system) or not keys(system, run_id), 20)
    assert sql(
        system, "SELECT count(*) FILTER (WHERE look_at > now() + interval '50 s') = count(*) FROM erasure_item"
    ) == [(True,)]
    sql(system, "UPDATE erasure SET finished_at = now() - interval '2 days'")
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


# What is under way while it is erased.


@contextmanager
def at(owner: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, threading.Event]]:
    """Hold the first call of a method before it does anything: one event says that it was called, one lets it go on."""
    reached, go = threading.Event(), threading.Event()
    real = getattr(owner, name)

    def held(*args: Any, **kwargs: Any) -> Any:
        if not reached.is_set():
            reached.set()
            assert go.wait(30)
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, name, held)
    try:
        yield reached, go
    finally:
        go.set()


def beside(work: Callable[[], object]) -> tuple[threading.Thread, list[BaseException]]:
    """Start something in a thread; the list has what it raises."""
    raised: list[BaseException] = []

    def call() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            raised.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    return thread, raised


def test_an_export_that_is_being_stored_is_removed_again(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    video_id = stored_video(system)
    run_id = requested_run(system, video_id)
    for operation in ("plan", "claim and commit"):
        OPERATIONS[operation](system, run_id)
    with at(ObjectStore, "put_stream", monkeypatch) as (reached, go):
        thread, raised = beside(lambda: finish_run(system, run_id, "w"))
        assert reached.wait(30)
        erase(system, str(video_id))
        go.set()
        thread.join(30)
    assert raised == []  # the lease is lost, silently
    assert is_gone(system, video_id, run_id)


def test_a_chunk_that_is_being_analysed_commits_nothing(system: System) -> None:
    video_id = stored_video(system)
    run_id = requested_run(system, video_id)
    OPERATIONS["plan"](system, run_id)
    with transaction(system.engine) as connection:
        claimed = claim_chunk(connection, run_id, 0, "w", 60)
    assert claimed is not None
    pieces = list(encode_frames(run_id, 0, [made_up(number) for number in range(FRAMES)]))
    erase(system, str(video_id))
    with pytest.raises(LeaseLost), transaction(system.engine) as connection:
        commit_chunk(connection, claimed, pieces)
    assert is_gone(system, video_id, run_id)


def test_a_commit_that_is_under_way_is_waited_for_and_erased(system: System) -> None:
    video_id = stored_video(system)
    run_id = requested_run(system, video_id)
    OPERATIONS["plan"](system, run_id)
    with transaction(system.engine) as connection:
        claimed = claim_chunk(connection, run_id, 0, "w", 60)
    assert claimed is not None
    pieces = list(encode_frames(run_id, 0, [made_up(number) for number in range(FRAMES)]))
    with transaction(system.engine) as connection:
        commit_chunk(connection, claimed, pieces)
        thread, raised = beside(lambda: erase(system, str(video_id)))
        wait_until(lambda: sql(system, "SELECT count(*) FROM pg_locks WHERE NOT granted") != [(0,)], 10)
    thread.join(30)
    assert raised == []
    assert is_gone(system, video_id, run_id)


def test_a_video_that_is_being_ingested_does_not_come_back(
    system: System, short_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video_id = upload_file(system, short_clip, "team").video.id
    request_run(system, video_id, BUNDLED_MODEL)
    with at(ObjectStore, "iter_whole", monkeypatch) as (reached, go):
        thread, raised = beside(lambda: ingest_video(system, video_id, "w"))
        assert reached.wait(30)
        erase(system, str(video_id))
        go.set()
        thread.join(30)
    assert all(isinstance(error, PoselineError) for error in raised)
    assert is_gone(system, video_id)
    assert sql(system, "SELECT 1 FROM video") == []


@pytest.fixture
def large(tmp_path: Path, short_clip: Path) -> Path:
    """A video that is uploaded in parts."""
    path = tmp_path / "large.mp4"
    path.write_bytes(short_clip.read_bytes() + b"\0\0\0\0" * (PART_BYTES // 2))
    return path


@pytest.mark.parametrize(("held", "scope"), [("put_stream", "video"), ("head", "video"), ("put_stream", "team")])
def test_a_client_that_goes_on_uploading_leaves_nothing(
    system: System, large: Path, monkeypatch: pytest.MonkeyPatch, held: str, scope: str
) -> None:
    """Erased before the first part is sent, and after the upload is complete but not yet noted."""
    with at(ObjectStore, held, monkeypatch) as (reached, go):
        thread, raised = beside(lambda: submit_video(system, str(large), "team", BUNDLED_MODEL))
        assert reached.wait(30)
        [(video_id,)] = sql(system, "SELECT id FROM video WHERE state = 'uploading'")
        erasure_id = erase(system, "large.mp4") if scope == "video" else erase(system, team="team")
        go.set()
        thread.join(60)
    assert [isinstance(error, NotFound | UnknownTeam) for error in raised] == [True]
    assert is_gone(system, UUID(str(video_id)))
    assert check_erasures(system, [erasure_id])[0].good
    assert bool(list_teams(system)) is (scope == "video"), "a team that was erased is not made anew"


def test_a_team_that_is_being_erased_takes_nothing_in(system: System, short_clip: Path) -> None:
    stored_video(system)
    begin_erasure(system, find_asked(system, [], team="team", tags={}), "a test")
    with pytest.raises(UnknownTeam, match="is being erased"):
        upload_file(system, short_clip, "team")


def test_an_upload_again_of_a_video_that_is_erased_meanwhile_leaves_nothing(
    system: System, short_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = upload_file(system, short_clip, "team").video
    assert video.source is not None
    system.store.delete(video.source.key)
    with at(ObjectStore, "put_file", monkeypatch) as (reached, go):
        thread, raised = beside(lambda: upload_file(system, short_clip, "team"))
        assert reached.wait(30)
        erase(system, str(video.id))
        go.set()
        thread.join(30)
    assert [type(error) for error in raised] == [NotFound]
    assert is_gone(system, video.id)


def test_a_run_that_comes_in_meanwhile_goes_too(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requested between the look at the video's runs and the lock on its row."""
    from pipeline.services.erase import work  # noqa: PLC0415

    video_id = stored_video(system)
    with at(work, "delete_video", monkeypatch) as (reached, go):
        thread, raised = beside(lambda: erase(system, str(video_id)))
        assert reached.wait(30)
        run_id = requested_run(system, video_id)
        with transaction(system.engine) as connection:
            plan_runs(connection, system.settings, video_id)
        go.set()
        thread.join(30)
    assert raised == []
    assert is_gone(system, video_id, run_id)


def test_two_may_go_on_with_the_same_erasure(system: System) -> None:
    videos = [stored_video(system, f"{n}.mp4", team="club") for n in range(6)]
    runs = [done_run(system, each) for each in videos]
    erasure_id = begin_erasure(system, find_asked(system, [], team="club", tags={}), "a test")
    threads = [beside(lambda: go_on(system, erasure_id)) for _ in range(3)]
    for thread, raised in threads:
        thread.join(60)
        assert raised == []
    got = receipt(system, erasure_id)
    assert (got["rows"]["videos"], got["rows"]["frames"], got["objects"]["versions"]) == (6, 6 * FRAMES, 12)
    assert all(is_gone(system, *pair) for pair in zip(videos, runs, strict=True))
    with suppress(UsageError):
        find_asked(system, [], team="club", tags={})
