"""Checks that a generated video has the property it is named for, from its packets and frames, without Poseline."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
from av.video.frame import PictureType

from tests.support.container_maker import box_order, read_edits
from tests.support.packet_maker import packets

Claim = Callable[[Path], bool]

IDR, SLICE = 5, 1
HEVC_RADL, HEVC_RASL, HEVC_IDR, HEVC_CRA = (6, 7), (8, 9), (19, 20), 21


def frames(path: Path) -> list[Any]:
    """Frames of the first video stream that is no cover, as far as they can be decoded."""
    shown = []
    with av.open(str(path)) as container:
        for packet in container.demux(real_streams(container)[0]):
            with contextlib.suppress(av.InvalidDataError):
                shown += packet.decode()
    return shown


def real_streams(container: Any) -> list[Any]:
    return [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]


def nal_units(data: bytes) -> list[bytes]:
    """NAL units of a packet, whether with 4-byte lengths, which then add up, or with start codes."""
    units, at = [], 0
    while at + 4 < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        units.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    if at == len(data):
        return units
    return [part.rstrip(b"\0") for part in data.split(b"\0\0\1") if part.strip(b"\0")]


def h264_types(data: bytes) -> list[int]:
    return [nal[0] & 31 for nal in nal_units(data)]


def hevc_types(data: bytes) -> list[int]:
    return [nal[0] >> 1 & 63 for nal in nal_units(data)]


def closed_gop(path: Path) -> bool:
    """Several keyframes, and every one of them an IDR picture."""
    keys = [h264_types(p.data) for p in packets(path) if p.keyframe]
    return len(keys) > 2 and all(IDR in types for types in keys)


def open_gop(path: Path) -> bool:
    """Keyframes that are no IDR pictures, with frames after them that are shown before."""
    coded = packets(path)
    open_keys = [i for i, p in enumerate(coded) if p.keyframe and IDR not in h264_types(p.data)]
    return len(open_keys) > 2 and all((coded[i + 1].pts or 0) < (coded[i].pts or 0) for i in open_keys[:-1])


def gradual_refresh(path: Path) -> bool:
    """One IDR picture, and recovery points (SEI 6) that are no keyframes of that kind."""
    units = [nal for p in packets(path) for nal in nal_units(p.data)]
    return sum(nal[0] & 31 == IDR for nal in units) == 1 and sum(nal[0] & 31 == 6 and nal[1] == 6 for nal in units) > 2


def one_keyframe(path: Path) -> bool:
    return sum(p.keyframe for p in packets(path)) == 1


def all_keyframes(path: Path) -> bool:
    return all(p.keyframe for p in packets(path))


def b_pyramid(path: Path) -> bool:
    """B-frames that others refer to."""
    b_pts = {frame.pts for frame in frames(path) if frame.pict_type == PictureType.B}
    referred = [p for p in packets(path) for nal in nal_units(p.data) if nal[0] & 31 == SLICE and nal[0] >> 5]
    return any(p.pts in b_pts for p in referred)


def interlaced_frames(path: Path) -> bool:
    """Every frame interlaced, and one slice to a frame: MBAFF."""
    slices = [sum(t in (IDR, SLICE) for t in h264_types(p.data)) for p in packets(path)]
    return all(frame.interlaced_frame for frame in frames(path)) and set(slices) == {1}


def field_pairs(path: Path) -> bool:
    """Frames of two slices beside frames of one."""
    slices = [sum(t in (IDR, SLICE) for t in h264_types(p.data)) for p in packets(path)]
    return set(slices) == {1, 2} and {f.interlaced_frame for f in frames(path)} == {True, False}


def field_packets(path: Path) -> bool:
    """More packets than frames: each field is one."""
    return len(packets(path)) > len(frames(path))


def rasl(path: Path) -> bool:
    """CRA pictures with leading pictures that cannot be decoded from there."""
    types = [hevc_types(p.data) for p in packets(path)]
    cras = [i for i, t in enumerate(types) if HEVC_CRA in t]
    return len(cras) > 2 and all(set(types[i + 1]) & set(HEVC_RASL) for i in cras[:-1])


def radl(path: Path) -> bool:
    types = [t for p in packets(path) for t in hevc_types(p.data)]
    return HEVC_CRA not in types and bool(set(types) & set(HEVC_RADL))


def hevc_closed(path: Path) -> bool:
    keys = [hevc_types(p.data) for p in packets(path) if p.keyframe]
    return len(keys) > 2 and all(set(HEVC_IDR) & set(types) for types in keys)


def superframes(path: Path) -> bool:
    """VP9 packets of several frames, one of which is hidden (Annex B of the bitstream's specification)."""
    return any(p.data[-1] & 0xE7 == 0xC1 for p in packets(path))


def invisible_packets(path: Path) -> bool:
    """More packets than frames, none of which is damaged."""
    return len(packets(path)) > len(frames(path)) > 0


def hidden_vp8(path: Path) -> bool:
    """Packets with show_frame = 0 (RFC 6386, 9.1)."""
    return any(not p.data[0] >> 4 & 1 for p in packets(path))


def several_obus(path: Path) -> bool:
    """AV1 temporal units with more than one frame (OBU types 3 and 6)."""
    return any(sum(t in (3, 6) for t in _obu_types(p.data)) > 1 for p in packets(path))


def reordered(path: Path) -> bool:
    """Packets whose order is not the order of display, and B-frames among the frames."""
    pts = [p.pts for p in packets(path) if p.pts is not None]
    return pts != sorted(pts) and PictureType.B in {frame.pict_type for frame in frames(path)}


def b_frames(path: Path) -> bool:
    return PictureType.B in {frame.pict_type for frame in frames(path)}


def packed(path: Path) -> bool:
    return any(p.data.count(b"\0\0\1\xb6") > 1 for p in packets(path))


def moov_first(path: Path) -> bool:
    order = box_order(path)
    return order.index(b"moov") < order.index(b"mdat")


def moov_last(path: Path) -> bool:
    return not moov_first(path)


def fragmented(path: Path) -> bool:
    return box_order(path).count(b"moof") > 2


def delayed(path: Path) -> bool:
    return read_edits(path)[0][1] == -1


def trimmed(path: Path) -> bool:
    """Packets that are decoded and not shown."""
    with av.open(str(path)) as container:
        return any(packet.is_discard for packet in container.demux(video=0))


def cut_out(path: Path) -> bool:
    return len([at for _, at in read_edits(path) if at >= 0]) > 1


def negative_start(path: Path) -> bool:
    return (frames(path)[0].pts or 0) < 0


def late_start(path: Path) -> bool:
    first = frames(path)[0]
    return float(first.pts * first.time_base) > 1


def packets_without_pts(path: Path) -> bool:
    return any(p.pts is None for p in packets(path))


def frames_out_of_order(path: Path) -> bool:
    """Frames come with times that run backwards, as where a container knows only the order of decoding."""
    pts = [frame.pts for frame in frames(path)]
    return None in pts or any(a > b for a, b in pairwise(pts))


def doubled_pts(path: Path) -> bool:
    pts = [frame.pts for frame in frames(path)]
    return len(set(pts)) < len(pts)


def hours(path: Path) -> bool:
    shown = frames(path)
    return float((shown[-1].pts - shown[0].pts) * shown[0].time_base) > 3 * 3600


def wraps(path: Path) -> bool:
    """A transport stream whose 33-bit clock passes zero in the middle."""
    data = path.read_bytes()
    stamps = []
    for at in range(0, len(data), 188):
        pes = data.find(b"\0\0\1\xe0", at, at + 188)
        if data[at + 1] & 0x40 and pes >= 0 and data[pes + 7] & 0x80:
            b = data[pes + 9 : pes + 14]
            stamps.append((b[0] >> 1 & 7) << 30 | b[1] << 22 | (b[2] >> 1) << 15 | b[3] << 7 | b[4] >> 1)
    return max(stamps) > 2**33 - 20 * 90_000 and min(stamps) < 20 * 90_000 and stamps[0] > stamps[-1]


def stored_as(pixels: str) -> Claim:
    return lambda path: {frame.format.name for frame in frames(path)} == {pixels}


def ranged(color_range: int) -> Claim:
    return lambda path: {int(frame.color_range) for frame in frames(path)} == {color_range}


def pixel_aspect(n: int, d: int) -> Claim:
    def claim(path: Path) -> bool:
        with av.open(str(path)) as container:
            return bool(container.streams.video[0].sample_aspect_ratio == av.rational.Fraction(n, d))

    return claim


def sized(*sizes: tuple[int, int]) -> Claim:
    """Exactly these stored sizes, in this order."""
    return lambda path: list(dict.fromkeys((f.width, f.height) for f in frames(path))) == list(sizes)


def has_matrix(path: Path) -> bool:
    return all(frame.side_data.get("DISPLAYMATRIX") is not None for frame in frames(path))


def streams(count: int, covers: int = 0) -> Claim:
    def claim(path: Path) -> bool:
        with av.open(str(path)) as container:
            return (len(real_streams(container)), len(container.streams.video)) == (count, count + covers)

    return claim


def fewer_than(count: int) -> Claim:
    """An end is missing, and not all."""
    return lambda path: count // 4 < len(frames(path)) < count


def empty_chunks(path: Path) -> bool:
    """An AVI whose index lists more frames than there are: chunks of no bytes, for frames that were dropped."""
    with av.open(str(path)) as container:
        return container.streams.video[0].frames > len(packets(path))


def codec(name: str) -> Claim:
    def claim(path: Path) -> bool:
        with av.open(str(path)) as container:
            return bool(real_streams(container)[0].codec_context.codec.canonical_name == name)

    return claim


def every(*claims: Claim) -> Claim:
    return lambda path: all(claim(path) for claim in claims)


def _obu_types(data: bytes) -> Iterator[int]:
    at = 0
    while at < len(data):
        header, size, shift = data[at], 0, 0
        at += 1 + (header >> 2 & 1)
        while True:
            byte = data[at]
            at += 1
            size |= (byte & 127) << shift
            shift += 7
            if not byte & 128:
                break
        yield header >> 3 & 15
        at += size
