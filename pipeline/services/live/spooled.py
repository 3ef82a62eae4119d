"""A kept session's folder, read after its end, however that came: what of it becomes a video, and the file of that."""

from __future__ import annotations

import json
import os
import zlib
from array import array
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal
from uuid import UUID

import numpy as np

from pipeline.core.h264_units import configuration
from pipeline.core.live_protocol import Codec
from pipeline.core.live_record import LARGEST_ENTRY, encode_box
from pipeline.core.live_results import Fate
from pipeline.core.mp4 import SAMPLES_AT, Samples, samples_end, table
from pipeline.services.live.spool import (
    ABOUT,
    FATE,
    FRAME,
    IS_END,
    IS_FATE,
    IS_FRAME,
    LOG,
    RECORD,
    VIDEO,
    VIDEO_ID,
    About,
    End,
)


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
        if not self._frames["id"]:
            raise ValueError("no frame was sent")
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
            while len(record := log.read(RECORD.size)) == RECORD.size:
                kind, size, crc = RECORD.unpack(record)
                at = log.tell()
                payload = log.read(size) if size <= 2 * LARGEST_ENTRY else b""
                if len(payload) != size or zlib.crc32(payload) != crc:
                    return
                if kind == IS_FRAME:
                    row = FRAME.unpack(payload)
                    if row[2] + row[3] > video_bytes:
                        return
                    for column, value in zip(self._frames.values(), row, strict=True):
                        column.append(value)
                elif kind == IS_FATE:
                    id_, decoded, width, height = FATE.unpack_from(payload)
                    known = bool(decoded) or payload[FATE.size] != Fate.FAILED
                    self._fates[id_] = (at + FATE.size, size - FATE.size, width << 16 | height, known)
                elif kind == IS_END:
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
