"""The recorded checksums of a folder of models: the SHA-256 that was first fetched under each name.

A folder of models with its `checksums.json` can be copied to a machine without a network.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.core.files import write_atomically
from pipeline.errors import InvalidWeights
from pipeline.inference.weights.unpacking import TEMPORARY_PREFIX

CHECKSUMS_FILE = "checksums.json"


def sha256_of(path: Path) -> str:
    """Compute the SHA-256 of a file, as 64 hex digits.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_checksums(models_path: Path) -> dict[str, str]:
    """Read the SHA-256 of weights by name; empty where nothing was fetched yet.

    Raises:
        InvalidWeights: the file exists and cannot be read.
    """
    path = models_path / CHECKSUMS_FILE
    try:
        recorded = json.loads(path.read_text())
        return {str(name): str(sha256) for name, sha256 in recorded.items()}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, AttributeError) as error:
        raise InvalidWeights(f"{path} cannot be read ({error}); remove it and fetch the models again") from error


def write_checksums(models_path: Path, checksums: dict[str, str]) -> None:
    """Replace the checksums of a folder; hold `write_lock`. See `replace_record`."""
    replace_record(models_path / CHECKSUMS_FILE, checksums)


def replace_record(path: Path, checksums: dict[str, str]) -> None:
    """Write a file of SHA-256 by name atomically, sorted. Only one process may call it at a time.

    Raises:
        OSError: it cannot be written.
    """
    write_atomically(path, json.dumps(checksums, indent=2, sort_keys=True) + "\n", durable=True)


@contextlib.contextmanager
def write_lock(models_path: Path, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the exclusive write lock of a folder of models, and remove temporary files of a process that died.

    Partial downloads are kept.

    Args:
        on_wait: called once if another process holds the lock.

    Raises:
        OSError: the folder cannot be written to.
    """
    models_path.mkdir(parents=True, exist_ok=True)
    with (models_path / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if on_wait is not None:
                on_wait()
            fcntl.flock(lock, fcntl.LOCK_EX)
        for left in models_path.glob(f"{TEMPORARY_PREFIX}*"):
            left.unlink()
        yield
