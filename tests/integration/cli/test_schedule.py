"""Schedules and reprocessing on the command line."""

from __future__ import annotations

import threading

import pytest

from pipeline.cli.main import main
from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.services.passes import advance_passes
from pipeline.services.system import System
from tests.integration.services.test_dispatch import add_worker
from tests.support.commands import printed, said
from tests.support.harness import sql, wait_until
from tests.support.nights import analyse
from tests.support.season import fill_videos

pytestmark = pytest.mark.usefixtures("configured")

NIGHTLY = ("--cron", "0 22 * * *", "--timezone", "Europe/Berlin", "--window", "8h", "--model", BUNDLED_MODEL)


def test_a_schedule_from_its_beginning_to_its_end(system: System, capsys: pytest.CaptureFixture[str]) -> None:
    fill_videos(system, videos=3, frames=60)
    add_worker(system, 1)
    sql(system, """UPDATE video SET tags = '{"season": "2025"}' WHERE name <> 'match-3.mp4'""")
    made = printed(capsys, "schedule", "add", "season", *NIGHTLY, "--tag", "season=2025", "--promotion", "better")
    assert (made["schedule"], made["where"], made["window_hours"]) == ("season", ["tag.season=2025"], 8)
    assert made["next_slot_at"].endswith(("T20:00:00+00:00", "T21:00:00+00:00"))
    assert said(capsys, "schedule", "add", "season", *NIGHTLY, code=2).count("\n") == 1
    assert [one["schedule"] for one in printed(capsys, "schedule", "list")] == ["season"]

    dry = printed(capsys, "schedule", "dry-run", "season")
    assert [one["video"] for one in dry["videos"]] == ["match-1.mp4", "match-2.mp4"]
    assert (dry["frames"], dry["slots"], dry["hours"]) == (120, 1, None)
    assert "has not run here yet" in said(capsys, "schedule", "dry-run", "season")

    changed = printed(capsys, "schedule", "edit", "season", "--budget-frames", "60", "--window", "none")
    assert (changed["budget_frames"], changed["window_hours"], changed["where"]) == (60, None, ["tag.season=2025"])
    assert len(printed(capsys, "schedule", "dry-run", "season")["videos"]) == 1
    assert len(printed(capsys, "schedule", "dry-run", "season", "--every-night")["videos"]) == 2

    printed(capsys, "schedule", "run-now", "season")
    assert "is open" in said(capsys, "schedule", "run-now", "season", code=2)
    analyse(system)
    advance_passes(system)
    shown = printed(capsys, "schedule", "show", "season")
    assert (shown["videos_left"], shown["frames_left"], shown["frames_per_night"]) == (1, 60, 60)
    assert printed(capsys, "schedule", "dry-run", "season")["hours"] is not None
    assert (shown["nights_left"], shown["never_ends"]) == (2, False), "a seventh of a video is taken in every night"
    [one] = shown["passes"]
    assert (one["ended"], one["done"], one["frames"]) == ("budget used up", 1, 60)
    assert "1 video, 60 frames" in said(capsys, "schedule", "show", "season")
    assert "budget used up" in said(capsys, "schedule", "passes", "season")

    printed(capsys, "schedule", "run-now", "season")
    assert printed(capsys, "schedule", "stop", "season")["ended"] == "stopped"
    assert printed(capsys, "schedule", "disable", "season")["enabled"] is False
    assert "disabled" in said(capsys, "schedule", "list")
    assert printed(capsys, "schedule", "enable", "season")["enabled"] is True
    assert printed(capsys, "schedule", "remove", "season")["runs_cancelled"] == 1
    assert printed(capsys, "schedule", "list") == []
    assert len(printed(capsys, "schedule", "passes")) == 2


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (("--cron", "22:00"), "five fields"),
        (("--timezone", "Mars/Base"), "no time zone 'Mars/Base'"),
        (("--model", "rtmo-z"), "rtmo-z"),
        (("--where", "season=2025"), "is no condition; write such as"),
        (("--promotion", "maybe"), "maybe"),
        (("--team", "nobody"), "nobody"),
        (("--window", "soon"), "8h, 90m or none"),
        (("--budget-frames", "-3"), "no number of frames"),
        (("--only-worse",), "no accuracy of movenet-multipose-384 was published"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_made(
    system: System, capsys: pytest.CaptureFixture[str], args: tuple[str, ...], why: str
) -> None:
    assert why in said(capsys, "schedule", "add", "season", *NIGHTLY, *args, code=2)
    assert sql(system, "SELECT count(*) FROM schedule") == [(0,)]


def test_a_schedule_that_never_ends_says_so(system: System, capsys: pytest.CaptureFixture[str]) -> None:
    fill_videos(system, videos=14, frames=120)
    printed(capsys, "schedule", "add", "season", *NIGHTLY, "--budget-frames", "200")
    assert printed(capsys, "schedule", "show", "season")["never_ends"] is True
    assert "never ends: 240 frames a night are taken in, 200 are analysed" in said(capsys, "schedule", "show", "season")


def test_reprocess_waits_for_its_end(system: System, capsys: pytest.CaptureFixture[str]) -> None:
    fill_videos(system, videos=3, frames=60)
    add_worker(system, 1)
    dry = printed(capsys, "reprocess", "--model", BUNDLED_MODEL, "--where", "name=match-*", "--limit", "2", "--dry-run")
    assert [one["video"] for one in dry["videos"]] == ["match-1.mp4", "match-2.mp4"]
    assert sql(system, "SELECT count(*) FROM run") == [(0,)]
    codes = []
    waits = threading.Thread(
        target=lambda: codes.append(main(["reprocess", "--model", BUNDLED_MODEL, "--sample", "2", "--json"]))
    )
    waits.start()
    wait_until(lambda: sql(system, "SELECT 1 FROM pass"))

    def ended() -> bool:
        analyse(system)
        advance_passes(system)
        return not waits.is_alive()

    wait_until(ended)
    waits.join()
    assert codes == [0]
    assert sql(system, "SELECT ended, (result ->> 'done')::int FROM pass") == [("all done", 2)]
    left = printed(capsys, "reprocess", "--model", BUNDLED_MODEL, "--no-wait")
    assert (left["videos"], left["open"]) == (1, 1)
    assert printed(capsys, "schedule", "stop", left["pass_id"][:8])["runs_cancelled"] == 1
    assert "has ended: stopped" in said(capsys, "schedule", "stop", left["name"], code=2)


def test_reprocess_with_nothing_to_do_says_why(system: System, capsys: pytest.CaptureFixture[str]) -> None:
    fill_videos(system, videos=2)
    nothing = ("reprocess", "--model", BUNDLED_MODEL, "--where", "age>400d")
    assert "no video is selected" in said(capsys, *nothing)
    assert "no video is selected" in said(capsys, *nothing, "--dry-run")
    assert printed(capsys, *nothing)["pass_id"] is None
    sql(system, "UPDATE video SET state = state")
    printed(capsys, "reprocess", "--model", BUNDLED_MODEL, "--no-wait")
    assert "nothing to do: 2 videos selected, with a run by movenet-multipose-384 each" in said(
        capsys, "reprocess", "--model", BUNDLED_MODEL
    )
    assert sql(system, "SELECT count(*) FROM pass") == [(1,)]


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (("--cron", ""), "no cron expression"),
        (("--timezone", ""), "no time zone"),
        (("--timezone", "localtime"), "no time zone"),
        (("--team", ""), "names no team"),
        (("--promotion", "drift.left_toe<=2%"), "no keypoint 'left_toe'"),
    ],
)
def test_an_edit_that_is_wrong_changes_nothing(
    system: System, capsys: pytest.CaptureFixture[str], args: tuple[str, ...], why: str
) -> None:
    before = printed(capsys, "schedule", "add", "my season", *NIGHTLY)
    assert why in said(capsys, "schedule", "edit", "my season", *args, code=2)
    assert printed(capsys, "schedule", "list") == [before]
    assert "`poseline schedule edit 'my season'`" in said(capsys, "schedule", "add", "my season", *NIGHTLY, code=2)


def test_a_removed_schedule_is_reported_on(system: System, capsys: pytest.CaptureFixture[str]) -> None:
    fill_videos(system, videos=1, frames=60)
    add_worker(system, 1)
    printed(capsys, "schedule", "add", "season", *NIGHTLY)
    printed(capsys, "schedule", "run-now", "season")
    analyse(system)
    advance_passes(system)
    printed(capsys, "schedule", "remove", "season")
    assert printed(capsys, "report", "season")["videos"] == 1
    assert len(printed(capsys, "schedule", "passes", "season")) == 1
    assert printed(capsys, "rollback", "--schedule", "season") == []
