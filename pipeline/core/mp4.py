"""MP4 files of one video track, as bytes: what goes before the samples, and what goes after them.

The samples are written as they come, and their table is made at the end: it names those that are part of the video.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]

#: Ticks of a second.
TIMESCALE: Final = 90_000
_MATRIX: Final = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_FTYP: Final = b"isom" + struct.pack(">I", 0x200) + b"isomiso2mp41"
_LARGE: Final = struct.Struct(">I4sQ")
_LONGEST_STEP: Final = 2**31 - 1


@dataclass(frozen=True)
class Samples:
    """The pictures of a video, in order.

    Args:
        pts: int64 `(n,)`, rising, in ticks, from 0 on.
        at: int64 `(n,)`, where each begins in the file.
        sizes: int64 `(n,)`, in bytes.
        sync: bool `(n,)`, which can be decoded without those before.
    """

    pts: Int64s
    at: Int64s
    sizes: Int64s
    sync: npt.NDArray[np.bool_]


#: What a file begins with; its samples follow, up to its end for now.
HEAD: Final = struct.pack(">I4s", 8 + len(_FTYP), b"ftyp") + _FTYP + _LARGE.pack(1, b"mdat", 0)
#: Where the samples begin.
SAMPLES_AT: Final = len(HEAD)
_MDAT_AT: Final = SAMPLES_AT - _LARGE.size


def samples_end(end: int) -> tuple[int, bytes]:
    """The bytes that say that the samples end there, and where they belong."""
    return _MDAT_AT, _LARGE.pack(1, b"mdat", end - _MDAT_AT)


def table(samples: Samples, codec: Literal["avc1", "jpeg"], size: tuple[int, int], configuration: bytes) -> bytes:
    """What goes after the samples (`moov`).

    Args:
        size: width and height.
        configuration: of the decoder, for `avc1`.

    Raises:
        ValueError: there are no samples, or their times do not rise by less than `_LONGEST_STEP`.
    """
    steps = np.diff(samples.pts)
    if not len(samples.pts) or (len(steps) and not 0 < int(steps.min()) <= int(steps.max()) <= _LONGEST_STEP):
        raise ValueError("a video has pictures whose times rise")
    last = int(np.median(steps)) if len(steps) else TIMESCALE // 30
    steps = np.append(steps, last)
    duration = int(steps.sum())
    stbl = _box(
        b"stbl",
        _full(b"stsd", struct.pack(">I", 1) + _entry(codec, size, configuration)),
        _full(b"stts", _runs(steps)),
        _full(b"stss", _counted(np.flatnonzero(samples.sync) + 1, ">u4")),
        _full(b"stsc", struct.pack(">4I", 1, 1, 1, 1)),
        _full(b"stsz", struct.pack(">I", 0) + _counted(samples.sizes, ">u4")),
        _full(b"co64", _counted(samples.at, ">u8")),
    )
    dinf = _box(b"dinf", _full(b"dref", struct.pack(">I", 1) + _full(b"url ", b"", flags=1)))
    minf = _box(b"minf", _full(b"vmhd", bytes(8), flags=1), dinf, stbl)
    mdhd = _full(b"mdhd", struct.pack(">QQIQHH", 0, 0, TIMESCALE, duration, 0x55C4, 0), version=1)
    hdlr = _full(b"hdlr", struct.pack(">I4s12x", 0, b"vide") + b"camera\0")
    tkhd = _full(
        b"tkhd",
        struct.pack(">QQIIQ8xhhHH", 0, 0, 1, 0, duration, 0, 0, 0, 0)
        + _MATRIX
        + struct.pack(">II", size[0] << 16, size[1] << 16),
        version=1,
        flags=3,
    )
    start = struct.pack(">QQIQIH10x", 0, 0, TIMESCALE, duration, 0x10000, 0x100)
    mvhd = _full(b"mvhd", start + _MATRIX + bytes(24) + struct.pack(">I", 2), version=1)
    return _box(b"moov", mvhd, _box(b"trak", tkhd, _box(b"mdia", mdhd, hdlr, minf)))


def _entry(codec: str, size: tuple[int, int], configuration: bytes) -> bytes:
    about = struct.pack(">6xH16xHHIIIH32xHh", 1, *size, 0x480000, 0x480000, 0, 1, 0x18, -1)
    return _box(codec.encode(), about, _box(b"avcC", configuration) if configuration else b"")


def _runs(steps: Int64s) -> bytes:
    """Steps as counts of equal ones that follow each other."""
    starts = np.flatnonzero(np.concatenate(([True], steps[1:] != steps[:-1])))
    runs = np.stack([np.diff(np.append(starts, len(steps))), steps[starts]], axis=1)
    return struct.pack(">I", len(runs)) + runs.astype(">u4").tobytes()


def _counted(values: Int64s, kind: str) -> bytes:
    return struct.pack(">I", len(values)) + values.astype(kind).tobytes()


def _full(name: bytes, body: bytes, *, version: int = 0, flags: int = 0) -> bytes:
    return _box(name, struct.pack(">I", version << 24 | flags), body)


def _box(name: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), name) + body
