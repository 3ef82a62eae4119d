"""A live session that is kept lies in a folder of its process's home until it is a video: `live/SESSION`.

`video.mp4` has the pictures as they were sent, one after the other, and `log` what they are and what became of them, so
that whatever ends the process leaves a video that is whole but for its last pictures. `lock` is held by who has the
folder in hand; the kernel lets go of it when that process ends.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Final
from uuid import uuid4

from pipeline.core.h264_units import with_lengths
from pipeline.core.live_protocol import Codec
from pipeline.core.mp4 import HEAD, SAMPLES_AT, TIMESCALE

VIDEO, LOG, LOCK, ABOUT, VIDEO_ID = "video.mp4", "log", "lock", "about.json", "video_id"
_BEING_MADE: Final = ".new-"
RECORD: Final = struct.Struct("<BII")  # kind, length, CRC-32; then as much
FRAME: Final = struct.Struct("<IqQIB")  # id, pts, where its bytes begin, how many, whether it needs none before
FATE: Final = struct.Struct("<IBHH")  # id, whether it was decoded, its size; then an entry of the live record
IS_FRAME, IS_FATE, IS_END = 1, 2, 3
#: A clock that jumps does not make a video of years.
_LONGEST_STEP: Final = 60 * TIMESCALE


@dataclass(frozen=True)
class About:
    """What is known of a session when it begins.

    Args:
        model: the description of the model, as JSON.
        device: the engine and device that compute.
    """

    session: str
    team: str
    team_id: str
    name: str
    codec: Codec
    model: str
    device: str
    mode: str


@dataclass
class End:
    """How a session ended.

    Args:
        not_kept: why keeping ended before the session; empty where it did not.
    """

    counts: dict[str, int] = field(default_factory=dict)
    reason: str = "the live process ended"
    not_kept: str = ""


class Taken:
    """A session's folder, held by this process until `close`."""

    def __init__(self, folder: Path, lock: int) -> None:
        self.folder, self._lock = folder, lock

    def close(self) -> None:
        """Let go of it."""
        os.close(self._lock)

    def remove(self) -> None:
        """Remove the folder, and let go of it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.close()


def take(folder: Path) -> Taken | None:
    """Take a session's folder in hand; None where somebody has it, or it is gone."""
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return Taken(folder, lock)


def iter_left(home: Path) -> Iterator[Taken]:
    """The folders that nobody has in hand: of processes that ended. Those that were hardly begun are removed."""
    for folder in sorted(home.iterdir()) if home.is_dir() else ():
        taken = take(folder)
        if taken is None:
            continue
        if folder.name.startswith(_BEING_MADE):
            taken.remove()
        else:
            yield taken


class SpoolWriter:
    """Writes a session's folder; for one thread.

    Args:
        home: where these folders are.

    Raises:
        OSError: the disk is full or broken.
    """

    def __init__(self, home: Path, about: About) -> None:
        home.mkdir(parents=True, exist_ok=True)
        being_made = home / f"{_BEING_MADE}{uuid4().hex}"
        being_made.mkdir(mode=0o700)
        lock = os.open(being_made / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            (being_made / ABOUT).write_text(json.dumps(asdict(about)))
            self._video: IO[bytes] = (being_made / VIDEO).open("wb", buffering=0)
            self._video.write(HEAD)
            self._log: IO[bytes] = (being_made / LOG).open("wb", buffering=0)
            being_made.rename(home / about.session)
        except BaseException:
            shutil.rmtree(being_made, ignore_errors=True)
            os.close(lock)
            raise
        self.taken = Taken(home / about.session, lock)
        self._is_h264 = about.codec == Codec.H264
        self._at, self._pts = SAMPLES_AT, -1
        self._first_ms: float | None = None

    def write_frame(self, id_: int, captured_at_ms: float, data: bytes) -> None:
        """Write a frame as it was sent."""
        sample, sync = with_lengths(data) if self._is_h264 else (data, True)
        if self._first_ms is None:
            self._first_ms = captured_at_ms
        pts = round((captured_at_ms - self._first_ms) * TIMESCALE / 1000)
        self._pts = max(self._pts + 1, min(pts, max(0, self._pts) + _LONGEST_STEP))
        _write(self._video, sample)
        self._record(IS_FRAME, FRAME.pack(id_, self._pts, self._at, len(sample), sync))
        self._at += len(sample)

    def write_fate(self, id_: int, entry: bytes, *, decoded: bool, size: tuple[int, int]) -> None:
        """Write what became of a frame.

        Args:
            entry: as `encode_entry` makes it.
            decoded: whether there was a picture.
            size: of that; zeros where it is not known.
        """
        self._record(IS_FATE, FATE.pack(id_, decoded, *size) + entry)

    def end(self, end: End) -> None:
        """Write how the session ended, and close the files. The folder stays in hand."""
        with suppress(OSError):  # without it the session has ended with its process
            self._record(IS_END, json.dumps(asdict(end)).encode())
        self._video.close()
        self._log.close()

    def _record(self, kind: int, payload: bytes) -> None:
        _write(self._log, RECORD.pack(kind, len(payload), zlib.crc32(payload)) + payload)


def free_bytes(folder: Path) -> int:
    """Of the disk of a folder."""
    return shutil.disk_usage(folder).free


def _write(file: IO[bytes], data: bytes) -> None:
    """Write all of it; an unbuffered file may take less at once."""
    rest: Any = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]
