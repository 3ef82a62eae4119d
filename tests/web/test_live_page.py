"""The live page in a real Chromium, whose camera plays a clip, against a real web process and real live processes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from pipeline.services.system import System
from tests.conftest import fresh_settings, opened
from tests.support.analysis import put_oracle
from tests.support.browser import chromium
from tests.support.fake_camera import arguments
from tests.support.harness import Processes, processes, sql, wait_until
from tests.support.live import ORACLE, live_process
from tests.support.live_page import DISORDER, distinct, live_page, numbered_camera
from tests.support.web import served

#: A busy machine refuses nobody.
PATIENT = {"POSELINE_LIVE_BUDGET_MS": "60000"}


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


def test_a_result_is_shown_on_its_own_frame_alone_and_both_sides_count_the_same(place: Place, browser: Browser) -> None:
    with (
        live_process(place.running, place.system, **ORACLE, **PATIENT),
        live_page(browser, place.system, place.web, init=DISORDER) as live,
    ):
        page = live.page
        live.start()
        live.shows_results()
        page.get_by_label("Show").select_option("joints")
        live.watch(0.3)
        assert len(distinct(live.watch(1.5))) > 3

        live.network.refusing = True
        live.network.reset_all()
        live.says("The server does not answer")
        live.network.heal()
        live.shows_results()
        assert len(distinct(live.watch(1.5))) > 3
        live.says("The connection was lost once")

        live.stop()
        live.says("The server counted the same")
        fates = live.fates()
        assert fates["open"] == 0
        assert fates["captured"] == fates["dropped"] + fates["sent"]
        assert fates["sent"] == fates["analysed"] + fates["superseded"] + fates["failed"]
        query = "SELECT counts FROM live_session WHERE counts IS NOT NULL ORDER BY begun_at DESC LIMIT 1"
        [(noted,)] = wait_until(lambda: sql(place.system, query), 20)
        del fates["open"]
        assert noted == {**fates, "received": fates["sent"]}
