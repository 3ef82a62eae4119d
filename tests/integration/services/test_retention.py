"""What a team does not keep goes, and nothing else does: by rule, by age, never what is open, current or not ours."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text

from pipeline.core.retention import Kind
from pipeline.db.engine import transaction
from pipeline.db.frame_removal import BATCH_FRAMES
from pipeline.db.outlived import outlived_ids, select_outlived
from pipeline.db.retention import select_rules
from pipeline.errors import OriginalRemoved, UnknownTeam
from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.services.cancel import cancel_run
from pipeline.services.preview.footage import open_footage
from pipeline.services.reconcile import tick
from pipeline.services.request import request_run
from pipeline.services.retention import iter_what_would_go, list_retention, set_retention
from pipeline.services.retention_sweep import apply_rule, run_retention
from pipeline.services.retry import retry
from pipeline.services.system import System
from pipeline.services.upload import upload_file
from pipeline.services.verify import verify_run
from tests.support.harness import export_bytes, sql, wait_until
from tests.support.kept import FRAMES, age, done_run, keys, requested_run, stored_video

TODAY = f"{datetime.now(UTC):%Y-%m-}"


def gone(system: System, team: str = "team") -> dict[str, int]:
    """What `retention run` removed, by kind."""
    return {str(kind): number for (_, kind), number in run_retention(system, team).items() if number}


def test_an_original_goes_and_everything_else_of_its_video_stays(system: System, tmp_path: Path) -> None:
    old, bare, young, open_ = (stored_video(system, name) for name in ("old.mp4", "bare.mp4", "young.mp4", "open.mp4"))
    run_id = done_run(system, old)
    before = export_bytes(system, run_id, tmp_path / "before.jsonl")
    requested_run(system, open_)
    for each in (old, bare, open_):
        age(system, "video", "original_at", each, 31)
    set_retention(system, "team", Kind.ORIGINALS, 30)
    [would_go] = iter_what_would_go(system, "team")
    assert (would_go.number, would_go.examples, would_go.size_bytes) == (2, ("old.mp4", "bare.mp4"), 64)
    assert keys(system, old) != []

    assert gone(system) == {"originals": 2}
    assert keys(system, old) == []
    assert keys(system, young, open_) != []
    assert gone(system) == {}
    assert export_bytes(system, run_id, tmp_path / "after.jsonl") == before

    said = f"the original of ....?.mp4 was removed on {TODAY}.. by its team's retention"
    assert request_run(system, old, BUNDLED_MODEL).run_id == run_id, "the run that there is can be asked for"
    for needs_it in (
        lambda: request_run(system, bare, BUNDLED_MODEL),
        lambda: next(open_footage(system, run_id, team="team").frames()),
    ):
        with pytest.raises(OriginalRemoved, match=said):
            needs_it()
    assert sql(system, "SELECT 1 FROM run WHERE video_id = :id", id=bare) == []
    verdict = verify_run(system, run_id)
    assert verdict.good
    assert "not compared: the original of old.mp4 was removed" in verdict.checks[0].found
    assert [check.what for check in verdict.checks] == ["video", "frames", "export"]


def test_what_failed_cannot_be_tried_again_without_its_original(system: System) -> None:
    video_id = stored_video(system)
    run_id = requested_run(system, video_id)
    cancel_run(system, run_id, team="team")
    age(system, "video", "original_at", video_id, 2)
    set_retention(system, "team", Kind.ORIGINALS, 1)
    assert gone(system) == {"originals": 1}
    with pytest.raises(OriginalRemoved, match="upload the same file again"):
        retry(system, str(run_id), team="team")


def test_an_original_that_is_uploaded_again_is_kept_anew(system: System, short_clip: Path) -> None:
    video = upload_file(system, short_clip, "team").video
    sql(system, "UPDATE video SET state = 'rejected', reason = 'made up'")
    sql(system, "UPDATE video SET state = 'stored'")
    sql(system, "UPDATE video SET state = 'ready', frames = 120, width = 4, height = 4")
    age(system, "video", "original_at", video.id, 2)
    set_retention(system, "team", Kind.ORIGINALS, 1)
    assert gone(system) == {"originals": 1}
    again = upload_file(system, short_clip, "team")
    assert (again.existed, again.video.id) == (True, video.id)
    assert again.video.original_removed_at is None
    assert again.video.source is not None
    system.store.check_unchanged(again.video.source)
    assert gone(system) == {}


def test_neither_a_registered_object_nor_another_teams_is_touched(system: System) -> None:
    source = system.store.put_stream(BytesIO(b"theirs"), 6, f"matches/{uuid4()}")
    registered = stored_video(system, team="other", registered=source)
    ours, theirs = stored_video(system), stored_video(system, team="other")
    for each in (ours, theirs, registered):
        age(system, "video", "original_at", each, 1000)
    set_retention(system, "other", Kind.ORIGINALS, 1)
    assert gone(system) == {}
    assert gone(system, "other") == {"originals": 1}
    assert keys(system, ours) != []
    assert keys(system, theirs) == []
    system.store.check_unchanged(source)


def test_a_copy_for_browsers_goes_and_can_be_made_again(system: System) -> None:
    old, young, theirs = stored_video(system), stored_video(system, "young.mp4"), stored_video(system, team="other")
    for each in (old, young, theirs):
        key = f"teams/{uuid4()}/proxies/{each}.mp4"
        stored = system.store.put_stream(BytesIO(b"copy"), 4, key)
        sql(system, "INSERT INTO proxy (video_id, state, made_at, object_key, etag, size_bytes) "
            "VALUES (:id, 'ready', now(), :key, :etag, 4)", id=each, key=key, etag=stored.etag)  # fmt: skip
    sql(system, "UPDATE proxy SET made_at = now() - interval '31 days' WHERE video_id <> :id", id=young)
    set_retention(system, "team", Kind.PROXIES, 30)
    [would_go] = iter_what_would_go(system, "team")
    assert (would_go.number, would_go.size_bytes) == (1, 4)
    assert gone(system) == {"proxies": 1}
    assert gone(system) == {}
    assert {row[0] for row in sql(system, "SELECT video_id FROM proxy")} == {young, theirs}
    left = [key for key in system.store.list_keys("teams/") if "/proxies/" in key and str(old) in key]
    assert left == []


def test_an_export_goes_and_can_be_made_again(system: System, tmp_path: Path) -> None:
    run_id = done_run(system, stored_video(system))
    before = export_bytes(system, run_id, tmp_path / "before.jsonl")
    set_retention(system, "team", Kind.EXPORTS, 30)
    assert gone(system) == {}
    age(system, "run", "finished_at", run_id, 31)
    [would_go] = iter_what_would_go(system, "team")
    assert (would_go.number, would_go.size_bytes, would_go.estimated) == (1, len(before), False)
    assert gone(system) == {"exports": 1}
    assert keys(system, run_id) == []
    assert export_bytes(system, run_id, tmp_path / "after.jsonl") == before
    check = verify_run(system, run_id).checks[-1]
    assert check.good
    assert f"removed on {TODAY}" in check.found
    assert gone(system) == {}


def test_a_run_counts_from_when_it_is_not_current_any_more(system: System) -> None:
    video_id = stored_video(system)
    first = done_run(system, video_id)
    second = done_run(system, video_id, params="2")
    for each in (first, second):
        age(system, "run", "finished_at", each, 1000)
    set_retention(system, "team", Kind.RUNS, 30)
    assert gone(system) == {}, "the first has not been current only since a moment ago"
    age(system, "run", "not_current_since", first, 31)
    [would_go] = iter_what_would_go(system, "team")
    assert (would_go.number, would_go.frames) == (1, FRAMES)
    assert gone(system) == {"runs": 1}
    assert sql(system, "SELECT id FROM run") == [(second,)]
    assert sql(system, "SELECT DISTINCT run_id FROM frame") == [(second,)]
    assert keys(system, first) == []
    assert len(keys(system, second)) == 1


def test_a_run_that_becomes_current_again_is_kept(system: System) -> None:
    video_id = stored_video(system)
    first, second = done_run(system, video_id), done_run(system, video_id, params="2")
    sql(system, "UPDATE video SET current_run_id = :id", id=first)
    assert sql(system, "SELECT id FROM run WHERE not_current_since IS NOT NULL") == [(second,)]
    never = done_run(system, video_id, params="3")
    sql(system, "UPDATE video SET current_run_id = :id", id=first)
    assert set(sql(system, "SELECT id FROM run WHERE not_current_since IS NOT NULL")) == {(second,), (never,)}


def test_failed_and_cancelled_runs_go_by_a_rule_of_their_own(system: System) -> None:
    video_id = stored_video(system)
    ended = requested_run(system, video_id)
    cancel_run(system, ended, team="team")
    open_ = requested_run(system, video_id)
    age(system, "run", "finished_at", ended, 31)
    set_retention(system, "team", Kind.FAILED_RUNS, 30)
    assert gone(system) == {"failed_runs": 1}
    assert sql(system, "SELECT id FROM run") == [(open_,)]


def test_of_the_audit_the_last_of_each_video_and_schedule_stays(system: System) -> None:
    run_id = done_run(system, stored_video(system))
    sql(system, "DELETE FROM promotion")
    for days in (40, 35, 31):
        sql(
            system,
            "INSERT INTO promotion (video_id, run_id, at, by, reason) "
            "SELECT video_id, NULL, now() - make_interval(days => :days), 'rule', 'better' FROM run",
            days=days,
        )
    sql(
        system,
        "INSERT INTO schedule (name, team_id, cron, timezone, model_fingerprint) "
        "SELECT 'nightly', team_id, '0 1 * * *', 'UTC', model_fingerprint FROM run",
    )
    for days in (50, 40):
        sql(
            system,
            "INSERT INTO pass (schedule_id, name, team_id, model_fingerprint, promotion, opened_at, closed_at) "
            "SELECT s.id, s.name || :days, s.team_id, s.model_fingerprint, 'automatic', "
            "now() - make_interval(days => :number), now() - make_interval(days => :number) FROM schedule s",
            days=f" {days}",
            number=days,
        )
    sql(system, "UPDATE run SET pass_id = (SELECT id FROM pass ORDER BY opened_at LIMIT 1)")
    set_retention(system, "team", Kind.AUDIT, 30)
    [would_go] = iter_what_would_go(system, "team")
    assert would_go.number == 3
    assert gone(system) == {"audit": 3}
    assert sql(system, "SELECT (now() - at)::text LIKE '31 days%' FROM promotion") == [(True,)]
    assert sql(system, "SELECT name FROM pass") == [("nightly 40",)]
    assert sql(system, "SELECT id, pass_id FROM run") == [(run_id, None)]


def test_a_tick_removes_a_little_and_the_next_ones_the_rest(system: System) -> None:
    video_id = stored_video(system)
    first, _ = done_run(system, video_id), done_run(system, video_id, params="2")
    more = 3 * BATCH_FRAMES
    sql(
        system,
        "INSERT INTO frame SELECT run_id, n, 0, n, 0, NULL, '{}', '{}', '{}' "
        "FROM frame, generate_series(8, :more) AS n WHERE run_id = :id AND frame = 0",
        more=more,
        id=first,
    )
    age(system, "run", "not_current_since", first, 31)
    set_retention(system, "team", Kind.RUNS, 30, begins_in_s=0)
    tick(system)
    assert sql(system, "SELECT 1 FROM run WHERE id = :id", id=first) == []
    assert sql(system, "SELECT count(*) FROM pose WHERE run_id = :id", id=first) == [(0,)], "nobody sees half of a run"
    wait_until(lambda: tick(system) or not sql(system, "SELECT 1 FROM frame_removal"), 20)
    assert sql(system, "SELECT count(*) FROM frame WHERE run_id = :id", id=first) == [(0,)]
    assert sql(system, "SELECT next_at > now() + interval '50 min' FROM retention") == [(True,)]


def test_removal_waits_for_a_run_that_is_being_requested(system: System) -> None:
    """Whoever locks the video first wins, and the other sees it."""
    video_id = stored_video(system)
    age(system, "video", "original_at", video_id, 2)
    set_retention(system, "team", Kind.ORIGINALS, 1)
    with transaction(system.engine) as connection:
        connection.execute(text("SELECT 1 FROM video FOR SHARE"))
        assert gone(system) == {}, "it is passed over, not waited for"
    requested_run(system, video_id)
    assert gone(system) == {}
    assert keys(system, video_id) != []


def test_a_look_reads_no_more_where_more_is_kept_and_ends_in_time(system: System) -> None:
    """The index of what may go gives the first of them, whatever else there is."""
    video_id = stored_video(system)
    run_id = done_run(system, video_id)
    sql(
        system,
        "INSERT INTO video (team_id, name, state, bucket, object_key, owned, sha256, original_at) "
        "SELECT team_id, 'v', 'ready', 'b', 'k' || n, true, n::text, now() FROM video, generate_series(1, 3000) AS n",
    )
    sql(
        system,
        "INSERT INTO run (video_id, team_id, model_fingerprint, precision, state, finished_at) "
        "SELECT v.id, v.team_id, r.model_fingerprint, 'fp32', 'done', now() FROM video v, run r "
        "WHERE r.id = :id AND v.id <> r.video_id",
        id=run_id,
    )
    sql(system, "UPDATE video SET current_run_id = (SELECT id FROM run WHERE video_id = video.id ORDER BY id LIMIT 1)")
    sql(system, "ANALYZE")
    kinds = [Kind.ORIGINALS, Kind.EXPORTS, Kind.RUNS, Kind.FAILED_RUNS]
    for kind in kinds:
        set_retention(system, "team", kind, 30)
    with transaction(system.engine) as connection:
        rules = select_rules(connection)
        assert {rule.kind for rule in rules} == set(kinds)
        for rule in rules:
            assert select_outlived(connection, rule, 10) == []
            query = outlived_ids(rule).limit(10).compile(connection.engine, compile_kwargs={"literal_binds": True})
            explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}".replace(":", "\\:")
            plan = connection.execute(text(explain)).scalar_one()
            assert _buffers(plan[0]["Plan"]) < 20, (rule.kind, plan)
    sql(system, "UPDATE run SET finished_at = now() - interval '31 days'")
    [exports] = [rule for rule in rules if rule.kind is Kind.EXPORTS]
    removed = apply_rule(system, exports, until=time.monotonic() + 0.2)
    assert 0 < removed < 3000, "it stops at its time"
    assert apply_rule(system, exports, until=time.monotonic()) == 0


def _buffers(plan: dict[str, int]) -> int:
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


def test_rules_are_set_shown_and_taken_back(system: System) -> None:
    stored_video(system)
    assert set_retention(system, "team", Kind.RUNS, 365).to_dict() == {
        "team": "team",
        "originals": "keep",
        "proxies": "keep",
        "exports": "keep",
        "runs": "365d",
        "failed_runs": "keep",
        "audit": "keep",
    }
    assert set_retention(system, "team", Kind.RUNS, None).days[Kind.RUNS] is None
    assert [rules.team for rules in list_retention(system)] == ["team"]
    for needs_team in (
        lambda: set_retention(system, "tame", Kind.RUNS, 1),
        lambda: list_retention(system, "tame"),
        lambda: run_retention(system, "tame"),
    ):
        with pytest.raises(UnknownTeam, match="did you mean 'team'"):
            needs_team()


def test_a_stricter_rule_begins_later_so_that_a_mistake_can_be_taken_back(system: System) -> None:
    old = stored_video(system)
    age(system, "video", "original_at", old, 400)

    def is_due() -> bool:
        [(due,)] = sql(system, "SELECT next_at <= clock_timestamp() FROM retention")
        return bool(due)

    set_retention(system, "team", Kind.ORIGINALS, 3)
    tick(system)
    assert not is_due()
    assert keys(system, old) != []
    sql(system, "UPDATE retention SET next_at = now()")
    set_retention(system, "team", Kind.ORIGINALS, 30)
    assert is_due(), "what keeps for longer needs no time to think"
    set_retention(system, "team", Kind.ORIGINALS, 3)
    assert not is_due()
    sql(system, "UPDATE retention SET next_at = now()")
    wait_until(lambda: tick(system) or keys(system, old) == [], 20, "the original to go")
