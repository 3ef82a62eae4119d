"""One web process and one live process with the oracle as its model, for all these tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from pipeline.services.system import System
from tests.conftest import fresh_settings, opened
from tests.support.analysis import put_oracle
from tests.support.harness import Processes, processes
from tests.support.keys import make_key
from tests.support.live import ORACLE, live_process
from tests.support.web import make_team, served

#: Long enough for a busy machine, short enough to be waited for.
IDLE_S = 3.0


@dataclass(frozen=True)
class Place:
    """Where live sessions are tried.

    Args:
        origin: of the web process.
        team: a team, of which `key` is a coach's.
        process: the live process.
    """

    system: System
    origin: str
    team: UUID
    key: str
    process: Any
    running: Processes

    @property
    def door(self) -> tuple[str, UUID, dict[str, str]]:
        """The arguments of `live_client` for a coach's program."""
        return self.origin, self.team, {"Authorization": f"Bearer {self.key}"}


@pytest.fixture(scope="package")
def place(servers: Path, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A place with a patient budget, so that a busy machine refuses nobody."""
    folder = tmp_path_factory.mktemp("live")
    with fresh_settings(servers, template, folder / "home") as fresh:
        settings = fresh.model_copy(update={"live_sessions_per_team": 8})
        put_oracle(settings.models_path)
        environment = {**ORACLE, "POSELINE_LIVE_IDLE_S": str(IDLE_S), "POSELINE_LIVE_BUDGET_MS": "60000"}
        with (
            opened(settings) as system,
            processes(settings, folder / "logs") as running,
            served(system) as origin,
            live_process(running, system, "--name", "first", **environment) as process,
        ):
            yield Place(system, origin, make_team(system, "ours"), make_key(system, "ours"), process, running)


@pytest.fixture
def team_of_its_own(place: Place) -> Place:
    """The same with a team that no other test uses."""
    name = f"team {uuid4()}"
    return replace(place, team=make_team(place.system, name), key=make_key(place.system, name))
