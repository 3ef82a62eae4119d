"""Bytes of containers changed in place: what no muxer here writes, and what phones, cutters and transfers do.

MP4 boxes are those of ISO/IEC 14496-12, transport stream packets those of ISO/IEC 13818-1.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

ONE = 0x10000
_PARENTS = (b"moov", b"trak", b"edts", b"mdia", b"minf", b"stbl")
_TS_BYTES = 188


def boxes(data: bytes, start: int = 0, stop: int | None = None) -> Iterator[tuple[tuple[bytes, ...], int, int]]:
    """Path, start and end of every box, parents first."""
    at, stop = start, len(data) if stop is None else stop
    while at + 8 <= stop:
        size, name = int.from_bytes(data[at : at + 4], "big"), bytes(data[at + 4 : at + 8])
        head = 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        yield (name,), at, at + size
        if name in _PARENTS:
            for path, inner, end in boxes(data, at + head, at + size):
                yield (name, *path), inner, end
        at += size


def find_box(data: bytes, name: bytes) -> tuple[int, int]:
    """Start and end of the first box of that name."""
    return next((start, end) for path, start, end in boxes(data) if path[-1] == name)


def rotate_header(path: Path, clockwise_deg: int) -> Path:
    """Write a display matrix into an MP4's track header, as phones do (8.3.2)."""
    return turn_header(path, clockwise_deg // 90, False)


def turn_header(path: Path, turns_clockwise: int, mirrored: bool) -> Path:
    """The same, with a mirroring left for right after the turn.

    The matrix takes a stored point (x right, y down) to `(a x + c y, b x + d y)`; a turn is `(-y, x)`.
    """
    a, b, c, d = {0: (1, 0, 0, 1), 1: (0, 1, -1, 0), 2: (-1, 0, 0, -1), 3: (0, -1, 1, 0)}[turns_clockwise % 4]
    if mirrored:
        a, c = -a, -c
    data = bytearray(path.read_bytes())
    start, _ = find_box(data, b"tkhd")
    assert data[start + 8] == 0, "version 0 of the box"
    matrix = struct.pack(">9i", a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, 1 << 30)
    data[start + 48 : start + 84] = matrix
    path.write_bytes(data)
    return path


def write_edits(path: Path, edits: Sequence[tuple[int, int]]) -> Path:
    """Replace the edit list of an MP4 whose moov comes last (8.6.6).

    Args:
        edits: duration in the movie's time scale and start in the track's; a start of -1 is a delay.
    """
    data = path.read_bytes()
    start, end = find_box(data, b"elst")
    body = struct.pack(">II", 0, len(edits)) + b"".join(struct.pack(">IiI", d, at, ONE) for d, at in edits)
    box = struct.pack(">I4s", 8 + len(body), b"elst") + body
    around = [(at, stop) for _, at, stop in boxes(data) if at < start and stop >= end]
    changed = bytearray(data[:start] + box + data[end:])
    for at, stop in around:
        struct.pack_into(">I", changed, at, stop - at + len(box) - (end - start))
    path.write_bytes(changed)
    return path


def read_edits(path: Path) -> list[tuple[int, int]]:
    """The first edit list: duration in the movie's time scale, start in the track's."""
    data = path.read_bytes()
    start, _ = find_box(data, b"elst")
    (count,) = struct.unpack_from(">I", data, start + 12)
    if data[start + 8]:
        return [struct.unpack_from(">Qq", data, start + 16 + 20 * i) for i in range(count)]
    return [struct.unpack_from(">Ii", data, start + 16 + 12 * i) for i in range(count)]


def box_order(path: Path) -> list[bytes]:
    """Names of the boxes at the top level."""
    return [names[0] for names, _, _ in boxes(path.read_bytes()) if len(names) == 1]


def strip_times(path: Path, keep: Callable[[int], bool]) -> Path:
    """Take pts and dts out of the PES headers of a transport stream, but for those by number to keep (2.4.3.7)."""
    data = bytearray(path.read_bytes())
    seen = 0
    for at in range(0, len(data), _TS_BYTES):
        header = int.from_bytes(data[at : at + 4], "big")
        starts, has_adaptation = header >> 22 & 1, header >> 5 & 1
        payload = at + 4 + (1 + data[at + 4] if has_adaptation else 0)
        if not starts or data[payload : payload + 3] != b"\0\0\1" or data[payload + 3] & 0xF0 != 0xE0:
            continue
        seen += 1
        if keep(seen - 1):
            continue
        data[payload + 7] &= 0x3F  # neither is there
        length = data[payload + 8]
        data[payload + 9 : payload + 9 + length] = b"\xff" * length
    path.write_bytes(data)
    return path


def cut_off(path: Path, share: float) -> Path:
    """Lose the end of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def join_files(path: Path, *parts: Path) -> Path:
    """One file's bytes after the other's, as `cat` does."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path
