"""Mutations of a seed: the same seed and number always give the same bytes."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.fuzz.pieces import TS_PACKET, Piece, size_bytes, walk
from tests.fuzz.seeds import RECIPES, Seed, make_seed

BOUNDARIES = (0, 1, 2, -1, -2, 2**15 - 1, 2**16 - 1, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, -(2**63))
HEADER_BYTES = 4096
LARGEST_BYTES = 300_000


@dataclass(frozen=True)
class Case:
    """One mutated video."""

    seed: str
    number: int
    family: str
    done: tuple[str, ...]
    data: bytes = field(repr=False)

    @property
    def name(self) -> str:
        return f"{self.seed}-{self.number}"


def make_case(seed_name: str, number: int) -> Case:
    """The seed's mutation of that number; number 0 is the seed itself."""
    seed = make_seed(seed_name)
    rng = random.Random(f"{seed_name}/{number}")
    data = bytearray(seed.data)
    done = []
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5)) if number else 0):
        mutate = rng.choice(_GENERAL if rng.random() < 0.4 else (*_PIECEWISE, *_OWN.get(seed.family, ())))
        mutate(data, seed, rng)
        del data[LARGEST_BYTES:]
        done.append(mutate.__name__.strip("_"))
    return Case(seed_name, number, seed.family, tuple(done), bytes(data))


def _flip_bits(data: bytearray, seed: Seed, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        if data:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _new_bytes(data: bytearray, seed: Seed, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 4, 32))):
        if data:
            data[rng.randrange(len(data))] = rng.randrange(256)


def _new_header_bytes(data: bytearray, seed: Seed, rng: random.Random) -> None:
    region = min(len(data), rng.choice((64, 512, HEADER_BYTES)))
    for _ in range(rng.choice((1, 2, 8))):
        if region:
            data[rng.randrange(region)] = rng.randrange(256)


def _new_integers(data: bytearray, seed: Seed, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 2, 4))):
        _put_boundary(data, 0, min(len(data), HEADER_BYTES) if rng.random() < 0.7 else len(data), rng)


def _cut_end(data: bytearray, seed: Seed, rng: random.Random) -> None:
    del data[rng.randrange(len(data) + 1) :]


def _cut_start(data: bytearray, seed: Seed, rng: random.Random) -> None:
    del data[: rng.randrange(min(len(data), HEADER_BYTES) + 1)]


def _cut_out(data: bytearray, seed: Seed, rng: random.Random) -> None:
    start, end = _span(data, rng)
    del data[start:end]


def _double_bytes(data: bytearray, seed: Seed, rng: random.Random) -> None:
    start, end = _span(data, rng)
    data[end:end] = data[start:end]


def _blank(data: bytearray, seed: Seed, rng: random.Random) -> None:
    """As after an interrupted transfer that writes blocks out of order."""
    start, end = _span(data, rng)
    data[start:end] = bytes((rng.choice((0, 0, 0xFF)),)) * (end - start)


def _splice(data: bytearray, seed: Seed, rng: random.Random) -> None:
    """The beginning of this file and the end of another, of the same structure more often than not."""
    others = [make_seed(name) for name in RECIPES if name != seed.name]
    kin = [other for other in others if other.family == seed.family]
    other = rng.choice(kin if kin and rng.random() < 0.7 else others).data
    data[rng.randrange(len(data) + 1) :] = other[rng.randrange(len(other)) :]


def _resize(data: bytearray, seed: Seed, rng: random.Random) -> None:
    pieces = [piece for piece in walk(seed.family, data) if piece.size_width]
    if not pieces:
        return
    for _ in range(rng.choice((1, 1, 2, 4))):
        piece = rng.choice(pieces)
        size = piece.end - piece.start
        change = rng.choice((rng.choice(BOUNDARIES), size + rng.randint(-16, 16), size * 2, size // 2))
        data[piece.size_at : piece.size_at + piece.size_width] = size_bytes(seed.family, piece, change)


def _remove(data: bytearray, seed: Seed, rng: random.Random) -> None:
    if piece := _pick(data, seed, rng):
        _replace(data, seed, piece, b"", rng)


def _double(data: bytearray, seed: Seed, rng: random.Random) -> None:
    if piece := _pick(data, seed, rng):
        times = rng.choice((2, 2, 3, 20))
        if (piece.end - piece.start) * times < LARGEST_BYTES:
            _replace(data, seed, piece, bytes(data[piece.start : piece.end]) * times, rng)


def _nest(data: bytearray, seed: Seed, rng: random.Random) -> None:
    """A piece that holds a copy of itself, and that again."""
    if piece := _pick(data, seed, rng):
        whole = bytes(data[piece.start : piece.end])
        for _ in range(rng.choice((1, 3, 40))):
            at = piece.body - piece.start
            deeper = bytearray(whole[:at] + whole + whole[at:])
            if len(deeper) > LARGEST_BYTES // 2:
                break
            field_at = piece.size_at - piece.start
            deeper[field_at : field_at + piece.size_width] = (
                size_bytes(seed.family, piece, len(deeper)) if piece.size_width else b""
            )
            whole = bytes(deeper)
        _replace(data, seed, piece, whole, rng)


def _swap(data: bytearray, seed: Seed, rng: random.Random) -> None:
    pieces = walk(seed.family, data)
    if len(pieces) < 2:
        return
    a, b = sorted(rng.sample(pieces, 2), key=lambda piece: piece.start)
    if a.end <= b.start:
        data[a.start : b.end] = data[b.start : b.end] + data[a.end : b.start] + data[a.start : a.end]


def _move(data: bytearray, seed: Seed, rng: random.Random) -> None:
    if piece := _pick(data, seed, rng):
        moved = bytes(data[piece.start : piece.end])
        _replace(data, seed, piece, b"", rng)
        pieces = walk(seed.family, data)
        at = rng.choice(pieces).start if pieces else 0
        data[at:at] = moved


def _new_field(data: bytearray, seed: Seed, rng: random.Random) -> None:
    """Boundary values in the small pieces, which say how the large ones are to be read."""
    pieces = walk(seed.family, data)
    leaves = [piece for piece in pieces if 0 < piece.end - piece.body < HEADER_BYTES]
    for _ in range(rng.choice((1, 1, 2, 6))):
        if leaves:
            piece = rng.choice(leaves)
            _put_boundary(data, piece.body, piece.end, rng, step=1 if seed.family == "ebml" else 4)


def _drop_packets(data: bytearray, seed: Seed, rng: random.Random) -> None:
    share = rng.choice((0.01, 0.05, 0.3))
    data[:] = b"".join(packet for packet in _ts_packets(data) if rng.random() >= share)


def _shuffle_packets(data: bytearray, seed: Seed, rng: random.Random) -> None:
    packets = _ts_packets(data)
    start = rng.randrange(len(packets) + 1)
    window = packets[start : start + rng.choice((3, 10, 50))]
    rng.shuffle(window)
    packets[start : start + len(window)] = window
    data[:] = b"".join(packets)


def _new_pids(data: bytearray, seed: Seed, rng: random.Random) -> None:
    """Some packets, or all of one stream, under another number."""
    packets = [bytearray(packet) for packet in _ts_packets(data)]
    pids = sorted({(packet[1] & 0x1F) << 8 | packet[2] for packet in packets if len(packet) > 3})
    if not pids:
        return
    old, new = rng.choice(pids), rng.choice((*pids, rng.randrange(8192)))
    share = rng.choice((0.05, 1.0))
    for packet in packets:
        if len(packet) > 3 and (packet[1] & 0x1F) << 8 | packet[2] == old and rng.random() < share:
            packet[1], packet[2] = packet[1] & 0xE0 | new >> 8, new & 0xFF
    data[:] = b"".join(packets)


def _new_pes_headers(data: bytearray, seed: Seed, rng: random.Random) -> None:
    """Other bytes just behind the start codes of streams: flags, lengths and times."""
    starts = [at for at in range(len(data) - 20) if data[at : at + 3] == b"\0\0\1" and data[at + 3] >= 0xBC]
    for _ in range(rng.choice((1, 3, 20))):
        if starts:
            data[rng.choice(starts) + rng.randrange(4, 20)] = rng.randrange(256)


def _span(data: bytearray, rng: random.Random) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + rng.choice((1, 4, 100, 4096, 20_000)))


def _put_boundary(data: bytearray, start: int, end: int, rng: random.Random, step: int = 1) -> None:
    width = rng.choice((1, 2, 4, 4, 8))
    if end - start < width:
        return
    at = rng.randrange(start, end - width + 1, step)
    value = rng.choice(BOUNDARIES) & ((1 << 8 * width) - 1)
    data[at : at + width] = (
        struct.pack(">Q" if rng.random() < 0.5 else "<Q", value)[-width:]
        if width == 8
        else (value.to_bytes(width, "big" if rng.random() < 0.5 else "little"))
    )


def _pick(data: bytearray, seed: Seed, rng: random.Random) -> Piece | None:
    pieces = walk(seed.family, data)
    return rng.choice(pieces) if pieces else None


def _replace(data: bytearray, seed: Seed, piece: Piece, new: bytes, rng: random.Random) -> None:
    """Put `new` in the piece's place; half of the time the pieces around it are told, so that parsing goes deep."""
    change = len(new) - (piece.end - piece.start)
    if rng.random() < 0.5:
        for outer in walk(seed.family, data):
            if outer.start in piece.around and outer.end >= piece.end and outer.size_width:
                size = size_bytes(seed.family, outer, outer.end - outer.start + change)
                data[outer.size_at : outer.size_at + outer.size_width] = size
    data[piece.start : piece.end] = new


def _ts_packets(data: bytearray) -> list[bytes]:
    return [bytes(data[at : at + TS_PACKET]) for at in range(0, len(data), TS_PACKET)]


_Mutation = Callable[[bytearray, Seed, random.Random], None]
_GENTLE: tuple[_Mutation, ...] = (_flip_bits, _new_bytes, _new_header_bytes, _new_integers, _blank)
_GENERAL: tuple[_Mutation, ...] = (
    *_GENTLE * 2,  # what moves nothing leaves more to be decoded
    _cut_end,
    _cut_start,
    _cut_out,
    _double_bytes,
    _splice,
)
_PIECEWISE: tuple[_Mutation, ...] = (_resize, _remove, _double, _nest, _swap, _move, _new_field, _new_field)
_OWN: dict[str, tuple[_Mutation, ...]] = {
    "ts": (_drop_packets, _shuffle_packets, _new_pids, _new_pes_headers) * 2,
    "ps": (_new_pes_headers,) * 3,
}
