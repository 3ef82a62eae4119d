"""The skeleton belongs to the picture under it, at every step and seek and while playing: read from the canvas' pixels.

Each frame has its number painted on it, and the oracle's poses tell the number of the frame that they were found in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from fractions import Fraction
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from pipeline.services.proxy import make_proxy
from pipeline.services.system import System
from tests.conftest import fresh_settings
from tests.conftest import opened as opened_system
from tests.support.saved_clip import cut, save
from tests.support.video_cases import CASES
from tests.support.video_maker import make_turned
from tests.support.viewing import Viewer, analysed, assert_exact, joints_only, opened
from tests.support.web import served

Open = Callable[..., AbstractContextManager[Viewer]]

FRAMES = 330
#: Steps of one to seven ticks of 1/90 s, from half a second on.
TIMES = [45 + sum(((1, 3, 2, 7, 1, 1) * 60)[:i]) for i in range(FRAMES)]


def odd_video(path: Path) -> Path:
    """Variable times from 0.5 s on, three B-frames in a row, few keyframes, standing on its side, with sound."""
    return make_turned(
        path,
        (1, False),
        FRAMES,
        width=96,
        height=160,
        pts=TIMES,
        time_base=Fraction(1, 90),
        b_frames=3,
        gop=48,
        codec="libx264",
        options={"x264-params": "b-adapt=0"},
        audio_s=9.0,
    )


@pytest.fixture(scope="module")
def watch(browser: Browser, servers: Path, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Open]:
    """Opens the odd video's page."""
    folder = tmp_path_factory.mktemp("viewing")
    with fresh_settings(servers, template, folder / "home") as settings, opened_system(settings) as system:
        video = analysed(system, odd_video(folder / "odd.mp4"))
        with served(system) as origin:
            yield partial(opened, browser, system, origin, video)


def test_every_picture_is_under_its_own_poses(watch: Open) -> None:
    with watch() as viewer:
        assert_exact(viewer, steps=300, seeks=100, frames=FRAMES, play_s=3)
        assert viewer.certainty == "decoded"
        assert viewer.complaints == []
        assert viewer.seen.asked_elsewhere(viewer.origin) == []


def test_without_webcodecs_the_browser_says_which_picture_it_shows(watch: Open) -> None:
    """The first fallback: `<video>`, with the time of each picture by `VideoFrame`."""
    with watch(init="delete window.VideoDecoder") as viewer:
        assert_exact(viewer, steps=10, seeks=10, frames=FRAMES, play_s=1.5)
        assert viewer.certainty == "presented"
        assert viewer.page.locator(".badge").count() == 0


def test_a_browser_that_only_guesses_says_so(watch: Open) -> None:
    """The second fallback, as on plain HTTP outside of localhost; its badge says what it cannot promise."""
    with watch(init="delete window.VideoDecoder; delete window.VideoFrame") as viewer:
        assert viewer.certainty == "guessed"
        assert viewer.page.locator(".badge").inner_text() == "the overlay may be a frame off"
        joints_only(viewer)
        viewer.page.keyboard.press("ArrowRight")
        found = viewer.settled(1)
        assert "late" not in found
        assert found["picture"] in {0, 1, 2}


def test_what_no_browser_plays_is_shown_as_a_copy(watch: Open, tmp_path: Path) -> None:
    """An AVI whose times do not tell its frames apart."""
    system: System = watch.args[1]  # type: ignore[attr-defined]
    other = analysed(system, CASES["missing_pts_avi"].make(tmp_path))
    with opened(*watch.args[:3], other, wait=False) as viewer:  # type: ignore[attr-defined]
        assert viewer.waits_for_copy()
        make_proxy(system, other[1], "w")
        viewer.wait()
        assert viewer.certainty == "decoded"
        assert_exact(viewer, steps=59, seeks=10, frames=60, play_s=1.5)


CURRENT_TIME = """async ([url, times, ms]) => {
    const video = document.createElement("video");
    video.muted = true;
    video.src = url;
    await new Promise(resolve => { video.onloadeddata = resolve; });
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    const context = canvas.getContext("2d", {willReadFrequently: true});
    const number = () => {
        context.drawImage(video, 0, 0);
        let found = 0;
        for (let bit = 0; bit < 16; bit++) {
            const x = (bit % 4 + 0.5) / 4 * canvas.width, y = (Math.floor(bit / 4) + 0.5) / 4 * canvas.height;
            found = found << 1 | (context.getImageData(x, y, 1, 1).data[0] > 127);
        }
        return found;
    };
    const shown = [];
    await video.play();
    const end = performance.now() + ms;
    while (performance.now() < end) {
        await new Promise(resolve => requestAnimationFrame(resolve));
        const at = video.currentTime;
        let frame = 0;
        while (frame + 1 < times.length && times[frame + 1] <= at) frame++;
        shown.push([number(), frame]);
    }
    return shown;
}"""


def test_by_the_elements_clock_poses_would_be_on_the_wrong_pictures(watch: Open) -> None:
    """The control: what a page shows that draws the poses of `currentTime`, read from pixels alike."""
    with watch() as viewer:
        shown = viewer.page.evaluate(CURRENT_TIME, [viewer.media_url, [pts / 90 for pts in TIMES], 3000])
    # How many depends on the machine: 18 of 181 were seen.
    assert sum(picture != frame for picture, frame in shown) >= 5


NO_H264 = """
    const supports = VideoEncoder.isConfigSupported;
    VideoEncoder.isConfigSupported = config =>
        config.codec.startsWith("avc1") ? Promise.resolve({supported: false, config}) : supports(config);
"""


def test_a_clip_has_the_very_pictures_poses_and_times(watch: Open, tmp_path: Path) -> None:
    with watch() as viewer:
        page = viewer.page
        joints_only(viewer)
        cut(viewer, 40, 69)
        page.get_by_label("Plays").select_option("0.5")
        name, codec, frames = save(viewer, tmp_path)
        assert (name, codec) == ("odd-40-to-69-at-0.5.mp4", "h264")
        assert [(frame.picture, frame.poses) for frame in frames] == [(number, number) for number in range(40, 70)]
        assert [float(frame.time) for frame in frames] == pytest.approx(
            [(TIMES[number] - TIMES[40]) / 90 / 0.5 for number in range(40, 70)], abs=1e-9
        )
        expect(page.get_by_text("Saved odd-40-to-69-at-0.5.mp4: H.264")).to_be_visible()
        assert viewer.settled(69) == {"picture": 69, "poses": 69}, "the frame that was there before"
        page.get_by_label("Show").select_option("skeletons")
        cut(viewer, 3, 5)
        *_, whole = save(viewer, tmp_path)
        assert [frame.picture for frame in whole if frame.drawn > 2 * frames[0].drawn] != []
        assert len(whole) == 3
        assert viewer.seen.barriers() == []
        assert viewer.complaints == []


def test_without_h264_a_clip_is_a_webm(watch: Open, tmp_path: Path) -> None:
    with watch(init=NO_H264) as viewer:
        joints_only(viewer)
        cut(viewer, 10, 19)
        name, codec, frames = save(viewer, tmp_path)
    assert name == "odd-10-to-19.webm"
    assert codec.endswith("vp9")
    assert [(frame.picture, frame.poses) for frame in frames] == [(number, number) for number in range(10, 20)]
    # Matroska counts in milliseconds.
    assert [float(frame.time) for frame in frames] == pytest.approx(
        [(TIMES[number] - TIMES[10]) / 90 for number in range(10, 20)], abs=0.00051
    )


def test_saving_a_clip_can_be_stopped_and_a_browser_that_cannot_says_so(watch: Open) -> None:
    with watch() as viewer:
        page = viewer.page
        joints_only(viewer)
        cut(viewer, 2, 320)
        page.get_by_role("button", name="Save clip").click()
        dialog = page.get_by_role("dialog", name="Saving the clip")
        expect(dialog).to_contain_text("of 319")
        page.keyboard.press("End")  # what is being saved is not moved away from
        assert viewer.seen.barriers() == []
        page.keyboard.press("Escape")
        expect(page.get_by_text("No clip was saved.")).to_be_visible()
        expect(dialog).to_have_count(0)
        assert viewer.settled(320) == {"picture": 320, "poses": 320}
        page.evaluate("delete window.VideoEncoder")
        page.get_by_role("button", name="Save clip").click()
        expect(page.get_by_role("alert")).to_contain_text("it encodes no video")
        page.get_by_role("button", name="No clip").click()
        expect(page.get_by_role("button", name="Save clip")).to_have_count(0)
