"""Binary answers for browsers: four letters, the length of the header, the header as JSON, columns of numbers."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Uint16s = npt.NDArray[np.uint16]

_HEAD = struct.Struct("<4sI")


def pack(magic: bytes, header: Mapping[str, Any], columns: Iterable[npt.NDArray[Any]]) -> bytes:
    """One answer. The columns follow each other without gaps, little-endian; the header says how long each is."""
    text = json.dumps(header, separators=(",", ":")).encode()
    return b"".join((_HEAD.pack(magic, len(text)), text, *(np.ascontiguousarray(column).data for column in columns)))


def unpack(magic: bytes, data: bytes) -> tuple[dict[str, Any], memoryview]:
    """The header and the columns of what `pack` wrote.

    Raises:
        ValueError: it begins with other letters.
    """
    found, length = _HEAD.unpack_from(data)
    if found != magic:
        raise ValueError(f"not {magic.decode()} but {found!r}")
    return json.loads(data[_HEAD.size : _HEAD.size + length]), memoryview(data)[_HEAD.size + length :]


def split_bytes(values: Uint16s) -> tuple[Bytes, Bytes]:
    """The low bytes of all values and their high bytes: apart they deflate to less."""
    flat = np.ascontiguousarray(values.ravel(), "<u2").view(np.uint8)
    return flat[::2].copy(), flat[1::2].copy()


def zigzag_differences(columns: npt.NDArray[np.int16]) -> Uint16s:
    """Each column's differences from one value to the next, the first from zero, small ones of either sign as small
    numbers (protobuf.dev/programming-guides/encoding/#signed-ints). Differences wrap at 16 bits, as sums do then."""
    wrapped = np.diff(columns.view(np.uint16), axis=-1, prepend=np.uint16(0)).view(np.int16)
    return ((wrapped << 1) ^ (wrapped >> 15)).view(np.uint16)
