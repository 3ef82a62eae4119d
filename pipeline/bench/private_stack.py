"""A stack of the benchmark's own: servers and beat in `HOME/bench`, which is removed afterwards.

Whatever ends the block, Ctrl-C too, stops every process and removes the folder. What a killed benchmark left is
removed by the next one. A lock on HOME keeps a second benchmark out.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.bench.usage import client_cpu_s, own_cpu_s, tree_cpu_s
from pipeline.errors import UsageError
from pipeline.local import stack
from pipeline.local.home import SERVERS, Home, Stack
from pipeline.local.state import supervisor
from pipeline.services.system import System, build_system
from pipeline.settings import Settings

FOLDER = "bench"
#: Distinguishes the benchmark's folder from another one of that name.
_MARK = ".poseline-bench"
_KINDS = {"postgres": "postgres", "seaweedfs": "store", "valkey": "broker", "beat": "beat"}
_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class PrivateStack:
    """Servers and beat that run for the benchmark alone.

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
        """For clips and the like; removed with the stack."""
        path = self.home.path / "clips"
        path.mkdir(exist_ok=True)
        return path

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds so far, by kind, of everything but the workers."""
        found = supervisor(self.home)
        return {
            **{kind: tree_cpu_s(pid) for kind, pid in self.pids.items()},
            "supervisor": own_cpu_s(found.pid) if found else 0.0,  # its children are the services, counted above
            "client": client_cpu_s(),
        }


@contextmanager
def open_private_stack(home: Path, models_path: Path, on_step: Callable[[str], None]) -> Iterator[PrivateStack]:
    """Start servers and beat in `HOME/bench`; call it under `only_benchmark`.

    Raises:
        UsageError: `HOME/bench` is not the benchmark's.
        StackError: a server did not start.
    """
    place = Home.at(home / FOLDER)
    _remove(place)
    try:
        place.path.mkdir(parents=True)
        (place.path / _MARK).touch()
        found = stack.up(place.path, only=(*SERVERS, "beat"), on_step=on_step)
        written = place.read_stack()
        assert written is not None
        values = {name.removeprefix("POSELINE_").lower(): value for name, value in written.env.items()}
        system = build_system(Settings(**values, home=place.path, models_dir=models_path))  # type: ignore[arg-type]
        pids = {_KINDS[each.name]: each.pid for each in found.services if each.pid and each.name in _KINDS}
        try:
            yield PrivateStack(place, written, system, models_path, pids)
        finally:
            system.close()
    finally:
        with _handle((signal.SIGINT, *_SIGNALS), signal.SIG_IGN):  # a second Ctrl-C must not break this off
            _remove(place)


def _remove(place: Home) -> None:
    if not place.path.exists():
        return
    if any(place.path.iterdir()) and not (place.path / _MARK).exists():
        raise UsageError(f"{place.path} was not made by a benchmark; choose another place with --home")
    stack.down(place.path)
    shutil.rmtree(place.path, ignore_errors=True)


@contextmanager
def only_benchmark(home: Path) -> Iterator[None]:
    """Keep every other benchmark out of this home; SIGTERM and SIGHUP end the block as Ctrl-C does.

    The kernel releases the lock when its holder dies. Folders made for it are removed afterwards.

    Raises:
        UsageError: another benchmark or a worker of the local stack runs, or the home cannot be written to.
    """
    place = Path(os.path.realpath(home.expanduser()))
    made = [folder for folder in (place, *place.parents) if not folder.exists()]
    try:
        try:
            place.mkdir(parents=True, exist_ok=True)
            lock = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise UsageError(f"{place} cannot be written to: {error.strerror}; choose another --home") from error
        try:
            _acquire(lock, place)
            if any(each.name == "worker" and each.state != "stopped" for each in stack.status(home).services):
                raise UsageError("the local stack's worker would compete for the CPU; `poseline down` stops it")
            with _handle(_SIGNALS, _interrupt):
                yield
        finally:
            os.close(lock)
    finally:
        for folder in made:
            with suppress(OSError):  # it was not made, or others use it
                folder.rmdir()


def _acquire(lock: int, place: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UsageError(f"another benchmark runs in {place}; wait for it, or choose another --home") from error
    if not os.access(place, os.W_OK):
        raise UsageError(f"{place} cannot be written to; choose another --home")


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@contextmanager
def _handle(numbers: tuple[signal.Signals, ...], handler: signal.Handlers | Callable[..., None]) -> Iterator[None]:
    """Handle signals so in the block; only the main thread can, and only it gets them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, each in before.items():
            signal.signal(number, each)
