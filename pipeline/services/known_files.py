"""The SHA-256 of files that were read before, kept in the home, so that a command that is repeated reads none again.

A file is the same as long as its path, size, times and inode are. Only its hash is kept: whether the server has that
content is asked each time.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import suppress
from pathlib import Path

_FILE = "known-files.sqlite"
_TABLE = """
CREATE TABLE IF NOT EXISTS known_file (
    path BLOB PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL,
    inode INTEGER NOT NULL, sha256 TEXT NOT NULL, seen_at INTEGER NOT NULL
) WITHOUT ROWID
"""
_KEEP_S = 180 * 86_400
#: A file that was changed so shortly before it was read may change again within the resolution of its times.
_SETTLED_NS = 2_000_000_000


class KnownFiles:
    """The hashes of files by what tells that they are unchanged. Safe to use from several threads and processes.

    Where the home cannot be written, nothing is known and nothing is kept.
    """

    def __init__(self, home: Path) -> None:
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None
        with suppress(OSError, sqlite3.Error):
            home.mkdir(parents=True, exist_ok=True)
            try:
                self._database = _open(home / _FILE)
            except sqlite3.OperationalError:  # another process holds it, or it cannot be written
                return
            except sqlite3.DatabaseError:  # it is damaged
                (home / _FILE).unlink()
                self._database = _open(home / _FILE)

    def sha256_of(self, path: Path, now: os.stat_result) -> str | None:
        """The SHA-256 of a file that is as it was when it was read; None where it is not known."""
        with self._lock, suppress(sqlite3.Error):
            if self._database is not None:
                wanted = "path = ? AND size = ? AND mtime_ns = ? AND ctime_ns = ? AND inode = ?"
                found = self._database.execute(
                    f"UPDATE known_file SET seen_at = ? WHERE {wanted} RETURNING sha256",  # noqa: S608
                    (int(time.time()), *_identity(path, now)),
                ).fetchone()
                return None if found is None else str(found[0])
        return None

    def note(self, path: Path, as_read: os.stat_result, sha256: str, *, begun_ns: int) -> None:
        """Keep the hash of a file that was `as_read` when reading it began, at `begun_ns` (Unix time), and still is."""
        if begun_ns - max(as_read.st_mtime_ns, as_read.st_ctime_ns) < _SETTLED_NS:
            return
        with self._lock, suppress(sqlite3.Error):
            if self._database is not None:
                self._database.execute(
                    "INSERT OR REPLACE INTO known_file VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (*_identity(path, as_read), sha256, int(time.time())),
                )

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None


def _open(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = OFF")  # it can be made again
        database.execute(_TABLE)
        database.execute("DELETE FROM known_file WHERE seen_at < ?", (int(time.time()) - _KEEP_S,))
    except sqlite3.Error:
        database.close()
        raise
    return database


def _identity(path: Path, stat: os.stat_result) -> tuple[bytes, int, int, int, int]:
    """What tells a file that is unchanged."""
    return os.fsencode(path.resolve()), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino


def is_unchanged(before: os.stat_result, after: os.stat_result) -> bool:
    """Whether a file was not written to between the two."""
    return (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
