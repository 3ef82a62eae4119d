"""What the live page tells its coach where the server has too much to do, where the coach may film no more, and where
the browser has no encoder: a real Chromium, a real web process, a live process whose model is as slow as it is told.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

import pipeline.api.live
import pipeline.core.live_admission
import pipeline.live.engine
import pipeline.live.host
from pipeline.core.live_protocol import Codec, Mode
from pipeline.live.host import Host
from pipeline.services.system import System
from tests.conftest import fresh_settings, opened
from tests.support.browser import chromium
from tests.support.fake_camera import arguments
from tests.support.harness import sql, wait_until
from tests.support.live_page import LivePage, distinct, live_page, numbered_camera
from tests.support.slow_model import Slowed, hosted
from tests.support.web import served

NEVER_S = 1e9
EVERY_FRAME = "Every frame goes to the server"
FEWER = "Hybrid for now: this server is overloaded: it analyses fewer frames of this session."


@dataclass(frozen=True)
class Place:
    """A web process and a live process, both in this one."""

    system: System
    web: str
    model: Slowed
    host: Host


@pytest.fixture(scope="module")
def place(servers: Path, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One for all these tests."""
    with fresh_settings(servers, template, tmp_path_factory.mktemp("live") / "home") as settings:
        patient = settings.model_copy(update={"live_budget_ms": 300.0})
        with opened(patient) as system:
            model = Slowed(system)
            with hosted(system, model) as host, served(system) as web:
                yield Place(system, web, model, host)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A Chromium whose camera sees painted numbers."""
    clip = numbered_camera(tmp_path_factory.mktemp("camera") / "numbers.mjpeg", 300)
    with chromium(*arguments(clip)) as browser:
        yield browser


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Overload is found within moments, and head room once a test says so; hybrid is slowed down once."""
    monkeypatch.setattr(pipeline.core.live_admission, "OVER_S", 0.3)
    monkeypatch.setattr(pipeline.core.live_admission, "HEAD_ROOM_S", NEVER_S)
    monkeypatch.setattr(pipeline.core.live_admission, "SLOWEST_EVERY_MS", 1000)
    monkeypatch.setattr(pipeline.live.host, "_LATELY_S", 2.0)
    monkeypatch.setattr(pipeline.live.host, "_LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(pipeline.live.engine, "_NEWEST", 0.5)
    monkeypatch.setattr(pipeline.api.live, "CHECK_EVERY_S", 0.2)


@contextmanager
def filming(place: Place, browser: Browser, init: str = "") -> Iterator[LivePage]:
    """The page of a coach, on which the server's frames are shown."""
    place.model.takes_s = 0.0
    with live_page(browser, place.system, place.web, init=init) as live:
        live.start()
        live.shows_results()
        yield live


@pytest.mark.soak
def test_overload_and_its_end_are_told_in_words(
    place: Place, browser: Browser, hasty: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with filming(place, browser) as live:
        stage = live.page.locator(".live-stage")
        # From every frame to one now and then, and back.
        place.model.takes_s = 0.6
        live.says(FEWER)
        expect(stage).to_have_attribute("data-shown", "hybrid")
        place.model.takes_s = 0.0
        monkeypatch.setattr(pipeline.core.live_admission, "HEAD_ROOM_S", 0.3)
        live.says(EVERY_FRAME)
        expect(live.page.get_by_text("Hybrid for now")).to_have_count(0)
        live.shows_results()

        # To the preview alone, and back.
        monkeypatch.setattr(pipeline.core.live_admission, "HEAD_ROOM_S", NEVER_S)
        place.model.takes_s = 0.6
        live.says("This server is overloaded; the preview goes on without it. The preview goes on. The server is asked")
        expect(stage).to_have_attribute("data-shown", "preview")
        assert live.seen.barriers() == []
        place.model.takes_s = 0.0
        live.page.evaluate("dispatchEvent(new Event('online'))")  # else it is asked in a quarter of a minute
        live.says(EVERY_FRAME)
        live.shows_results()


def test_a_browser_without_an_encoder_sends_pictures_and_a_role_that_is_taken_ends_it(
    place: Place, browser: Browser, hasty: None
) -> None:
    with filming(place, browser, init="delete window.VideoEncoder") as live:
        [session] = place.host.sessions.values()
        assert session._hello is not None
        assert (session._hello.codec, session.mode) == (Codec.JPEG, Mode.FULL)
        live.page.get_by_label("Show").select_option("joints")
        live.watch(0.3)
        assert len(distinct(live.watch(1.0))) > 3
        live.stop()
        live.says("The server counted the same")
        fates = live.fates()
        assert fates["analysed"] > 3
        assert fates["failed"] == fates["open"] == 0

        live.start()
        live.shows_results()
        sql(place.system, "UPDATE membership SET role = 'viewer' WHERE team_id = :team", team=live.team)
        live.says("It was signed out, its key was revoked, or its role has changed.")
        ended = "SELECT reason FROM live_session WHERE team_id = :team AND counts IS NOT NULL ORDER BY begun_at DESC"
        why = "it was signed out, its key was revoked, or its role has changed"
        wait_until(lambda: (why,) in sql(place.system, ended, team=live.team), 10)
        live.page.get_by_role("button", name="Begin again").click()
        live.says("Only coaches and owners of a team film live. Ask an owner for that role.")
