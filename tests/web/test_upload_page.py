"""The page on which videos are dropped: many at once, doubles, pause and cancel, what becomes of them; at a desk, on a
phone."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from playwright.sync_api import Browser, Page, Request, Response, expect

from pipeline.errors import VideoRejected
from pipeline.services.ingest import ingest_video
from pipeline.services.system import System
from pipeline.storage.objects import build_object_store
from tests.support.browser import DESK, LAN_HOST, PHONE, cut_off
from tests.support.harness import cut, processes, sql, wait_until
from tests.support.uploads import PART, assert_no_upload_left
from tests.support.web_site import Site, choose, site, wait_sent

MIB = 2**20


def files(folder: Path, *sizes: int) -> list[Path]:
    """Files of these sizes, each with other bytes."""
    paths = [folder / f"clip {number}.mp4" for number in range(len(sizes))]
    for path, size in zip(paths, sizes, strict=True):
        path.write_bytes(os.urandom(size))
    return paths


def press(page: Page, name: str) -> None:
    """Press a button with the keyboard alone."""
    button = page.get_by_role("button", name=name, exact=True)
    button.focus()
    page.keyboard.press("Enter")


def test_many_files_a_bad_one_a_double_and_what_becomes_of_them(
    system: System, browser: Browser, tmp_path: Path, short_clip: Path
) -> None:
    sent = files(tmp_path, *[MIB // 2] * 6)
    empty, notes, double = tmp_path / "empty.mp4", tmp_path / "notes.txt", tmp_path / "phone.mp4"
    empty.write_bytes(b"")
    notes.write_text("no video")
    double.write_bytes(sent[0].read_bytes())
    with processes(system.settings, tmp_path / "logs") as running, site(system, running) as ours:
        with ours.coach(browser) as seen:
            page = seen.page
            most_open = _most_open(page)
            choose(page, empty, *sent, notes)
            for path in sent:
                wait_sent(page, path.name, 20)
            assert 1 <= most_open() <= 4, "a browser that is closed leaves few uploads behind"
            expect(page.locator("li", has_text="empty.mp4")).to_contain_text("There is nothing in empty.mp4")
            assert "1 file is no video" in page.inner_text("main")
            choose(page, double)
            row = page.locator("li", has_text="phone.mp4")
            expect(row).to_contain_text("This video is here already, as clip 0.mp4.")
            assert sql(system, "SELECT count(*) FROM video") == [(6,)]
            _look(page, tmp_path, seen.barriers)
            press(page, "Send anyway: phone.mp4")
            wait_sent(page, "phone.mp4", 20)
            press(page, "Remove from list: clip 0.mp4")
            press(page, "Cancel: empty.mp4")
            press(page, "Remove from list: empty.mp4")
            expect(page.get_by_text("it is safe to close the browser")).to_be_visible()
            _follow(system, page, sent[1].name, short_clip, tmp_path)
            assert sum("/events?" in url for url in seen.asked) == 1, "one stream for all of them"
            assert seen.asked_elsewhere(ours.origin) == []
        for path in [*sent, double]:
            assert ours.stored(path.name) == path.read_bytes()
        assert_no_upload_left(system, ours.team)


def _most_open(page: Page) -> Callable[[], int]:
    """Counts from now on how many uploads are begun and not complete at once."""
    counts = [0]

    def begins(request: Request) -> None:
        if request.method == "POST" and request.url.endswith("/uploads"):
            counts.append(counts[-1] + 1)

    def ends(response: Response) -> None:
        if response.url.endswith("/complete") or (response.url.endswith("/uploads") and not response.ok):
            counts.append(counts[-1] - 1)

    page.on("request", begins)
    page.on("response", ends)
    return lambda: max(counts)


def _follow(system: System, page: Page, noise: str, clip: Path, folder: Path) -> None:
    """A text that is called a video, half of a video, and a video: each row says what becomes of it."""
    text, half, whole = folder / "notes.mp4", folder / "half.mp4", cut(clip, folder / "sprint.mp4", 30)
    text.write_text("no video")
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    choose(page, text, half, whole)
    for path in (text, half, whole):
        wait_sent(page, path.name, 20)
    video = page.locator("li", has_text=whole.name)
    expect(video).to_contain_text("Sent. Being read")
    for name in (noise, text.name, half.name, whole.name):
        [(video_id,)] = sql(system, "SELECT id FROM video WHERE name = :name", name=name)
        assert isinstance(video_id, UUID)
        with suppress(VideoRejected):
            ingest_video(system, video_id, "w")
    for name in (text.name, half.name):
        row = page.locator("li", has_text=name)
        expect(row).to_contain_text("Cannot be analysed: ")
        expect(row.get_by_role("link", name=f"Open {name}")).to_be_visible()
    expect(video).to_contain_text("Sent. Waits")
    [(run_id,)] = sql(system, "SELECT id FROM run WHERE video_id = :id", id=video_id)
    sql(system, "UPDATE run SET state = 'running', started_at = now() WHERE id = :id", id=run_id)
    sql(system, "UPDATE chunk SET frames_done = 12, state = 'running' WHERE run_id = :id", id=run_id)
    expect(video).to_contain_text("Sent. Being analysed, 40 %")
    expect(video.get_by_role("progressbar")).to_have_attribute("value", "0.4")
    sql(system, "UPDATE run SET state = 'failed', reason = 'the decoder crashed', finished_at = now() WHERE id = :id",
        id=run_id)  # fmt: skip
    expect(video).to_contain_text("Failed: the decoder crashed")
    expect(page.get_by_role("status")).to_contain_text("0 of 9 analysed, 4 failed: see below.")


def _look(page: Page, folder: Path, barriers: object) -> None:
    """Nothing to scroll sideways for, and nothing that keeps people out, at both widths, in light and dark."""
    for size in (PHONE, DESK):
        page.set_viewport_size({"width": size[0], "height": size[1]})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            assert cut_off(page) == []
            page.screenshot(path=folder / f"upload-{size[0]}-{scheme}.png", full_page=True)
            assert barriers() == []  # type: ignore[operator]


DROP = """names => {
    const dropped = new DataTransfer();
    for (const name of names) {
        dropped.items.add(new File([name], name, {lastModified: 7}));
    }
    const place = document.querySelector(".drop");
    for (const kind of ["dragover", "drop"]) {
        place.dispatchEvent(new DragEvent(kind, {dataTransfer: dropped, bubbles: true, cancelable: true}));
    }
}"""


def test_files_are_dropped_and_folders_chosen(system: System, browser: Browser, tmp_path: Path) -> None:
    folder = tmp_path / "matches"
    (folder / "home").mkdir(parents=True)
    [inside] = files(folder / "home", 1000)
    (folder / "notes.txt").write_text("no video")
    with processes(system.settings, tmp_path / "logs") as running, site(system, running) as ours:
        with ours.coach(browser) as seen:
            page = seen.page
            page.get_by_text("Tags for these videos").click()
            page.get_by_label("Tags").fill("season=2026, match=home")
            page.evaluate(DROP, ["one.mp4", "two.mov", "three.pdf"])
            for name in ("one.mp4", "two.mov"):
                wait_sent(page, name, 20)
            page.get_by_label("Choose a folder", exact=True).locator("xpath=self::input").set_input_files(folder)
            wait_sent(page, inside.name, 20)
            assert "1 file is no video" in page.inner_text("main")
        assert ours.stored("two.mov") == b"two.mov"
        assert sql(system, "SELECT DISTINCT tags FROM video") == [({"season": "2026", "match": "home"},)]
        assert sql(system, "SELECT name FROM video ORDER BY name") == [("clip 0.mp4",), ("one.mp4",), ("two.mov",)]
        assert_no_upload_left(system, ours.team)


def test_a_file_is_paused_continued_and_cancelled(system: System, browser: Browser, tmp_path: Path) -> None:
    one, two = files(tmp_path, 3 * PART, 2 * PART)
    with processes(system.settings, tmp_path / "logs") as running, site(system, running) as ours:
        with ours.coach(browser) as seen:
            page = seen.page
            _freeze_after(ours, PART)
            choose(page, one, two)
            wait_until(lambda: ours.browser_side.frozen or page.wait_for_timeout(20), 20)
            press(page, f"Pause: {one.name}")
            expect(page.locator("li", has_text=one.name)).to_contain_text("Paused at")
            press(page, f"Pause: {two.name}")
            ours.browser_side.reset_all()
            ours.browser_side.heal()
            press(page, f"Continue: {one.name}")
            wait_sent(page, one.name, 20)
            press(page, f"Cancel: {two.name}")
            expect(page.locator("li", has_text=two.name)).to_contain_text("nothing of it is on the server")
            wait_until(lambda: page.wait_for_timeout(50) or not ours.stored_parts(), 10)
        assert ours.stored(one.name) == one.read_bytes()
        assert sql(system, "SELECT name FROM video") == [(one.name,)]
        assert_no_upload_left(system, ours.team)


def _freeze_after(ours: Site, limit: int) -> None:
    passed = 0

    def on_sent(_: int, data: bytes) -> bool:
        nonlocal passed
        passed += len(data)
        if passed > limit and ours.browser_side._on_sent is on_sent:
            ours.browser_side._on_sent = None
            ours.browser_side.frozen = True
        return False

    ours.browser_side._on_sent = on_sent


def test_plain_http_without_the_browsers_own_hash(system: System, browser: Browser, tmp_path: Path) -> None:
    [file] = files(tmp_path, PART + 7)
    with processes(system.settings, tmp_path / "logs") as running, site(system, running, host=LAN_HOST) as ours:
        with ours.coach(browser) as seen:
            assert seen.page.evaluate("crypto.subtle === undefined")
            assert "check uploads slowly" in seen.page.get_by_role("alert").inner_text()
            choose(seen.page, file)
            wait_sent(seen.page, file.name, 20)
        assert ours.stored(file.name) == file.read_bytes()
        assert_no_upload_left(system, ours.team)


def test_parts_go_straight_to_a_public_store(system: System, browser: Browser, tmp_path: Path) -> None:
    [file] = files(tmp_path, 2 * PART + 7)
    with processes(system.settings, tmp_path / "logs") as running, site(system, running, public=True) as ours:
        public = {"s3_public_endpoint": system.settings.s3_endpoint, "web_url": ours.origin}
        store = build_object_store(system.settings.model_copy(update=public))
        store.ensure_bucket()
        try:
            with ours.coach(browser) as seen:
                choose(seen.page, file)
                wait_sent(seen.page, file.name, 20)
                assert {url.partition("?")[0].rpartition("/")[0] for url in seen.asked_elsewhere(ours.origin)} == {
                    f"{system.settings.s3_endpoint}/{system.store.bucket}/teams/{ours.team}/videos"
                }
                assert seen.complaints == []
        finally:
            store._client.delete_bucket_cors(Bucket=store.bucket)
            store.close()
        assert ours.stored(file.name) == file.read_bytes()
        assert_no_upload_left(system, ours.team)
