"""A browser for each file of tests: Playwright's loop must have ended before other files run loops of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from pipeline.web import built_pages
from tests.support.browser import chromium
from tests.support.pages import serve


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A running Chromium."""
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port at which the built pages are served."""
    with serve(built_pages()) as port:
        yield port
