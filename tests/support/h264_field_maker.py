"""H.264 with pictures coded as two fields apart (PAFF), written bit by bit: no encoder here makes it.

Every macroblock is I_PCM, so a picture is its samples. Syntax: ITU-T H.264, 7.3. Every third frame is coded as one
frame, the others as field pairs; every other frame between two is not referred to and comes out of order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from tests.support.packet_maker import Coded, mux
from tests.support.video_maker import paint

_FRAME_NUM_BITS = 8
_POC_BITS = 8
_I_PCM = 25
_MAIN = 77

Plane = npt.NDArray[np.uint8]


class Bits:
    """A bit string under construction."""

    def __init__(self) -> None:
        self._bits: list[str] = []

    def u(self, value: int, width: int) -> Bits:
        """Unsigned of fixed width."""
        self._bits.append(f"{value:0{width}b}" if width else "")
        return self

    def ue(self, value: int) -> Bits:
        """Unsigned Exp-Golomb (9.1)."""
        code = f"{value + 1:b}"
        self._bits.append("0" * (len(code) - 1) + code)
        return self

    def align(self, bit: str = "0") -> Bits:
        """Fill the byte."""
        self._bits = ["".join(self._bits)]
        self._bits.append(bit * (-len(self._bits[0]) % 8))
        return self

    def data(self) -> bytes:
        """The bits, which end with a byte."""
        text = "".join(self._bits)
        return int("1" + text, 2).to_bytes(len(text) // 8 + 1, "big")[1:] if text else b""


def make_field_coded(
    path: Path, frames: int = 48, *, side: int = 64, gop: int = 12, first: int = 0, start_s: int = 0
) -> Path:
    """A field-coded video of `side` x `side`, a multiple of 32, at 30 frames a second.

    It is painted with the numbers from `first` on. In MP4 and MKV a packet is a frame, in a transport stream FFmpeg's
    parser makes one of each field.
    """
    parameters = _sps(side) + _pps()
    tick = Fraction(1, 90_000)
    coded = [
        Coded(
            (parameters if picture.idr else b"") + _picture(picture, side, first + picture.number),
            start_s * 90_000 + (picture.number + 1) * 3000,
            start_s * 90_000 + at * 3000,
            picture.idr,
            3000,
            tick,
        )
        for at, picture in enumerate(_in_decoding_order(frames, gop))
    ]
    raw = path.with_suffix(".h264")
    raw.write_bytes(b"".join(one.data for one in coded))
    return mux(path, [(raw, coded)])


@dataclass(frozen=True)
class _Picture:
    number: int
    idr: bool
    referred: bool
    frame_num: int
    poc: int
    fields: bool


def _in_decoding_order(frames: int, gop: int) -> Iterator[_Picture]:
    """Per group: 0, 2, 1, 4, 3 ...; an odd frame is referred to only where nothing follows it."""
    for start in range(0, frames, gop):
        count = min(gop, frames - start)
        order = [0]
        for even in range(2, count, 2):
            order += [even, even - 1]
        order += sorted(set(range(count)) - set(order))
        frame_num = 0
        for place in order:
            referred = place % 2 == 0 or place == count - 1
            fields = place % 3 != 1
            yield _Picture(start + place, place == 0, referred, frame_num, 2 * place, fields)
            frame_num += referred


def _sps(side: int) -> bytes:
    bits = Bits().u(_MAIN, 8).u(0, 8).u(30, 8).ue(0)
    bits.ue(_FRAME_NUM_BITS - 4).ue(0).ue(_POC_BITS - 4)
    bits.ue(4).u(0, 1)  # max_num_ref_frames
    bits.ue(side // 16 - 1).ue(side // 32 - 1)  # width in macroblocks, height in pairs of them
    bits.u(0, 1).u(0, 1).u(1, 1)  # fields may come, no MBAFF, direct_8x8_inference
    bits.u(0, 1).u(1, 1)  # no cropping, VUI
    bits.u(0, 8).u(1, 1)  # nothing in it but the restriction on reordering
    bits.u(1, 1).ue(0).ue(0).ue(16).ue(16).ue(1).ue(4)  # one frame of reordering, four buffers
    return _nal(0x67, bits)


def _pps() -> bytes:
    bits = Bits().ue(0).ue(0).u(0, 2).ue(0).ue(0).ue(0).u(0, 3).ue(0).ue(0).ue(0)
    return _nal(0x68, bits.u(4, 3))  # slices say how they are deblocked


def _picture(picture: _Picture, side: int, painted: int) -> bytes:
    frame: Any = av.VideoFrame.from_ndarray(paint(painted, side, side), format="bgr24")
    planes = frame.reformat(format="yuv420p").to_ndarray()
    y, u, v = planes[:side], planes[side : side * 5 // 4], planes[side * 5 // 4 :]
    u, v = u.reshape(side // 2, side // 2), v.reshape(side // 2, side // 2)
    if not picture.fields:
        return _slice(picture, (y, u, v), bottom=None)
    return b"".join(_slice(picture, (y[p::2], u[p::2], v[p::2]), bottom=p) for p in (0, 1))


def _slice(picture: _Picture, planes: tuple[Plane, Plane, Plane], bottom: int | None) -> bytes:
    idr = picture.idr and not bottom  # the second field of an IDR picture is not one itself (7.4.1.2.4)
    bits = Bits().ue(0).ue(7).ue(0).u(picture.frame_num, _FRAME_NUM_BITS)
    bits.u(bottom is not None, 1)
    if bottom is not None:
        bits.u(bottom, 1)
    if idr:
        bits.ue(picture.number % 2)
    bits.u((picture.poc + (bottom or 0)) % 2**_POC_BITS, _POC_BITS)
    if idr:
        bits.u(0, 2)
    elif picture.referred:
        bits.u(0, 1)
    bits.ue(0).ue(1)  # slice_qp_delta, no deblocking
    y, u, v = planes
    out = b""
    for row in range(y.shape[0] // 16):
        for column in range(y.shape[1] // 16):
            out += bits.ue(_I_PCM).align().data()
            bits = Bits()
            for plane, size in ((y, 16), (u, 8), (v, 8)):
                out += plane[row * size : (row + 1) * size, column * size : (column + 1) * size].tobytes()
    return _nal((0x60 if picture.referred else 0) | (5 if idr else 1), out)


def _nal(header: int, payload: Bits | bytes) -> bytes:
    """A NAL unit with its start code, stop bit and emulation prevention (7.4.1)."""
    body = payload.u(1, 1).align().data() if isinstance(payload, Bits) else payload + b"\x80"
    return b"\0\0\0\1" + bytes([header]) + re.sub(rb"\0\0(?=[\0-\3])", b"\0\0\3", body)
