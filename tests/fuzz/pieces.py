"""Where the pieces of a container lie: boxes of MP4, elements of Matroska, chunks of RIFF, packets of TS, packs of PS.

The walkers follow a file as far as it makes sense, and never fail: they look at files that were mutated already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Piece:
    """Bytes `[start, end)` of a file.

    Args:
        body: where what it holds begins.
        size_at: where its size is written, `size_width` bytes; 0 bytes where no size is.
        name: its type.
        around: the `start` of each piece that holds it, outermost first.
    """

    start: int
    body: int
    end: int
    size_at: int
    size_width: int
    name: bytes
    around: tuple[int, ...] = ()


TS_PACKET = 188
MAX_DEPTH = 12

# Boxes that hold boxes, and how many bytes of their own come first (ISO 14496-12).
_BOXES = dict.fromkeys(b"moov trak mdia minf stbl dinf edts udta mvex moof traf mfra ilst".split(), 0)
_BOXES |= {b"meta": 4, b"stsd": 8, b"dref": 8}
_BOXES |= dict.fromkeys(b"avc1 hvc1 hev1 av01 mp4v apch apcn jpeg mjpa".split(), 78) | {b"mp4a": 28}
# Elements that hold elements (matroska.org/technical/elements.html).
_ELEMENTS = frozenset(
    b"\x1aE\xdf\xa3 \x18S\x80g \x11M\x9bt M\xbb \x15I\xa9f \x16T\xaek \xae \xe0 \xe1 \x1fC\xb6u \xa0 \x1cS\xbbk \xbb "
    b"\xb7 \x12T\xc3g ss c\xc0 g\xc8".split(b" ")
)


def walk(family: str, data: bytes | bytearray) -> list[Piece]:
    """Every piece, in the order of the file; those that hold others come before them."""
    return list(_WALKERS[family](data, 0, len(data), ()))


def size_bytes(family: str, piece: Piece, size: int) -> bytes:
    """The size field of `piece` with another length, counted from `start` to the new end."""
    if family == "boxes":
        return _fit(size, piece.size_width, "big")
    held = size - (piece.body - piece.start)
    if family == "ebml":
        width = piece.size_width
        held = max(0, min(held, (1 << 7 * width) - 1))
        return (held | 1 << 7 * width).to_bytes(width, "big")
    return _fit(held, piece.size_width, "little")


def _fit(value: int, width: int, order: str) -> bytes:
    mask = (1 << 8 * width) - 1
    return (value & mask).to_bytes(width, "big" if order == "big" else "little")


def _boxes(data: bytes | bytearray, at: int, end: int, around: tuple[int, ...]) -> Iterator[Piece]:
    while at + 8 <= end:
        size, name, body, size_at, width = (
            int.from_bytes(data[at : at + 4], "big"),
            bytes(data[at + 4 : at + 8]),
            8,
            0,
            4,
        )
        if size == 1:
            size, body, size_at, width = int.from_bytes(data[at + 8 : at + 16], "big"), 16, 8, 8
        if size < body or at + size > end:
            size = end - at
        yield Piece(at, at + body, at + size, at + size_at, width, name, around)
        if name in _BOXES and len(around) < MAX_DEPTH:
            yield from _boxes(data, at + body + _BOXES[name], at + size, (*around, at))
        at += size


def _elements(data: bytes | bytearray, at: int, end: int, around: tuple[int, ...]) -> Iterator[Piece]:
    while at + 2 <= end and data[at] and data[at] >= 0x10:
        id_width = 9 - data[at].bit_length()
        size_at = at + id_width
        if size_at >= end or not data[size_at]:
            return
        width = 9 - data[size_at].bit_length()
        body = size_at + width
        held = int.from_bytes(data[size_at:body], "big") & ((1 << 7 * width) - 1)
        if body + held > end:  # or of unknown size
            held = end - body
        if held < 0:
            return
        name = bytes(data[at:size_at])
        yield Piece(at, body, body + held, size_at, width, name, around)
        if name in _ELEMENTS and len(around) < MAX_DEPTH:
            yield from _elements(data, body, body + held, (*around, at))
        at = body + held


def _chunks(data: bytes | bytearray, at: int, end: int, around: tuple[int, ...]) -> Iterator[Piece]:
    while at + 8 <= end:
        name, held = bytes(data[at : at + 4]), int.from_bytes(data[at + 4 : at + 8], "little")
        stop = min(at + 8 + held, end)
        yield Piece(at, at + 8, stop, at + 4, 4, name, around)
        if name in (b"RIFF", b"LIST") and len(around) < MAX_DEPTH:
            yield from _chunks(data, at + 12, stop, (*around, at))
        at = stop + held % 2


def _packets(data: bytes | bytearray, at: int, end: int, around: tuple[int, ...]) -> Iterator[Piece]:
    for start in range(at, end, TS_PACKET):
        pid = bytes((data[start + 1] & 0x1F, data[start + 2])) if start + 4 <= end else b""
        yield Piece(start, min(start + 4, end), min(start + TS_PACKET, end), start, 0, pid, around)


def _packs(data: bytes | bytearray, at: int, end: int, around: tuple[int, ...]) -> Iterator[Piece]:
    """Packs and PES packets, by their start codes (ISO 13818-1)."""
    starts = []
    while (at := data.find(b"\0\0\1", at)) >= 0 and at + 6 <= end:
        if data[at + 3] >= 0xB9:
            starts.append(at)
        at += 3
    for start, stop in zip(starts, [*starts[1:], end], strict=True):
        sized = data[start + 3] >= 0xBB
        yield Piece(start, start + (6 if sized else 4), stop, start + 4, 2 * sized, bytes(data[start + 3 : start + 4]))


_WALKERS: dict[str, Callable[[bytes | bytearray, int, int, tuple[int, ...]], Iterator[Piece]]] = {
    "boxes": _boxes,
    "ebml": _elements,
    "riff": _chunks,
    "ts": _packets,
    "ps": _packs,
}
