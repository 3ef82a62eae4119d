"""The page of a video: readable at both widths, usable by keyboard and by touch, true about what it does not have."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from io import BytesIO
from pathlib import Path
from uuid import UUID

import pytest
from playwright.sync_api import Browser, Page, expect

from pipeline.core.roles import Role
from pipeline.db import uploads
from pipeline.db.engine import transaction
from pipeline.errors import VideoRejected
from pipeline.inference.engines.placement import Placement
from pipeline.inference.weights.checksums import sha256_of, write_checksums
from pipeline.services.cancel import cancel_run
from pipeline.services.detect import detect_chunk
from pipeline.services.ingest import ingest_video
from pipeline.services.model_cache import ModelCache
from pipeline.services.system import System
from tests.conftest import fresh_settings
from tests.conftest import opened as opened_system
from tests.support.analysis import MODEL, analyse, put_oracle
from tests.support.browser import DESK, PHONE, cut_off
from tests.support.erased import erase
from tests.support.harness import run_of, sql, wait_until
from tests.support.kept import requested_run
from tests.support.oracle_maker import make_oracle
from tests.support.video_maker import make_video
from tests.support.viewing import Viewer, joints_only, opened
from tests.support.web import make_team, served

Open = Callable[..., AbstractContextManager[Viewer]]

FRAMES = 120
#: Counts the pictures that the decoder gave and nobody has closed yet.
COUNT_OPEN = """
    window.openPictures = new Set();
    window.mostOpen = 0;
    const Decoder = window.VideoDecoder;
    window.VideoDecoder = class extends Decoder {
        constructor(init) {
            super({...init, output: frame => {
                openPictures.add(frame);
                mostOpen = Math.max(mostOpen, openPictures.size);
                init.output(frame);
            }});
        }
    };
    const close = VideoFrame.prototype.close;
    VideoFrame.prototype.close = function () { openPictures.delete(this); close.call(this); };
"""


@pytest.fixture(scope="module")
def watch(browser: Browser, servers: Path, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Open]:
    """Opens the page of a video of which frames 30 to 59 are analysed so far, in chunks of 30."""
    folder = tmp_path_factory.mktemp("page")
    clip = make_video(folder / "a sprint.mp4", FRAMES, width=320, height=192, gop=30, audio_s=4.0)
    with fresh_settings(servers, template, folder / "home") as settings, opened_system(settings) as system:
        put_oracle(settings.models_path)
        write_checksums(
            settings.models_path, {MODEL: sha256_of(make_oracle(settings.models_path / f"{MODEL}.onnx", blind_to=6))}
        )
        empty = analyse(system, make_video(folder / "empty.mp4", 10, numbers=range(512, 522)), put=False)
        put_oracle(settings.models_path)
        refused = _refused(system)
        analyse(system, make_video(folder / "older.mp4", 60, numbers=range(500, 560)), put=False)
        run_id = analyse(system, clip, chunks=[1], put=False)
        ids = (make_team(system, "team"), run_of(system, run_id).video_id, run_id)

        def analyse_more() -> None:
            detect_chunk(system, ModelCache(system, Placement("cpu")), run_id, 0, "w")

        with served(system) as origin:
            watch = partial(opened, browser, system, origin, ids)
            watch.analyse_more = analyse_more  # type: ignore[attr-defined]
            watch.refused, watch.empty = refused, run_of(system, empty).video_id  # type: ignore[attr-defined]
            yield watch


def _refused(system: System) -> UUID:
    """A video that was refused, with two runs that were asked for in the same minute."""
    with transaction(system.engine) as connection:
        video_id, key = uploads.insert_video(connection, "team", "notes.mp4", bucket=system.store.bucket)
        uploads.mark_stored(connection, video_id, system.store.put_stream(BytesIO(b"no video"), 8, key))
    for params in ("1", "2"):
        requested_run(system, video_id, params=params)
    with pytest.raises(VideoRejected):
        ingest_video(system, video_id, "w")
    return video_id


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_it_is_readable(watch: Open, size: tuple[int, int], dark: bool) -> None:
    with watch(size=size, dark=dark, fragment="#frame=40") as viewer:
        viewer.settled(40)
        viewer.page.get_by_role("button", name="The one in view").click()
        expect(viewer.page.get_by_role("table", name="Angles in the picture")).to_be_visible()
        expect(viewer.page.get_by_text("only who is followed is told apart")).to_be_visible()
        assert viewer.seen.barriers() == []
        assert cut_off(viewer.page) == []
        assert viewer.page.title().startswith("a sprint.mp4")
        canvas = viewer.page.locator(".stage canvas").bounding_box()
        assert canvas is not None
        assert canvas["width"] >= size[0] * 0.6
        assert canvas["y"] + canvas["height"] < size[1], "the picture is seen without scrolling"
        assert viewer.complaints == []
        assert viewer.seen.asked_elsewhere(viewer.origin) == []


def test_picture_strip_and_controls_fit_into_the_window(watch: Open) -> None:
    """Also where it is turned or made smaller while the page is open."""
    with watch(fragment="#frame=40") as viewer:
        viewer.settled(40)
        for width, height in ((1280, 720), (1920, 1080), (844, 390), PHONE, DESK):
            viewer.page.set_viewport_size({"width": width, "height": height})
            for row in (".stage canvas", ".timeline-says", ".timeline input", ".transport-keys", ".position"):
                expect(viewer.page.locator(row)).to_be_in_viewport(ratio=1)
            canvas = viewer.page.locator(".stage canvas").bounding_box()
            assert canvas is not None
            assert canvas["width"] >= 0.45 * width, "the picture has the room that is left"
            assert cut_off(viewer.page) == []


def test_the_keyboard_alone_does_everything(watch: Open) -> None:
    with watch(fragment="#frame=35") as viewer:
        page = viewer.page
        joints_only(viewer)
        viewer.settled(35)
        page.locator("body").click(position={"x": 5, "y": 5})
        for keys, frame in [
            ("ArrowRight", 36),
            ("ArrowLeft", 35),
            ("Shift+ArrowRight", 45),
            ("Shift+ArrowLeft", 35),
        ]:
            page.keyboard.press(keys)
            assert viewer.settled(frame) == {"picture": frame, "poses": frame}
        for _ in range(7):
            page.keyboard.press("ArrowRight")  # faster than pictures come
        assert viewer.settled(42) == {"picture": 42, "poses": 42}
        page.keyboard.press("]")
        expect(page.get_by_label("Speed")).to_have_value("1.5")
        for _ in range(9):
            page.keyboard.press("[")
        expect(page.get_by_label("Speed")).to_have_value("0.1")
        page.keyboard.press("Space")
        expect(page.get_by_role("button", name="Pause")).to_be_visible()
        page.keyboard.press("k")
        expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
        page.keyboard.press("End")
        expect(page.locator(".position input")).to_have_value(str(FRAMES - 1))
        for _ in range(9):
            page.keyboard.press("]")
        page.keyboard.press("j")
        expect(page.locator(".position input")).to_have_value(re.compile("^[1-5]?[0-9]$"))
        page.keyboard.press("k")
        # To the people in view, without a mouse.
        page.keyboard.press("Home")
        page.evaluate("location.hash = '#frame=40'")
        viewer.settled(40)
        person, followed = (page.get_by_role("button", name=f"The one {which}") for which in ("in view", "you follow"))
        person.focus()
        page.keyboard.press("Enter")
        expect(followed).to_be_focused()
        expect(followed).to_have_attribute("aria-pressed", "true")
        expect(person).to_have_count(0)
        page.keyboard.press("ArrowRight")
        viewer.settled(41)
        expect(followed).to_be_focused()
        page.keyboard.press("Escape")
        expect(person).to_be_focused()
        expect(followed).to_have_count(0)


def test_touch_follows_a_person_and_steps(watch: Open) -> None:
    with watch(size=PHONE, fragment="#frame=40") as viewer:
        page = viewer.page
        viewer.settled(40)
        page.locator(".stage canvas").tap()
        person = page.get_by_role("button", name="The one you follow")
        expect(person).to_be_visible()
        page.get_by_role("button", name="One frame on").tap()
        viewer.settled(41)
        expect(person).to_be_visible()
        page.get_by_label("Hide the others").check()
        page.locator(".stage canvas").tap(position={"x": 1, "y": 1})


def test_a_link_opens_its_frame_with_the_containers_time(watch: Open) -> None:
    with watch(fragment="#frame=47") as viewer:
        viewer.settled(47)
        assert viewer.page.locator(".time").inner_text() == "0:01.567"
        viewer.page.keyboard.press("ArrowRight")
        viewer.settled(48)
        viewer.page.wait_for_url("**#frame=48")
        copy, other = (
            viewer.page.get_by_role("button", name=f"{name}") for name in ("Copy link to frame", "Link copied")
        )
        viewer.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        copy.click()
        expect(other).to_be_visible()
        assert viewer.page.evaluate("navigator.clipboard.readText()") == f"{viewer.url}#frame=48"
        expect(copy).to_be_visible()
        viewer.page.evaluate(
            "() => { navigator.clipboard.writeText = document.execCommand = () => { throw new Error(); }; }"
        )
        copy.click()
        by_hand = viewer.page.get_by_label("Copy the link from here")
        expect(by_hand).to_have_value(f"{viewer.url}#frame=48")
        expect(by_hand).to_be_focused()


def test_what_a_server_did_not_answer_is_asked_for_again(watch: Open) -> None:
    with watch(fragment="#frame=40") as viewer:
        viewer.settled(40)
        for what in ("times", "media"):
            viewer.page.route(f"**/{what}*", lambda route: route.abort())
            viewer.page.reload()
            expect(viewer.page.get_by_role("alert")).to_have_text(
                "The server does not answer. Is this device online? It is asked again every few seconds.",
                timeout=10_000,
            )
            viewer.page.unroute(f"**/{what}*")
            viewer.page.evaluate("dispatchEvent(new Event('online'))")
            joints_only(viewer)
            assert viewer.settled(40) == {"picture": 40, "poses": 40}
            expect(viewer.page.get_by_role("alert")).to_have_count(0)


def test_a_frame_that_was_asked_for_stays_in_the_address_until_it_is_shown(watch: Open) -> None:
    """Were it overwritten with the one before, a link to that one would be no change, and lead nowhere."""
    listen = """
        window.ticks = [];
        const every = window.setInterval;
        window.setInterval = (tick, ms) => { ticks.push(tick); return every(tick, ms); };
    """
    with watch(init=listen, fragment="#frame=40") as viewer:
        viewer.settled(40)
        address = viewer.page.evaluate("""async () => {
            const asked = new Promise(resolve => addEventListener("hashchange", resolve, {once: true}));
            location.hash = "#frame=90";
            await asked;
            for (const tick of ticks) tick();
            return location.hash;
        }""")
        assert address == "#frame=90"
        expect(viewer.page.locator(".position input")).to_have_value("90")


def test_few_pictures_are_held_however_much_is_played_and_sought(watch: Open) -> None:
    with watch(init=COUNT_OPEN, fragment="#frame=30") as viewer:
        viewer.settled(30)
        viewer.page.keyboard.press("l")
        viewer.play(2)
        for frame in (5, 100, 50, 7, 45):
            viewer.page.evaluate(f"location.hash = '#frame={frame}'")
            expect(viewer.page.locator(".position input")).to_have_value(str(frame))
        most, left = viewer.page.evaluate("[mostOpen, openPictures.size]")
        assert 0 < left <= most <= 30
        viewer.page.get_by_role("link", name="Videos").click()
        expect(viewer.page.get_by_role("heading", name="Videos")).to_be_visible()
        wait_until(lambda: viewer.page.evaluate("openPictures.size") == 0, 5, "every picture to be closed")


def test_sound_plays_with_the_pictures(watch: Open) -> None:
    listen = """
        window.heard = 0;
        const start = AudioBufferSourceNode.prototype.start;
        AudioBufferSourceNode.prototype.start = function (...at) {
            window.heard += this.buffer.duration;
            start.apply(this, at);
        };
    """
    with watch(init=listen, fragment="#frame=0") as viewer:
        viewer.page.keyboard.press("l")
        viewer.play(1)
        assert viewer.page.evaluate("heard") > 1


@pytest.mark.soak
def test_another_video_goes_along_beside_it_from_a_pair_of_frames_on(watch: Open) -> None:
    with watch(fragment="#frame=40") as viewer:
        page = viewer.page
        joints_only(viewer)
        viewer.settled(40)
        page.get_by_text("Compare side by side").click()
        page.get_by_label("Search by name").fill("old")
        page.get_by_role("button", name="older.mp4").click()
        beside = page.get_by_role("region", name="Beside: older.mp4")
        field = beside.get_by_label("Align with its frame")
        expect(field).to_have_value("40")
        field.fill("10")
        field.press("Enter")
        expect(beside.get_by_text("Frame 10")).to_be_visible()
        page.locator("h2", has_text="People").click()
        for frame in (41, 42, 43):
            page.keyboard.press("ArrowRight")
            viewer.settled(frame)
            expect(beside.get_by_text(f"Frame {frame - 30},")).to_be_visible()
            number = 500 + frame - 30
            assert viewer.read(".beside canvas") == {"picture": number, "poses": number}
        assert viewer.seen.barriers() == []
        expect(page).to_have_url(re.compile(r"#frame=43&beside="))
        page.reload()
        expect(beside.get_by_text("Frame 13,")).to_be_visible()
        expect(page).to_have_url(re.compile(r"#frame=43&beside="))
        beside.get_by_role("button", name="Close").click()
        expect(beside).to_have_count(0)


def test_what_has_no_poses_says_so_once_and_offers_nothing_that_cannot_help(watch: Open) -> None:
    with watch(role=Role.COACH, fragment="#frame=40") as viewer:
        page, team = viewer.page, viewer.url.rpartition("/")[0]
        _compare_with_a_long_name(watch.args[1], viewer)  # type: ignore[attr-defined]
        page.goto(f"{team}/{watch.refused}")  # type: ignore[attr-defined]
        expect(page.get_by_role("alert")).to_contain_text("This video cannot be analysed. This file is not a video")
        expect(page.get_by_text("This file is not a video")).to_have_count(1)
        assert page.get_by_role("button", name="Try again").count() == 0
        assert page.get_by_label("Analysis").count() == 0
        page.goto(f"{team}/{watch.empty}")  # type: ignore[attr-defined]
        expect(page.locator(".timeline-says")).to_have_text("Nobody was found in this video")
        expect(page.get_by_text("Nobody was found in this picture.")).to_be_visible()
        with page.expect_download(timeout=90_000) as drawn:
            page.get_by_role("button", name="Contact sheet").click()
            expect(page.get_by_text("Contact sheet is being drawn")).to_be_visible()
        assert drawn.value.suggested_filename == "empty.preview.png"
        assert viewer.seen.barriers() == []


def _compare_with_a_long_name(system: System, viewer: Viewer) -> None:
    """It makes neither the page nor a phone's any wider."""
    page, named = viewer.page, "UPDATE video SET name = :new WHERE name = :old"
    sql(system, named, old="older.mp4", new="older" * 48)
    page.get_by_text("Compare side by side").click()
    expect(page.get_by_role("button", name="older" * 48)).to_be_visible()
    for width, height in (PHONE, DESK):
        page.set_viewport_size({"width": width, "height": height})
        assert cut_off(page) == []
    sql(system, named, old="older" * 48, new="older.mp4")


@pytest.mark.parametrize("role", [Role.VIEWER, Role.COACH])
def test_who_may_change_videos_finds_how_and_nobody_else(watch: Open, role: Role) -> None:
    with watch(role=role) as viewer:
        page = viewer.page
        expect(page.get_by_role("heading", name="People")).to_be_visible()
        may = role is Role.COACH
        expect(page.get_by_role("heading", name="Analyse again")).to_be_visible(visible=may)
        expect(page.get_by_role("button", name="Cancel this analysis")).to_be_visible(visible=may)
        expect(page.get_by_text("Delete this video")).to_be_visible(visible=may)
        expect(page.get_by_role("heading", name="Tags")).to_be_visible(visible=may)
        if may:
            _tag(page)
            page.get_by_label("Model").select_option(MODEL)
            page.get_by_role("button", name="Analyse").click()
            expect(page.get_by_text("This model has analysed the video already")).to_be_visible()
            page.get_by_text("Delete this video").click()
            delete = page.get_by_role("button", name="Delete for good")
            page.get_by_label("to confirm").fill("a sprint")
            expect(delete).to_be_disabled()
            page.get_by_label("to confirm").fill("a sprint.mp4")
            expect(delete).to_be_enabled()
            assert viewer.seen.barriers() == []


def _tag(page: Page) -> None:
    tag = page.get_by_label("New tag")
    for typed in ("season=2025", "season=2026", "place=a, b"):
        tag.fill(typed)
        tag.press("Enter")
        expect(page.get_by_role("link", name=typed)).to_be_visible()
        expect(tag).to_have_value("")
    expect(page.get_by_role("link", name="season=")).to_have_text(["season=2026"])
    tag.fill("home")
    tag.press("Enter")
    expect(page.get_by_role("alert")).to_have_text('"home" is no tag: write key=value.')
    for key in ("place=a, b", "season=2026"):
        page.get_by_role("button", name=f"Remove the tag {key}").click()
        expect(page.get_by_role("link", name=key)).to_have_count(0)


def test_a_video_that_is_erased_while_somebody_looks_is_said_to_be_gone(watch: Open, tmp_path: Path) -> None:
    with watch() as viewer:
        system = watch.args[1]  # type: ignore[attr-defined]
        clip = make_video(tmp_path / "soon gone.mp4", 60, numbers=range(600, 660))
        video_id = run_of(system, analyse(system, clip, chunks=[0], put=False)).video_id
        viewer.page.goto(f"{viewer.url.rpartition('/')[0]}/{video_id}")
        expect(viewer.page.locator(".timeline-says")).to_contain_text("Being analysed, 40 %")
        erase(system, clip.name)
        expect(viewer.page.get_by_role("alert")).to_have_text(
            "There is no video here: it was removed, or you may not see it."
        )
        assert viewer.page.locator(".stage").count() == 0


def test_poses_are_there_while_the_run_goes_on_and_come_by_themselves(watch: Open) -> None:
    """The last test of this file: it analyses more, and cancels the rest."""
    with watch(fragment="#frame=10") as viewer:
        joints_only(viewer)
        note = viewer.page.locator(".stage-note")
        expect(note).to_have_text("The poses of this frame are still to come.")
        assert viewer.read() == {"picture": 10, "poses": "none"}
        expect(viewer.page.locator(".timeline-says")).to_contain_text("Being analysed, 25 %")
        watch.analyse_more()  # type: ignore[attr-defined]
        assert viewer.settled(10) == {"picture": 10, "poses": 10}
        expect(viewer.page.locator(".timeline-says")).to_contain_text("Being analysed, 50 %")
        system, (*_, run_id) = watch.args[1], watch.args[3]  # type: ignore[attr-defined]
        cancel_run(system, run_id, team="team")
        expect(viewer.page.locator(".timeline-says")).to_have_text(
            "1 person at most · 60 of 120 frames analysed: this analysis was cancelled"
        )
        viewer.page.keyboard.press("End")
        expect(note).to_have_text("No poses: not analysed: the run was cancelled")
