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
from array import array
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Final, Literal
from uuid import UUID, uuid4

import numpy as np

from pipeline.core.h264_units import configuration, with_lengths
from pipeline.core.live_protocol import Codec
from pipeline.core.live_record import LARGEST_ENTRY, encode_box
from pipeline.core.live_results import Fate
from pipeline.core.mp4 import HEAD, SAMPLES_AT, TIMESCALE, Samples, samples_end, table

VIDEO, LOG, LOCK, ABOUT, VIDEO_ID = "video.mp4", "log", "lock", "about.json", "video_id"
_BEING_MADE: Final = ".new-"
_RECORD: Final = struct.Struct("<BII")  # kind, length, CRC-32; then as much
_FRAME: Final = struct.Struct("<IqQIB")  # id, pts, where its bytes begin, how many, whether it needs none before
_FATE: Final = struct.Struct("<IBHH")  # id, whether it was decoded, its size; then an entry of the live record
_IS_FRAME, _IS_FATE, _IS_END = 1, 2, 3
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
        self._record(_IS_FRAME, _FRAME.pack(id_, self._pts, self._at, len(sample), sync))
        self._at += len(sample)

    def write_fate(self, id_: int, entry: bytes, *, decoded: bool, size: tuple[int, int]) -> None:
        """Write what became of a frame.

        Args:
            entry: as `encode_entry` makes it.
            decoded: whether there was a picture.
            size: of that; zeros where it is not known.
        """
        self._record(_IS_FATE, _FATE.pack(id_, decoded, *size) + entry)

    def end(self, end: End) -> None:
        """Write how the session ended, and close the files. The folder stays in hand."""
        with suppress(OSError):  # without it the session has ended with its process
            self._record(_IS_END, json.dumps(asdict(end)).encode())
        self._video.close()
        self._log.close()

    def _record(self, kind: int, payload: bytes) -> None:
        _write(self._log, _RECORD.pack(kind, len(payload), zlib.crc32(payload)) + payload)


class Spool:
    """A session's folder, read after its end.

    Attributes:
        samples: frames of the video: what was decoded, or never had to be.
        size: of its pictures, None where none was decoded.
        left_out: frames that gave no picture, or one of another size.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        about = json.loads((folder / ABOUT).read_text())
        self.about = About(**{**about, "codec": Codec(about["codec"])})
        self.end = End()
        self.size: tuple[int, int] | None = None
        self._frames = {name: array("q") for name in ("id", "pts", "at", "bytes", "sync")}
        self._fates: dict[int, tuple[int, int, int, bool]] = {}
        self._read()
        ends = (at + size for at, size in zip(self._frames["at"], self._frames["bytes"], strict=True))
        self._video_bytes = max(ends, default=SAMPLES_AT)
        chosen = self._choose()
        self.left_out = len(self._frames["id"]) - len(chosen)
        columns = {name: np.array(column, np.int64)[chosen] for name, column in self._frames.items()}
        self._entries = [self._fates[int(id_)][:2] for id_ in columns["id"]]
        pts = columns["pts"] - columns["pts"][:1]
        self.samples = Samples(pts, columns["at"], columns["bytes"], columns["sync"] > 0)

    @property
    def session_id(self) -> UUID:
        """Of the session."""
        return UUID(self.about.session)

    def finish_video(self) -> int:
        """Make the file a whole video that ends with the live record. Returns its size. May be repeated.

        Raises:
            ValueError: there is no picture in it.
            OSError: the disk is full or broken.
        """
        if self.size is None or not len(self.samples.pts):
            raise ValueError("no picture of it could be decoded")
        codec: Literal["avc1", "jpeg"] = "avc1" if self.about.codec is Codec.H264 else "jpeg"
        with (self.folder / VIDEO).open("r+b") as video:
            video.truncate(self._video_bytes)
            first = b""
            if codec == "avc1":
                video.seek(int(self.samples.at[0]))
                first = configuration(video.read(int(self.samples.sizes[0])))
            after = table(self.samples, codec, self.size, first)
            at, length = samples_end(self._video_bytes)
            video.seek(at)
            video.write(length)
            video.seek(0, os.SEEK_END)
            video.write(after)
            sizes = [size for _, size in self._entries]
            for piece in encode_box(self.session_id, map(int, self.samples.pts), sizes, self._iter_entries):
                video.write(piece)
            video.flush()
            os.fsync(video.fileno())
            return video.tell()

    def _iter_entries(self) -> Iterator[bytes]:
        with (self.folder / LOG).open("rb") as log:
            for at, size in self._entries:
                log.seek(at)
                yield log.read(size)

    def _read(self) -> None:
        """Read the log up to its end, or to where it is cut off."""
        video_bytes = (self.folder / VIDEO).stat().st_size
        with (self.folder / LOG).open("rb") as log:
            while len(record := log.read(_RECORD.size)) == _RECORD.size:
                kind, size, crc = _RECORD.unpack(record)
                at = log.tell()
                payload = log.read(size) if size <= 2 * LARGEST_ENTRY else b""
                if len(payload) != size or zlib.crc32(payload) != crc:
                    return
                if kind == _IS_FRAME:
                    row = _FRAME.unpack(payload)
                    if row[2] + row[3] > video_bytes:
                        return
                    for column, value in zip(self._frames.values(), row, strict=True):
                        column.append(value)
                elif kind == _IS_FATE:
                    id_, decoded, width, height = _FATE.unpack_from(payload)
                    known = bool(decoded) or payload[_FATE.size] != Fate.FAILED
                    self._fates[id_] = (at + _FATE.size, size - _FATE.size, width << 16 | height, known)
                elif kind == _IS_END:
                    self.end = End(**json.loads(payload))

    def _choose(self) -> list[int]:
        """The places of the frames that become the video.

        Left out is what gave no picture, and what refers to that: a later decoder would show something else there than
        nothing. So are pictures of another size than the first: the poses of a video are in its own pixels.
        """
        chosen, broken = [], True
        for place, id_ in enumerate(self._frames["id"]):
            _, _, packed, known = self._fates.get(id_, (0, 0, 0, False))
            size = (packed >> 16, packed & 0xFFFF)
            if packed and self.size is None:
                self.size = size
            if not known or (packed and size != self.size) or (broken and not self._frames["sync"][place]):
                broken = True
            else:
                broken = False
                chosen.append(place)
        return chosen


def read_video_id(folder: Path) -> UUID | None:
    """The video that a session has begun to become."""
    with suppress(FileNotFoundError, ValueError):
        return UUID((folder / VIDEO_ID).read_text())
    return None


def note_video_id(folder: Path, video_id: UUID) -> None:
    """Note the video that a session becomes."""
    (folder / VIDEO_ID).write_text(str(video_id))


def free_bytes(folder: Path) -> int:
    """Of the disk of a folder."""
    return shutil.disk_usage(folder).free


def _write(file: IO[bytes], data: bytes) -> None:
    """Write all of it; an unbuffered file may take less at once."""
    rest: Any = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]
