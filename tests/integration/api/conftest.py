"""The application over this test's own servers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipeline.services.system import System
from tests.support.web import served


@pytest.fixture
def origin(system: System) -> Iterator[str]:
    """Where the application answers."""
    with served(system) as origin:
        yield origin
