"""One bench at a time in a home: a second one would take the first one's servers away, and its processor time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.bench.interrupt import undisturbed
from pipeline.errors import UsageError

#: Beside the folder that is measured in, which comes and goes while this is held.
LOCK_FILE = "bench.lock"
_ATTEMPTS = 20


@contextmanager
def only_bench(home: Path) -> Iterator[None]:
    """Keep every other bench out of this home. The kernel frees it when its holder dies.

    Afterwards neither the file nor a folder that was made for it is there.

    Raises:
        UsageError: another bench holds it, or the home cannot be written to.
    """
    place = Path(os.path.realpath(home.expanduser()))
    made: list[Path] = []
    try:
        lock = _take(place, made)
        try:
            yield
        finally:
            with undisturbed():
                # Removed while it is held: who has opened it sees in `_take` that it is no longer the one.
                (place / LOCK_FILE).unlink(missing_ok=True)
                os.close(lock)
    finally:
        for folder in made:
            with suppress(OSError):
                folder.rmdir()


def _take(place: Path, made: list[Path]) -> int:
    path = place / LOCK_FILE
    try:
        made += [folder for folder in (place, *place.parents) if not folder.exists()]
        for _ in range(_ATTEMPTS):
            place.mkdir(parents=True, exist_ok=True)
            try:
                lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except FileNotFoundError:  # the bench before has just taken its folder away
                continue
            if _is_ours(lock, path):
                return lock
            os.close(lock)
    except BlockingIOError as error:
        raise UsageError(
            f"another `poseline bench` runs in {place}; wait for it, or choose another place with --home"
        ) from error
    except OSError as error:
        raise UsageError(f"{place} cannot be written to: {error.strerror}; choose another place with --home") from error
    raise UsageError(f"{place} cannot be written to; choose another place with --home")


def _is_ours(lock: int, path: Path) -> bool:
    """Lock it; False where its last holder has removed it meanwhile, so that the next one locks another."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    try:
        return os.path.samestat(os.fstat(lock), path.stat())
    except FileNotFoundError:
        return False
