"""A stack of our own to measure in: servers and beat in a folder that is gone afterwards.

Whatever ends the block, Ctrl-C too, stops every process and removes the folder; what a killed one left behind is
removed by the next.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.bench.interrupt import undisturbed
from pipeline.bench.usage import client_cpu_s, own_cpu_s, tree_cpu_s
from pipeline.errors import UsageError
from pipeline.local import stack
from pipeline.local.home import SERVERS, Home, Stack
from pipeline.local.state import supervisor
from pipeline.services.system import System, build_system
from pipeline.settings import Settings

FOLDER = "bench"
#: Tells our folder from one of the same name that somebody else made.
_MARK = ".poseline-bench"
_KINDS = {"postgres": "postgres", "seaweedfs": "store", "valkey": "broker", "beat": "beat"}


@dataclass(frozen=True)
class Site:
    """Servers and beat that run, and nobody else works with.

    Args:
        stack: ports and secrets.
        models_path: where this machine's fetched models are.
        pids: of its services, by kind.
    """

    home: Home
    stack: Stack
    system: System
    models_path: Path
    pids: Mapping[str, int]

    @property
    def scratch_path(self) -> Path:
        """For clips and the like; goes with the site."""
        path = self.home.path / "clips"
        path.mkdir(exist_ok=True)
        return path

    def cpu_s(self) -> dict[str, float]:
        """Processor seconds so far, by kind, of all but the workers."""
        boss = supervisor(self.home)
        return {
            **{kind: tree_cpu_s(pid) for kind, pid in self.pids.items()},
            "supervisor": own_cpu_s(boss.pid) if boss else 0.0,  # its children are the services, counted above
            "client": client_cpu_s(),
        }


@contextmanager
def open_site(home: Path, models_path: Path, on_step: Callable[[str], None]) -> Iterator[Site]:
    """Start servers and beat in `HOME/bench`; see `only_bench` for who else may.

    Raises:
        UsageError: the local stack of this home has a worker that runs, which would compete.
        StackError: a server did not start.
    """
    check_alone(home)
    place = Home.at(home / FOLDER)
    with _nothing_left(place):
        found = stack.up(place.path, only=(*SERVERS, "beat"), on_step=on_step)
        written = place.read_stack()
        assert written is not None
        values = {name.removeprefix("POSELINE_").lower(): value for name, value in written.env.items()}
        settings = Settings(**values, home=place.path, models_dir=models_path)  # type: ignore[arg-type]
        system = build_system(settings)
        pids = {_KINDS[each.name]: each.pid for each in found.services if each.pid and each.name in _KINDS}
        try:
            yield Site(place, written, system, models_path, pids)
        finally:
            system.close()


def check_alone(home: Path) -> None:
    """
    Raises:
        UsageError: a worker of this home's own stack runs.
    """
    if any(each.name == "worker" and each.state != "stopped" for each in stack.status(home).services):
        raise UsageError("the local stack's worker would compete for the processor; `poseline down` stops it")


@contextmanager
def _nothing_left(place: Home) -> Iterator[None]:
    """Have nothing there before the block and nothing after, whatever ends it."""
    _remove(place)
    place.path.mkdir(parents=True)
    (place.path / _MARK).touch()
    try:
        yield
    finally:
        with undisturbed():
            _remove(place)


def _remove(place: Home) -> None:
    if not place.path.exists():
        return
    if any(place.path.iterdir()) and not (place.path / _MARK).exists():
        raise UsageError(f"{place.path} is not what `poseline bench` makes; choose another place with --home")
    stack.down(place.path)
    shutil.rmtree(place.path, ignore_errors=True)
