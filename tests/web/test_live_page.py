"""The live page in a real Chromium, whose camera plays a clip, against a real web process and real live processes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from pipeline.core.roles import Role
from pipeline.services.request import request_run
from pipeline.services.system import System
from tests.conftest import fresh_settings, opened
from tests.support.analysis import MODEL, put_oracle
from tests.support.browser import LAN_HOST, PHONE, chromium, cut_off, launch
from tests.support.fake_camera import arguments, demo_camera
from tests.support.harness import Processes, processes, sql, wait_until
from tests.support.kept_session import done, live_run_of, numbers_of
from tests.support.live import ORACLE, live_process
from tests.support.live_page import DISORDER, READY_MS, distinct, live_page, numbered_camera
from tests.support.web import served

#: A busy machine refuses nobody.
PATIENT = {"POSELINE_LIVE_BUDGET_MS": "60000"}
#: Pixels of a canvas in the colour of the first person, and in that of the server's layer.
COLOURED = """selector => {
    const canvas = document.querySelector(selector);
    const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let found = 0;
    for (let at = 0; at < data.length; at += 4)
        found += COLOUR.every((value, index) => Math.abs(value - data[at + index]) < 12);
    return found;
}"""
SKELETONS = COLOURED.replace("COLOUR", "[230, 159, 0]")
LAYER = COLOURED.replace("COLOUR", "[255, 95, 210]")
#: The preview's picture, as text.
PICTURE = "document.querySelector('.live-stage canvas.picture').toDataURL()"


@dataclass(frozen=True)
class Place:
    """A web process, and where live processes are started."""

    system: System
    web: str
    running: Processes


@pytest.fixture(scope="module")
def place(servers: Path, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A place without a live process so far."""
    folder = tmp_path_factory.mktemp("live")
    with fresh_settings(servers, template, folder / "home") as settings:
        put_oracle(settings.models_path)
        with opened(settings) as system, processes(settings, folder / "logs") as running, served(system) as web:
            yield Place(system, web, running)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A Chromium whose camera sees painted numbers."""
    clip = numbered_camera(tmp_path_factory.mktemp("camera") / "numbers.mjpeg", 300)
    with chromium(*arguments(clip)) as browser:
        yield browser


def test_who_cannot_film_live_is_told_why_and_what_to_do(place: Place, browser: Browser) -> None:
    """No live process runs so far."""
    with live_page(browser, place.system, place.web) as live:
        live.start()
        live.says("No live process runs; whoever runs this server starts one with `poseline live`.")
        assert live.seen.barriers() == []
        live.page.get_by_role("button", name="Go on: on this device").click()
        expect(live.page.get_by_role("radio", name="On this device")).to_be_checked()
        expect(live.page.locator(".live-stage")).to_have_attribute("data-shown", "preview")
    with live_page(browser, place.system, place.web, role=Role.VIEWER) as live:
        live.says("Only coaches and owners of a team film live; ask an owner for that role.")
        assert live.page.get_by_role("link", name="Live").count() == 0
    with live_page(browser, place.system, place.web, host=LAN_HOST) as live:
        live.says("Open it by its https:// address")
    missing = "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', 'NotFoundError'); }"
    with live_page(browser, place.system, place.web, init=missing) as live:
        live.start()
        live.says("No camera was found. Plug one in")


def test_a_result_is_shown_on_its_own_frame_alone_and_both_sides_count_the_same(place: Place, browser: Browser) -> None:
    assert_exact(place, browser, watched_s=1.5, breaks=1)


@pytest.mark.soak
def test_no_result_is_shown_on_another_frame_over_many_breaks(place: Place, browser: Browser) -> None:
    assert_exact(place, browser, watched_s=5, breaks=10)


def assert_exact(place: Place, browser: Browser, *, watched_s: float, breaks: int) -> None:
    """Break the network again and again, and read each shown picture's number and that of its poses."""
    with (
        live_process(place.running, place.system, **ORACLE, **PATIENT),
        live_page(browser, place.system, place.web, init=DISORDER) as live,
    ):
        live.page.get_by_label("Keep this session").check()
        live.start()
        live.shows_results()
        live.says("This session is kept.")
        live.page.get_by_label("Show").select_option("joints")
        live.watch(0.3)
        assert len(distinct(live.watch(watched_s))) > 3
        for _ in range(breaks):
            live.network.refusing = True
            live.network.reset_all()
            live.says("The server does not answer")
            live.network.heal()
            live.shows_results()
            assert len(distinct(live.watch(watched_s))) > 3
        live.says(f"The connection was lost {'once' if breaks == 1 else f'{breaks} times'}")

        live.stop()
        live.says("The server counted the same")
        fates = live.fates()
        assert fates["open"] == 0
        assert fates["captured"] == fates["dropped"] + fates["sent"]
        assert fates["sent"] == fates["analysed"] + fates["superseded"] + fates["failed"]
        query = "SELECT counts FROM live_session WHERE counts ? 'sent' ORDER BY begun_at DESC LIMIT 1"
        [(noted,)] = wait_until(lambda: sql(place.system, query), 20)
        del fates["open"]
        assert noted == {**fates, "received": fates["sent"]}
        live.says("What was sent before a connection was lost is kept, too")
        live.page.get_by_role("link", name="a video").click()
        live.page.wait_for_url("**/videos/*")
        video = live.page.url.rpartition("/")[2]
        query = "SELECT s.id::text, r.lane FROM live_session s JOIN run r USING (video_id) WHERE video_id = :id"
        [(session, lane)] = sql(place.system, query, id=video)
        assert lane == "live"
        # Each picture of the video has the poses of its own number.
        kept = live_run_of(place.system, str(session))
        full = done(place.system, request_run(place.system, kept.video_id, MODEL).run_id)
        shape = (320, 192)
        seen, found = (numbers_of(place.system, each.id, shape) for each in (full, kept))
        assert sum(isinstance(number, int) for number in found.values()) == fates["analysed"]
        assert all(seen[pts] == number for pts, number in found.items() if isinstance(number, int))


def test_the_preview_goes_on_without_the_server_and_is_compared_with_it_again(
    place: Place, browser: Browser, tmp_path: Path
) -> None:
    clip = demo_camera(tmp_path / "demo.mjpeg", 2)
    with (
        closing(launch(browser.browser_type, *arguments(clip))) as filming,
        live_process(place.running, place.system, **PATIENT),
        live_page(filming, place.system, place.web, size=PHONE, dark=True) as live,
    ):
        page = live.page
        live.start()
        live.shows_results()
        assert page.evaluate(SKELETONS, ".live-stage canvas.result") > 30
        live.choose("Hybrid")
        first = live.verdict()
        assert re.match(r"(Yes|Roughly|No)[,:] ", first), first
        expect(page.locator(".live-label")).to_have_text(re.compile(r"dashed: server, \d+\.\d s ago"), timeout=READY_MS)
        assert page.evaluate(LAYER, ".live-stage canvas.layer") > 30
        assert live.seen.barriers() == []
        assert cut_off(page) == []

        live.network.refusing = True
        live.network.reset_all()
        live.says("The preview goes on.")
        live.says("There is no server to compare with now")
        before = page.evaluate(PICTURE)
        page.wait_for_function(f"before => ({PICTURE}) !== before", arg=before)
        live.network.heal()
        live.says("The server looks at a frame every")
        expect(page.get_by_text("There is no server to compare with now")).to_have_count(0, timeout=READY_MS)
        live.choose("On this device")
        live.says("The server counted the same")
        expect(page.locator(".live-stage")).to_have_attribute("data-shown", "preview")
        assert [line for line in live.seen.complaints if "WebSocket" not in line and "ERR_" not in line] == []
