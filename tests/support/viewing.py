"""Analyse a painted video with the oracle, open its page, and read from the canvas' pixels which picture is shown and
which frame's poses are drawn on it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from playwright.sync_api import Browser, Page

from pipeline.core.roles import Role
from pipeline.services.system import System
from tests.support.analysis import analyse, put_oracle
from tests.support.browser import DESK, Visit, visit
from tests.support.harness import run_of
from tests.support.oracle_maker import LYING
from tests.support.video_maker import BITS, COLUMNS
from tests.support.web import make_team, signed_in

#: The oracle's joints lie a quarter of a square right or left of the squares' middles, in the first person's colour.
READ = f"""selector => {{
    const canvas = document.querySelector(selector ?? ".stage canvas");
    const context = canvas.getContext("2d");
    const {{width, height}} = canvas;
    const data = context.getImageData(0, 0, width, height).data;
    const at = (x, y) => {{
        const i = 4 * (Math.round(y) * width + Math.round(x));
        return [data[i], data[i + 1], data[i + 2]];
    }};
    const isOrange = ([r, g, b]) => r > 180 && g > 110 && g < 200 && b < 90;
    // Joints are found by a network of low resolution, up to a pixel of the video off.
    const orange = (x, y) => {{
        const reach = width / 80;
        for (let dx = -reach; dx <= reach; dx += reach / 4)
            for (let dy = -reach; dy <= reach; dy += reach / 4) if (isOrange(at(x + dx, y + dy))) return true;
        return false;
    }};
    let picture = 0, poses = 0, joints = 0;
    for (let bit = 0; bit < {BITS}; bit++) {{
        const x = (bit % {COLUMNS} + 0.5) / {COLUMNS} * width;
        const y = (Math.floor(bit / {COLUMNS}) + 0.5) / {COLUMNS} * height;
        const [r, g, b] = at(x, y);
        picture = picture << 1 | (r + g + b > 381);
        const [left, right] = [orange(x - width / 16, y), orange(x + width / 16, y)];
        joints += left + right;
        poses = poses << 1 | right;
    }}
    return {{picture, poses: joints === {BITS} ? poses : joints === 0 ? "none" : `torn: ${{joints}} joints`}};
}}"""
#: The number in the page's own field, which follows the canvas.
SHOWN = "document.querySelector('.position input').valueAsNumber"


@dataclass(frozen=True)
class Viewer:
    """The page of a video, with its joints drawn alone, so that the painted numbers stay legible."""

    seen: Visit
    url: str
    media_url: str

    @property
    def page(self) -> Page:
        """The page."""
        return self.seen.page

    @property
    def origin(self) -> str:
        """Where the page came from."""
        scheme, host, *_ = urlsplit(self.url)
        return f"{scheme}://{host}"

    @property
    def certainty(self) -> str | None:
        """How the page gets its pictures."""
        return self.page.locator(".stage").get_attribute("data-certainty")

    @property
    def complaints(self) -> list[str]:
        """What the browser complained of, but for the reading of pixels, which is the test's own."""
        return [line for line in self.seen.complaints if "getImageData" not in line]

    def waits_for_copy(self) -> bool:
        """Whether this browser does not show the video itself; the page has asked for a copy then."""
        shown, waits = self.page.locator(".position input"), self.page.get_by_text("A copy that it can show")
        shown.or_(waits).first.wait_for(timeout=30_000)
        return waits.count() > 0

    def wait(self) -> None:
        """Until its controls are there."""
        self.page.locator(".position input").wait_for(timeout=20_000)

    def read(self, canvas: str = ".stage canvas") -> dict[str, Any]:
        """What the canvas shows now: the number of the picture, and that which the poses tell."""
        return dict(self.page.evaluate(READ, canvas))

    def settled(self, frame: int) -> dict[str, Any]:
        """What the canvas shows once this frame is there with its poses."""
        found: dict[str, Any] = self.page.evaluate(
            f"""async frame => {{
                const end = performance.now() + 10_000;
                const read = {READ};
                while (performance.now() < end) {{
                    if ({SHOWN} === frame && document.querySelector(".stage-note")?.textContent === "") return read();
                    await new Promise(resolve => requestAnimationFrame(resolve));
                }}
                return {{...read(), late: document.querySelector(".stage").textContent + " at " + {SHOWN}}};
            }}""",
            frame,
        )
        return found

    def address_rests(self) -> None:
        """Until the address has the frame that is shown: an address that is there already cannot be asked for."""
        rests: bool = self.page.evaluate(
            f"""async () => {{
                const end = performance.now() + 10_000, named = () => location.hash.split("&")[0];
                while (named() !== `#frame=${{{SHOWN}}}` && performance.now() < end) {{
                    await new Promise(resolve => requestAnimationFrame(resolve));
                }}
                return named() === `#frame=${{{SHOWN}}}`;
            }}"""
        )
        assert rests

    def play(self, seconds: float) -> list[dict[str, Any]]:
        """What the canvas shows at each refresh of the screen while it plays for so long."""
        found: list[dict[str, Any]] = self.page.evaluate(
            f"""async ms => {{
                const end = performance.now() + ms, found = [], read = {READ};
                while (performance.now() < end) {{
                    await new Promise(resolve => requestAnimationFrame(resolve));
                    found.push(read());
                }}
                return found;
            }}""",
            1000 * seconds,
        )
        return found


def analysed(system: System, video: Path, shape: tuple[int, int] = LYING) -> tuple[UUID, UUID, UUID]:
    """Analyse a painted video with the oracle for pictures of a shape, lying (width, height) or standing.

    Returns:
        the ids of its team, itself and its run.
    """
    put_oracle(system.settings.models_path, shape=shape)
    run_id = analyse(system, video, put=False)
    return make_team(system, "team"), run_of(system, run_id).video_id, run_id


@contextmanager
def opened(
    browser: Browser,
    system: System,
    origin: str,
    video: tuple[UUID, UUID, UUID],
    *,
    size: tuple[int, int] = DESK,
    dark: bool = False,
    init: str = "",
    fragment: str = "",
    wait: bool = True,
    role: Role = Role.VIEWER,
) -> Iterator[Viewer]:
    """The video's page in a browser of somebody who may see it.

    Args:
        init: JavaScript that runs before the page's own.
        fragment: of the address.
        wait: until its controls are there.
    """
    team_id, video_id, _ = video
    cookies = signed_in(system, origin, f"{uuid4().hex}@example.org", team=role)
    with visit(browser, size, dark=dark) as seen:
        seen.page.context.add_cookies(
            [{"name": name, "value": value, "url": origin} for name, value in cookies.cookies.items()]
        )
        if init:
            seen.page.add_init_script(init)
        url = f"{origin}/t/{team_id}/videos/{video_id}"
        seen.page.goto(f"{url}{fragment}")
        viewer = Viewer(seen, url, f"{origin}/api/v1/teams/{team_id}/videos/{video_id}/media")
        if wait:
            viewer.wait()
        yield viewer


def joints_only(viewer: Viewer) -> None:
    """Draw no limbs, which would cross the painted numbers."""
    viewer.page.get_by_label("Show").select_option("joints")


def assert_exact(
    viewer: Viewer,
    *,
    steps: int,
    seeks: int,
    frames: int,
    play_s: float,
    numbers: Sequence[int] | None = None,
    played: int = 5,
) -> None:
    """Step, go back, seek and play, and find every picture under its own poses.

    Args:
        numbers: painted on the frames; their own numbers without.
        played: how many pictures it must show while playing.
    """
    page = viewer.page
    joints_only(viewer)
    asked = list(range(min(steps, frames - 1) + 1))
    missed = []
    for frame in asked:
        if frame:
            page.keyboard.press("ArrowRight")
        missed += _wrong(viewer.settled(frame), frame, numbers)
        assert len(missed) < 3, missed
    for frame in range(asked[-1] - 1, max(-1, asked[-1] - 21), -1):
        page.keyboard.press("ArrowLeft")
        missed += _wrong(viewer.settled(frame), frame, numbers)
    viewer.address_rests()
    chosen = random.Random(5)
    for _ in range(seeks):
        frame = chosen.randrange(frames)
        page.evaluate("frame => { location.hash = `#frame=${frame}`; }", frame)
        missed += _wrong(viewer.settled(frame), frame, numbers)
    assert missed == [], missed
    page.keyboard.press("Home")
    viewer.settled(0)
    page.keyboard.press("l")
    playing = viewer.play(play_s)
    page.keyboard.press("k")
    torn = [found for found in playing if found["picture"] != found["poses"]]
    assert torn == [], torn
    assert len({found["picture"] for found in playing}) > played, "it hardly played"


def _wrong(found: dict[str, Any], frame: int, numbers: Sequence[int] | None) -> list[dict[str, Any]]:
    number = frame if numbers is None else numbers[frame]
    return [] if found == {"picture": number, "poses": number} else [{"frame": frame, "number": number, **found}]
