"""The page that sets a camera up, in a Chromium whose camera plays a real clip: alone, without network or account."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import UUID

import av
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from pipeline.core.roles import Role
from pipeline.db.accounts import set_role
from pipeline.db.engine import transaction
from pipeline.services.ingest import ingest_video
from pipeline.services.system import System
from tests.support.browser import DESK, LAN_HOST, PHONE, Visit, chromium, cut_off, launch, visit
from tests.support.fake_camera import HEIGHT, WIDTH, arguments, bad_camera, demo_camera
from tests.support.harness import sql, wait_until
from tests.support.web import PASSWORD, account_id, make_team, served, with_password
from tests.support.web_site import wait_sent

LANDSCAPE = (844, 390)
READY_MS = 40_000
#: Pixels of the canvas that have the colours of a left and a right limb.
LIMBS = """() => {
    const canvas = document.querySelector(".viewfinder canvas");
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", {willReadFrequently: true});
    copy.drawImage(canvas, 0, 0);
    const {data} = copy.getImageData(0, 0, canvas.width, canvas.height);
    const found = [0, 0];
    for (let at = 0; at < data.length; at += 4)
        for (const [side, colour] of [[255, 159, 28], [46, 196, 255]].entries())
            if (colour.every((value, index) => Math.abs(value - data[at + index]) < 12)) found[side]++;
    return Math.min(...found);
}"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A Chromium with a camera that sees the demo clip."""
    clip = demo_camera(tmp_path_factory.mktemp("camera") / "demo.mjpeg", 3)
    with chromium(*arguments(clip)) as browser:
        yield browser


def open_page(seen: Visit, origin: str, *, on: bool = True) -> Page:
    """The page, once it says that it is ready, with the camera on."""
    page = seen.page
    page.goto(f"{origin}/camera")
    page.get_by_text("Ready, also without a network").wait_for(timeout=READY_MS)
    if on:
        turn_on(page)
    return page


def turn_on(page: Page) -> None:
    """Press the button, and wait for the picture's size."""
    page.get_by_role("button", name="Turn the camera on").click()
    expect(page.locator(".delivered")).to_contain_text(re.compile(rf"gives {WIDTH}.{{3}}{HEIGHT} px"), timeout=READY_MS)


def hint(page: Page, name: str, words: str, level: str, timeout_s: float = 30) -> None:
    """Wait for what a hint says."""
    item = page.locator(f".hints li.{level}", has=page.get_by_text(name, exact=True))
    expect(item).to_contain_text(re.compile(words), timeout=timeout_s * 1000)


def recorded(page: Page) -> tuple[float, int]:
    """Seconds and frames of the one recording, as the page tells them."""
    told = page.locator(".uploads > li > p.soft").first.inner_text()
    match = re.match(r"([\d.]+) s, (\d+) frames", told)
    assert match is not None, told
    return float(match[1]), int(match[2])


def record(page: Page, seconds: float) -> None:
    """Press Record, and wait until so much is recorded."""
    page.get_by_role("button", name="Record", exact=True).press("Enter")
    expect(page.locator(".record strong")).to_have_text(f"0:{int(seconds):02}", timeout=READY_MS)


def test_poses_meter_and_recording_without_network_and_the_upload_with_it(
    system: System, browser: Browser, tmp_path: Path
) -> None:
    team = make_team(system, "ours")
    with_password(system, "coach@example.org")
    with transaction(system.engine) as connection:
        set_role(connection, team, account_id(system, "coach@example.org"), Role.COACH)
    with served(system) as served_at, visit(browser) as seen:
        origin = served_at.replace("127.0.0.1", "localhost")
        page = open_page(seen, origin, on=False)
        page.context.set_offline(True)
        before = len(seen.asked)
        turn_on(page)
        hint(page, "Whole person", "From head to feet", "good")
        # In single frames the preview finds nobody.
        wait_until(lambda: page.evaluate(LIMBS) > 30 or page.wait_for_timeout(20), 20)
        for stage in ("Capture", "Process", "Render", "Capture to picture"):
            row = page.get_by_role("row", name=stage, exact=False).filter(has=page.get_by_text(stage, exact=True))
            expect(row).to_contain_text(re.compile(r"[\d.]+ ms.*[\d.]+ ms.*\d ms", re.S))
        expect(page.locator(".meter p")).to_contain_text(re.compile(r"Over the budget of 35 ms by \d+ ms|Within the"))

        record(page, 2)
        page.once("dialog", lambda dialog: dialog.dismiss())
        page.get_by_role("link", name="Poseline").click()
        assert page.url == f"{origin}/camera"
        page.get_by_role("button", name="Stop").press("Enter")
        page.get_by_role("button", name="Save file").wait_for(timeout=READY_MS)
        seconds, frames = recorded(page)
        assert seen.asked[before:] == []
        assert seen.complaints == []

        page.context.set_offline(False)
        page.get_by_role("button", name="Upload", exact=True).click()
        page.get_by_label("E-mail address").fill("coach@example.org")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("button", name="Upload to ours").click()
        wait_sent(page, "camera 2", READY_MS / 1000)
        page.get_by_role("link", name="Camera", exact=True).wait_for()
        assert seen.asked_elsewhere(origin) == []
    [(video, name)] = sql(system, "SELECT id, name FROM video")
    assert re.fullmatch(r"camera \d{4}-\d\d-\d\d \d\d-\d\d-\d\d\.mp4", str(name))
    assert isinstance(video, UUID)
    ingest_video(system, video, "w")
    asked = "SELECT state, frames, width, height, last_pts::float8 * time_base_num / time_base_den FROM video"
    [(state, stored, width, height, last_s)] = sql(system, asked)
    assert (state, stored, width, height) == ("ready", frames, WIDTH, HEIGHT)
    # The last frame lasts a thirtieth; the page tells tenths.
    assert float(str(last_s)) == pytest.approx(seconds - 1 / 30, abs=0.06)


def test_a_tab_that_goes_away_loses_little_of_its_recording(browser: Browser, port: int, tmp_path: Path) -> None:
    with visit(browser, PHONE) as seen:
        page = open_page(seen, f"http://localhost:{port}")
        record(page, 3)
        told = page.locator(".record").inner_text()
        page.close(run_before_unload=False)
        again = seen.page.context.new_page()
        again.goto(f"http://localhost:{port}/camera")
        save = again.get_by_role("button", name="Save file")
        save.wait_for(timeout=READY_MS)
        with again.expect_download() as download:
            save.click()
        download.value.save_as(tmp_path / "left.mp4")
        again.once("dialog", lambda dialog: dialog.accept())
        again.get_by_role("button", name="Remove").click()
        expect(again.get_by_role("button", name="Remove")).to_have_count(0)
    with av.open(str(tmp_path / "left.mp4")) as left:
        times = [float(frame.pts * frame.time_base) for frame in left.decode(video=0)]
    assert times[0] == 0
    assert times == sorted(set(times))
    assert times[-1] > 0.8, f"of: {told}"


def test_hints_react_and_the_page_fits_and_says_what_is_wrong(browser: Browser, port: int, tmp_path: Path) -> None:
    with closing(launch(browser.browser_type, *arguments(bad_camera(tmp_path / "bad.mjpeg", 2.5)))) as other:
        with visit(other) as seen:
            seen.page.goto(f"http://{LAN_HOST}:{port}/camera")
            seen.page.get_by_role("button", name="Turn the camera on").click()
            assert "plain HTTP" in seen.page.get_by_role("alert").inner_text()
        with visit(other) as seen:
            seen.page.route("**/camera", _refuse_camera)
            seen.page.goto(f"http://localhost:{port}/camera")
            seen.page.get_by_role("button", name="Turn the camera on").click()
            expect(seen.page.get_by_role("alert")).to_contain_text("Allow it for this page, by the sign beside its")
            seen.page.unroute_all()
            page = open_page(seen, f"http://localhost:{port}")
            hint(page, "Light", "much too dark.*Switch lights on", "bad")
            hint(page, "Whole person", "at the bottom.*Tilt the camera down", "bad")
            hint(page, "Size", "px tall.*Go nearer", "fair")
            page.get_by_role("button", name="Level").press("Enter")
            page.get_by_label("Turn", exact=True).fill("5")
            hint(page, "Horizon", "leans 5.0° clockwise.*Turn it 5.0° anticlockwise", "bad")
            for size, scheme in (
                (DESK, "light"),
                (DESK, "dark"),
                (PHONE, "light"),
                (PHONE, "dark"),
                (LANDSCAPE, "light"),
            ):
                page.set_viewport_size({"width": size[0], "height": size[1]})
                page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
                assert cut_off(page) == []
                seen.shot(tmp_path / f"camera-{size[0]}-{scheme}.png")
                assert size == LANDSCAPE or seen.barriers() == []


def _refuse_camera(route: Route) -> None:
    """The page, with the rule that it gets no camera: the browser then says what it says where a person refuses."""
    answer = route.fetch()
    route.fulfill(response=answer, headers={**answer.headers, "permissions-policy": "camera=()"})
