"""Packets taken out of one file and put into another: other times, other orders, other company."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.bitstream import BitStreamFilterContext
from av.stream import Disposition


@dataclass(frozen=True)
class Coded:
    """One packet; times in `time_base`."""

    data: bytes
    pts: int | None
    dts: int | None
    keyframe: bool
    duration: int
    time_base: Fraction


def packets(path: Path, stream: int = 0, fmt: str | None = None) -> list[Coded]:
    """A video stream's packets in the order of decoding."""
    with av.open(str(path), format=fmt) as container:
        return [
            Coded(bytes(p), p.pts, p.dts, p.is_keyframe, p.duration or 0, p.time_base)
            for p in container.demux(container.streams.video[stream])
            if p.size
        ]


def rewrite(
    path: Path,
    source: Path,
    change: Callable[[list[Coded]], Iterable[Coded]] | None = None,
    *,
    fmt: str | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """A copy with packets changed, and perhaps in another container."""
    coded: Iterable[Coded] = packets(source)
    return mux(path, [(source, change(list(coded)) if change else coded)], fmt=fmt, options=options)


def mux(
    path: Path,
    tracks: list[tuple[Path, Iterable[Coded]]],
    *,
    cover: Path | None = None,
    fmt: str | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """Several streams in one file, each with the parameters of a file's first video stream.

    Args:
        cover: a file whose first frame is attached as the cover picture, ahead of the other streams.
    """
    with ExitStack() as opened:
        target = opened.enter_context(av.open(str(path), "w", format=fmt, options=options or {}))
        pending: list[tuple[float, Coded, Any]] = []
        if cover and path.suffix == ".mkv":
            target.add_attachment("cover.jpg", "image/jpeg", packets(cover)[0].data)
        elif cover:
            picture = opened.enter_context(av.open(str(cover)))
            stream: Any = target.add_stream_from_template(picture.streams.video[0])
            stream.disposition = Disposition.attached_pic
            pending.append((-1e9, packets(cover)[0], stream))
        for template, coded in tracks:
            source = opened.enter_context(av.open(str(template)))
            stream = target.add_stream_from_template(source.streams.video[0])
            pending += [(float((p.dts or 0) * p.time_base), p, stream) for p in coded]
        order = sorted(pending, key=lambda entry: entry[0]) if len(tracks) > 1 else pending
        for _, one, stream in order:
            target.mux_one(_packet(one, stream))
    return path


def shift(coded: list[Coded], by_s: Fraction | int) -> list[Coded]:
    """The same packets later."""
    return [replace(p, pts=_later(p.pts, by_s, p), dts=_later(p.dts, by_s, p)) for p in coded]


def in_a_row(coded: list[Coded], more: list[Coded]) -> list[Coded]:
    """One recording after the other, its clock going on."""
    last = coded[-1]
    end = (last.dts or 0) + last.duration - (more[0].dts or 0)
    return coded + shift(more, end * last.time_base)


def filtered(path: Path, source: Path, description: str) -> Path:
    """A copy through one of FFmpeg's bitstream filters, which the muxer may not undo."""
    with av.open(str(source)) as container, av.open(str(path), "w", options={"fflags": "-autobsf"}) as target:
        stream: Any = container.streams.video[0]
        copy: Any = target.add_stream_from_template(stream)
        context = BitStreamFilterContext(description, stream, copy)
        for packet in (p for p in container.demux(stream) if p.size):
            for changed in context.filter(packet):
                changed.stream = copy
                target.mux_one(changed)
        for changed in context.filter(None):
            changed.stream = copy
            target.mux_one(changed)
    return path


def pack_b_frames(coded: list[Coded]) -> Iterator[Coded]:
    """MPEG-4 as DivX 5 put it into AVI: each B-frame in the packet of the P-frame before it, and a placeholder where
    it was. For one B-frame in a row."""
    marker = b"\0\0\1\xb2DivX503b1393p"  # `p` for packed; decoders go by it
    empty = b"\0\0\1\xb6\x50\x4f"  # a P-VOP with vop_coded = 0 and five bits of time
    vops = [p.data for p in coded]
    i = 0
    while i < len(coded):
        head = _headed(vops[i], marker) if coded[i].keyframe else vops[i]
        if i + 1 < len(coded) and _vop_type(vops[i + 1]) == "B":
            yield replace(coded[i], data=head + vops[i + 1], pts=None)
            yield replace(coded[i + 1], data=empty, pts=None, keyframe=False)
            i += 2
        else:
            yield replace(coded[i], data=head, pts=None)
            i += 1


def hide_vp8(coded: list[Coded], hidden: Sequence[int], *, own_times: bool) -> Iterator[Coded]:
    """Packets by number become frames that are decoded and not shown (show_frame = 0: RFC 6386, 9.1).

    The others close the ranks; a hidden one has the time of the packet after it, or one a tick before that.
    """
    times = iter([(p.pts or 0, p.dts or 0) for p in coded])
    pts, dts = next(times)
    for i, one in enumerate(coded):
        assert not (one.keyframe and i in hidden)
        if i in hidden:
            data = bytes([one.data[0] & 0xEF]) + one.data[1:]
            yield replace(one, data=data, pts=pts - own_times, dts=dts - own_times)
        else:
            yield replace(one, pts=pts, dts=dts)
            pts, dts = next(times)


def _headed(data: bytes, marker: bytes) -> bytes:
    at = data.index(b"\0\0\1\xb3") if b"\0\0\1\xb3" in data else data.index(b"\0\0\1\xb6")
    return data[:at] + marker + data[at:]


def _vop_type(data: bytes) -> str:
    return "IPBS"[data[data.index(b"\0\0\1\xb6") + 4] >> 6]


def _later(ts: int | None, by_s: Fraction | int, packet: Coded) -> int | None:
    return None if ts is None else ts + int(by_s / packet.time_base)


def _packet(one: Coded, stream: Any) -> Any:
    packet: Any = av.Packet(one.data)
    packet.stream = stream
    packet.time_base = one.time_base
    packet.pts, packet.dts, packet.duration = one.pts, one.dts, one.duration
    packet.is_keyframe = one.keyframe
    return packet
