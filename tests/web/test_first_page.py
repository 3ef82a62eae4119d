"""The first page in a real browser: readable at both widths, in light and dark, and silent towards all other hosts."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.support.browser import DESK, LAN_HOST, PHONE, cut_off, visit
from tests.support.pages import BARE, POLICY


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_the_page_shows_itself_and_asks_no_other_host(
    browser: Browser, port: int, size: tuple[int, int], dark: bool, tmp_path: Path
) -> None:
    origin = f"http://localhost:{port}"
    with visit(browser, size, dark=dark) as seen:
        answer = seen.page.goto(f"{origin}/browser")
        assert answer is not None
        assert answer.headers["content-security-policy"] == POLICY
        seen.page.get_by_role("row", name="H.264 yes").wait_for()
        assert seen.page.get_by_role("heading", level=1).inner_text() == "This browser"
        assert seen.page.get_by_role("alert").count() == 0
        assert seen.barriers() == []
        assert cut_off(seen.page) == []
        background = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (background == "rgb(255, 255, 255)") is not dark
        assert seen.shot(tmp_path / "page.png").startswith(b"\x89PNG")
        assert seen.asked_elsewhere(origin) == []
        assert seen.complaints == []
        assert {url.removeprefix(origin).split("-")[0] for url in seen.asked} >= {"/browser", "/assets/index"}


def test_a_page_over_plain_http_says_what_that_takes_away(browser: Browser, port: int) -> None:
    with visit(browser) as seen:
        seen.page.goto(f"http://{LAN_HOST}:{port}/browser")
        seen.page.get_by_role("row", name="H.264 no").wait_for()
        assert "open it over HTTPS" in seen.page.get_by_role("alert").inner_text()
        assert [row.inner_text().split()[-1] for row in seen.page.locator("tbody tr").all()] == ["no"] * 4


def test_a_button_without_a_name_and_pale_text_are_found(browser: Browser, port: int) -> None:
    """The control of `barriers`."""
    with visit(browser) as seen:
        seen.page.goto(f"http://localhost:{port}/")
        seen.page.get_by_label("Password").wait_for()
        seen.page.evaluate(
            """() => {
                document.querySelector("main").append(document.createElement("button"));
                const pale = document.createElement("p");
                pale.textContent = "pale";
                pale.style.color = "#dddddd";
                document.querySelector("main").append(pale);
            }"""
        )
        assert [barrier.partition(":")[0] for barrier in sorted(seen.barriers())] == ["button-name", "color-contrast"]


@pytest.mark.parametrize("other", ["http://elsewhere.test/x", "http://192.0.2.7/x", "https://elsewhere.test/x"])
def test_a_request_to_another_host_is_noticed_and_refused(browser: Browser, port: int, other: str) -> None:
    """The control: without it, a page that calls home could pass the tests above."""
    origin = f"http://localhost:{port}"
    ask = "url => fetch(url, {mode: 'no-cors'}).then(() => 'answered', () => 'refused')"
    with visit(browser) as seen:
        seen.page.goto(f"{origin}{BARE}")
        assert seen.page.evaluate(ask, other) == "refused"
        assert seen.asked_elsewhere(origin) == [other]
    with visit(browser) as seen:
        seen.page.goto(f"{origin}/")
        assert seen.page.evaluate(ask, other) == "refused"
        assert any("Content Security Policy" in complaint for complaint in seen.complaints)
