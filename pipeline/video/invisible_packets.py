"""Packets whose frame is never shown: the alternate reference frames of VP8 and VP9. Child side.

A container counts them as frames; a decoder gives none for them. AV1 always packs them with a shown frame.
"""

from __future__ import annotations

from av.packet import Packet
from av.video.stream import VideoStream

_VP9_MARKER = 0b10
_VP9_SUPERFRAME = 0b110


def is_invisible(codec: str, packet: Packet[VideoStream]) -> bool:
    """Whether the packet's frame is decoded but not shown."""
    if codec not in {"vp8", "vp9"} or not packet.size:
        return False
    data = memoryview(packet)
    return _vp8_is_invisible(data[0]) if codec == "vp8" else _vp9_is_invisible(data[0], data[-1])


def _vp8_is_invisible(first: int) -> bool:
    """RFC 6386, section 9.1: bit 4 of the frame tag is show_frame."""
    return not first >> 4 & 1


def _vp9_is_invisible(first: int, last: int) -> bool:
    """VP9 bitstream specification, 6.2 (uncompressed header) and Annex B (superframes, which end with a shown one)."""
    if last >> 5 == _VP9_SUPERFRAME or first >> 6 != _VP9_MARKER:
        return False
    profile = (first >> 5 & 1) | (first >> 4 & 1) << 1
    if profile == 3:  # one more reserved bit
        show_existing, shown = first >> 2 & 1, first & 1
    else:
        show_existing, shown = first >> 3 & 1, first >> 1 & 1
    return not show_existing and not shown
