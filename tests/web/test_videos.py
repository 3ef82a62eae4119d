"""The list of a team's videos in a real browser: empty, live, searched, on a phone, by keyboard alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from pipeline.core.roles import Role
from pipeline.core.tags import parse_tags
from pipeline.services.system import System
from pipeline.services.tags import tag_video
from tests.support.analysis import analyse
from tests.support.browser import DESK, PHONE, cut_off, visit
from tests.support.harness import cut, sql, wait_until
from tests.support.season import fill
from tests.support.web import make_team, served, signed_in


@pytest.fixture
def origin(system: System) -> Iterator[str]:
    """Where the application answers."""
    with served(system) as origin:
        yield origin


def enter(page: Page, system: System, origin: str, role: Role = Role.COACH) -> str:
    """Be signed in as somebody of the team `club`. Gives the address of its videos."""
    token = signed_in(system, origin, f"{role}@example.org", club=role).cookies["poseline"]
    page.context.add_cookies([{"name": "poseline", "value": token, "url": origin}])
    return f"{origin}/t/{make_team(system, 'club')}/videos"


def test_an_empty_list_invites_and_fills_by_itself(
    browser: Browser, system: System, origin: str, short_clip: Path
) -> None:
    with visit(browser) as seen:
        # Its picture may be asked for while the video is deleted below.
        picture = '<svg xmlns="http://www.w3.org/2000/svg" />'
        seen.page.route("**/thumbnail?of=*", lambda route: route.fulfill(content_type="image/svg+xml", body=picture))
        at = enter(seen.page, system, origin)
        seen.page.goto(at)
        upload = at.removeprefix(origin).replace("videos", "upload")
        expect(seen.page.get_by_role("link", name="Upload videos")).to_have_attribute("href", upload)
        assert seen.barriers() == []
        run_id = analyse(system, short_clip, team="club", chunks=[0])
        video = seen.page.get_by_role("listitem").filter(has_text="short.mp4")
        expect(video).to_contain_text("Being analysed, 25 %", timeout=30_000)
        expect(video.get_by_role("progressbar")).to_have_attribute("value", "0.25")
        sql(system, "UPDATE chunk SET frames_done = 12, state = 'running' WHERE run_id = :id AND idx = 1", id=run_id)
        expect(video).to_contain_text("Being analysed, 35 %", timeout=30_000)
        tag_video(system, "short", team="club", tags=parse_tags(["season=2026"]))
        expect(video.get_by_role("link", name="season=2026")).to_be_visible(timeout=30_000)
        sql(system, "DELETE FROM chunk")
        sql(system, "DELETE FROM run")
        sql(system, "DELETE FROM video")
        expect(seen.page.get_by_role("heading", name="No videos yet")).to_be_visible(timeout=30_000)
        assert seen.asked_elsewhere(origin) == []
        assert seen.complaints == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_a_video_is_found_by_keyboard_at_every_width(
    browser: Browser, system: System, origin: str, size: tuple[int, int], dark: bool, short_clip: Path, tmp_path: Path
) -> None:
    fill(system, runs=70, chunks=4, teams=1)
    sql(system, "UPDATE team SET name = 'club'")
    cut(short_clip, tmp_path / "final.mp4", 30)
    analyse(system, tmp_path / "final.mp4", team="club")
    sql(system, "UPDATE run SET state = 'failed', reason = 'the decoder crashed at frame 7', finished_at = now() "
                "WHERE id = (SELECT id FROM run WHERE state = 'queued' LIMIT 1)")  # fmt: skip
    with visit(browser, size, dark=dark) as seen:
        page = seen.page
        # The other videos were never stored.
        picture = '<svg xmlns="http://www.w3.org/2000/svg" />'
        page.route("**/thumbnail?of=video", lambda route: route.fulfill(content_type="image/svg+xml", body=picture))
        page.goto(enter(page, system, origin, Role.VIEWER))
        items = page.get_by_role("list", name="Videos").locator("> li")
        expect(items).to_have_count(50)
        expect(page.get_by_role("status")).to_have_text("71 videos")
        assert page.get_by_role("link", name="Upload videos").count() == 0
        assert cut_off(page) == []
        assert seen.barriers() == []
        width = "document.querySelector('.picture img:not([src$=video])').naturalWidth"
        wait_until(lambda: page.evaluate(width) > 100, 30)
        seen.shot(tmp_path / "videos.png")
        page.get_by_role("button", name="Show more").focus()
        page.keyboard.press("Enter")
        expect(items).to_have_count(71)
        while page.evaluate("document.activeElement.type") != "search":
            page.keyboard.press("Shift+Tab")
        page.keyboard.type("FINAL")
        expect(items).to_have_count(1)
        expect(page.get_by_role("status")).to_have_text("1 of 71 videos")
        assert page.url.endswith("?name=FINAL")
        page.keyboard.press("Tab")
        page.keyboard.type("Failed")
        expect(page.get_by_role("status")).to_have_text("None of 71 videos fits.")
        page.get_by_role("button", name="Clear the search").press("Enter")
        page.get_by_label("State").select_option("Failed")
        expect(items).to_have_count(1)
        expect(items).to_contain_text("the decoder crashed at frame 7")
        page.reload()
        expect(items).to_have_count(1)
        assert seen.complaints == []


def test_progress_arrives_where_events_do_not(browser: Browser, system: System, origin: str, short_clip: Path) -> None:
    analyse(system, short_clip, team="club", chunks=[0])
    with visit(browser) as seen:
        seen.page.route("**/events?*", lambda route: route.fulfill(status=502, body="no"))
        seen.page.goto(enter(seen.page, system, origin))
        video = seen.page.get_by_role("listitem").filter(has_text="short.mp4")
        expect(video).to_contain_text("Being analysed, 25 %")
        tag_video(system, "short", team="club", tags=parse_tags(["season=2026"]))
        expect(video.get_by_role("link", name="season=2026")).to_be_visible(timeout=30_000)
