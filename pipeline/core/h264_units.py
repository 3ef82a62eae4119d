"""What a camera sends of H.264, as MP4 files hold it: units with their lengths before them, not start codes between.

Nothing is decoded here, and nothing but a unit's first byte is looked at.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import Final

_START: Final = re.compile(b"\x00\x00\x01")
_LENGTH: Final = struct.Struct(">I")
_KIND: Final = 0x1F
#: Of units: a picture that needs none before it, and the two kinds of parameters that go before it.
IDR: Final = 5
_SEQUENCE, _PICTURE = 7, 8
_MOST_PARAMETERS: Final = 31


def with_lengths(access_unit: bytes) -> tuple[bytes, bool]:
    """An access unit with lengths in the place of its start codes, and whether it is a picture that needs none before.

    Args:
        access_unit: Annex B.
    """
    units = [unit for piece in _START.split(access_unit)[1:] if (unit := piece.rstrip(b"\x00"))]
    sync = any(unit[0] & _KIND == IDR for unit in units)
    return b"".join(_LENGTH.pack(len(unit)) + unit for unit in units), sync


def iter_units(sample: bytes) -> Iterator[bytes]:
    """The units of what `with_lengths` made.

    Raises:
        ValueError: a length does not fit.
    """
    at = 0
    while at < len(sample):
        if at + _LENGTH.size > len(sample):
            raise ValueError("a unit is cut off")
        (size,) = _LENGTH.unpack_from(sample, at)
        at += _LENGTH.size
        if not size or at + size > len(sample):
            raise ValueError("a unit is cut off")
        yield sample[at : at + size]
        at += size


def configuration(sample: bytes) -> bytes:
    """The decoder configuration (`avcC`) of a video whose first picture this is; it has its parameters in it.

    Raises:
        ValueError: it has none.
    """
    units = list(dict.fromkeys(iter_units(sample)))
    sequences = [unit for unit in units if unit[0] & _KIND == _SEQUENCE and len(unit) >= 4][:_MOST_PARAMETERS]
    pictures = [unit for unit in units if unit[0] & _KIND == _PICTURE][:_MOST_PARAMETERS]
    if not sequences or not pictures or max(map(len, sequences + pictures)) > 0xFFFF:
        raise ValueError("the first keyframe has no parameters")
    head = bytes([1, *sequences[0][1:4], 0xFF, 0xE0 | len(sequences)])
    return head + _listed(sequences) + bytes([len(pictures)]) + _listed(pictures)


def _listed(units: list[bytes]) -> bytes:
    return b"".join(struct.pack(">H", len(unit)) + unit for unit in units)
