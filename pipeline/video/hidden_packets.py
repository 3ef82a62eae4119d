"""Packets that hold a picture nobody is shown: VP8's and VP9's alternate references. Child side.

A container counts them as frames; a decoder gives none for them. AV1 packs them with a shown frame by definition.
"""

from __future__ import annotations

from av.packet import Packet
from av.video.stream import VideoStream

_VP9_MARKER = 0b10
_VP9_SUPERFRAME = 0b110


def is_hidden(codec: str, packet: Packet[VideoStream]) -> bool:
    """Whether the packet is a picture that is decoded but not shown."""
    if codec not in {"vp8", "vp9"} or not packet.size:
        return False
    data = memoryview(packet)
    return _vp8_is_hidden(data[0]) if codec == "vp8" else _vp9_is_hidden(data[0], data[-1])


def _vp8_is_hidden(first: int) -> bool:
    """RFC 6386, section 9.1: bit 4 of the frame tag is show_frame."""
    return not first >> 4 & 1


def _vp9_is_hidden(first: int, last: int) -> bool:
    """VP9 bitstream specification, 6.2 (uncompressed header) and Annex B (superframes, which end with a shown one)."""
    if last >> 5 == _VP9_SUPERFRAME or first >> 6 != _VP9_MARKER:
        return False
    profile = (first >> 5 & 1) | (first >> 4 & 1) << 1
    if profile == 3:  # one reserved bit more
        show_existing, shown = first >> 2 & 1, first & 1
    else:
        show_existing, shown = first >> 3 & 1, first >> 1 & 1
    return not show_existing and not shown
