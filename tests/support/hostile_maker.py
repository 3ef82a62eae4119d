"""Files that no camera writes: bombs, liars, and lists of other people's files, built byte by byte.

MP4 boxes are those of ISO/IEC 14496-12, EBML elements those of RFC 8794 and 9559, H.264 that of ITU-T H.264.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

BOMB_SIDE = 16_000
MATRIX = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 1 << 30)


def box(name: bytes, *parts: bytes, size: int | None = None) -> bytes:
    """An MP4 box; `size` is what it claims where that is not the truth."""
    body = b"".join(parts)
    return struct.pack(">I", len(body) + 8 if size is None else size) + name + body


def full(name: bytes, *parts: bytes, version: int = 0, flags: int = 0, size: int | None = None) -> bytes:
    """A box with a version and flags."""
    return box(name, struct.pack(">I", version << 24 | flags), *parts, size=size)


def u32(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


def mp4(
    path: Path,
    samples: Sequence[bytes],
    *,
    entry: bytes | None = None,
    size: tuple[int, int] = (16, 16),
    timescale: int = 30,
    duration: int | None = None,
    stts: bytes | None = None,
    stsz: bytes | None = None,
    stsc: bytes | None = None,
    stco: bytes | None = None,
    dref: bytes | None = None,
    ctts: bytes = b"",
    edits: bytes = b"",
    more: bytes = b"",
) -> Path:
    """One picture track, tables first made from the samples and then from what is given instead.

    Args:
        entry: the sample entry; MJPEG by default.
        duration: of movie and track, in `timescale`.
        more: boxes at the end of `moov`.
    """
    duration = len(samples) if duration is None else duration
    entry = picture_entry(b"jpeg", size) if entry is None else entry
    head = box(b"ftyp", b"qt  ", u32(0), b"qt  ")
    data = box(b"mdat", *samples)
    stbl = box(
        b"stbl",
        full(b"stsd", u32(1), entry),
        stts or full(b"stts", u32(1, len(samples), 1)),
        ctts,
        stsc or full(b"stsc", u32(1, 1, len(samples), 1)),
        stsz or full(b"stsz", u32(0, len(samples), *map(len, samples))),
        stco or full(b"stco", u32(1, len(head) + 8)),
    )
    wide = struct.pack(">QQIQ", 0, 0, timescale, duration)
    minf = box(
        b"minf",
        full(b"vmhd", bytes(8), flags=1),
        box(b"dinf", full(b"dref", u32(1), dref or full(b"url ", flags=1))),
        stbl,
    )
    mdia = box(
        b"mdia",
        full(b"mdhd", wide, bytes(4), version=1),
        full(b"hdlr", b"mhlrvide", bytes(12), b"\0"),
        minf,
    )
    shape = struct.pack(">II", size[0] << 16, size[1] << 16)
    tkhd = full(b"tkhd", struct.pack(">QQIIQ", 0, 0, 1, 0, duration), bytes(16), MATRIX, shape, version=1, flags=3)
    mvhd = full(b"mvhd", wide, u32(0x10000), b"\1\0", bytes(10), MATRIX, bytes(24), u32(2), version=1)
    path.write_bytes(head + data + box(b"moov", mvhd, box(b"trak", tkhd, edits, mdia), more))
    return path


def picture_entry(codec: bytes, size: tuple[int, int], *more: bytes) -> bytes:
    """A visual sample entry."""
    return box(
        codec, bytes(6), struct.pack(">H", 1), bytes(16), struct.pack(">HH", *size), u32(0x480000, 0x480000, 0),
        struct.pack(">H", 1), bytes(32), struct.pack(">Hh", 24, -1), *more,
    )  # fmt: skip


def jpeg(size: tuple[int, int] = (16, 16)) -> bytes:
    """A picture of 16 x 16 that claims to have that size."""
    context = av.CodecContext.create("mjpeg", "w")
    context.width = context.height = 16  # type: ignore[attr-defined]
    context.pix_fmt = "yuvj420p"  # type: ignore[attr-defined]
    context.time_base = Fraction(1, 30)
    frame = av.VideoFrame.from_ndarray(np.full((16, 16, 3), 128, np.uint8), format="bgr24").reformat(format="yuvj420p")
    data = bytearray(bytes(context.encode(frame)[0]))  # type: ignore[attr-defined]
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", size[1], size[0])
    return bytes(data)


def h264_bomb(path: Path, *, admit: bool, side: int = BOMB_SIDE) -> Path:
    """Ten grey frames, decodable as far as they go; with `admit` the container's header says how large they are."""
    blocks = side // 16
    sps = b"\x67\x42\x00\x3e" + _bits("1 1 011 010 0", _ue(blocks - 1), _ue(blocks - 1), "1 1 0 0 1")
    pps = b"\x68" + _bits("1 1 0 0 1 1 1 0 00 1 1 1 1 0 0 1")  # with deblocking control, to switch it off
    # An IDR slice of I_16x16 macroblocks without residual: five bits for the type, three for the rest.
    macroblocks = f"{0x27:08b}" * min(blocks * blocks, 20_000)
    idr = b"\x65" + _bits("1 0001000 1 0000 1 0 0 1 010", macroblocks, "1")
    sample = u32(len(idr)) + idr
    avcc = box(b"avcC", b"\1", sps[1:4], b"\xff\xe1", _sized(sps), b"\1", _sized(pps))
    size = (side, side) if admit else (64, 64)
    return mp4(path, [sample] * 10, entry=picture_entry(b"avc1", size, avcc), size=size)


def vp9_bomb(path: Path, small: Path, *, side: int = BOMB_SIDE) -> Path:
    """A WebM of small frames, and in each keyframe the size of a huge one (VP9 bitstream, 6.2 and 7.2)."""
    data = bytearray(small.read_bytes())
    at, found = 0, 0
    while (at := data.find(b"\x49\x83\x42", at)) >= 0:
        word = int.from_bytes(data[at + 3 : at + 9], "big")
        # Colour space and range take four bits, then sixteen each for width and height less one.
        keep = word & (0xF << 44 | 0xFFF)
        data[at + 3 : at + 9] = (keep | (side - 1) << 28 | (side - 1) << 12).to_bytes(6, "big")
        at, found = at + 9, found + 1
    assert found
    path.write_bytes(data)
    return path


def element(identity: str, *parts: bytes, size: int | None = None) -> bytes:
    """An EBML element; `size` is what it claims, -1 for unknown."""
    body = b"".join(parts)
    claimed = b"\x01" + b"\xff" * 7 if size == -1 else (len(body) if size is None else size).to_bytes(8, "big")
    return bytes.fromhex(identity) + (claimed if size == -1 else b"\x01" + claimed[1:]) + body


def number(identity: str, value: int) -> bytes:
    return element(identity, value.to_bytes(8, "big"))


def mkv(
    path: Path,
    samples: Sequence[bytes],
    *,
    scale: int = 1_000_000,
    duration: float = 0.0,
    cluster_times: Sequence[int] = (0,),
    info: bytes = b"",
    more: bytes = b"",
    segment_size: int | None = None,
) -> Path:
    """One MJPEG track; the samples are laid evenly into clusters of those times.

    Args:
        info: more elements in the segment's information.
        more: elements ahead of the tracks.
    """
    ebml = element("1A45DFA3", element("4282", b"matroska"), number("4287", 4), number("4285", 2))
    track = element(
        "AE", number("D7", 1), number("73C5", 1), number("83", 1), element("86", b"V_MJPEG"),
        element("E0", number("B0", 16), number("BA", 16)),
    )  # fmt: skip
    each = max(1, len(samples) // len(cluster_times))
    clusters = b"".join(
        element(
            "1F43B675",
            number("E7", time),
            *(
                element("A3", b"\x81", struct.pack(">h", min(k * 33, 32_767)), b"\x80", sample)
                for k, sample in enumerate(samples[i * each : (i + 1) * each])
            ),
        )
        for i, time in enumerate(cluster_times)
    )
    facts = element("1549A966", number("2AD7B1", scale), element("4489", struct.pack(">d", duration)), info)
    path.write_bytes(ebml + element("18538067", facts, more, element("1654AE6B", track), clusters, size=segment_size))
    return path


def avi(path: Path, sample: bytes, frames: int, *, claimed: int | None = None, scale: int = 1, rate: int = 30) -> Path:
    """An MJPEG AVI of `frames` times the same chunk, without an index."""
    claimed = frames if claimed is None else claimed
    avih = struct.pack("<14I", 33333, 0, 0, 16, claimed, 0, 1, 0, 16, 16, 0, 0, 0, 0)
    strh = b"vidsMJPG" + struct.pack("<IHHIIIIIIIIHHHH", 0, 0, 0, 0, scale, rate, 0, claimed, 0, 0, 0, 0, 0, 16, 16)
    strf = struct.pack("<IiiHH4sIiiII", 40, 16, 16, 1, 24, b"MJPG", 768, 0, 0, 0, 0)
    strl = _chunk(b"LIST", b"strl" + _chunk(b"strh", strh) + _chunk(b"strf", strf))
    movi = _chunk(b"LIST", b"movi" + _chunk(b"00dc", sample) * frames)
    path.write_bytes(_chunk(b"RIFF", b"AVI " + _chunk(b"LIST", b"hdrl" + _chunk(b"avih", avih) + strl) + movi))
    return path


def alias_to(path: Path) -> bytes:
    """A data reference to another file as QuickTime writes it: name, volume, and the absolute path."""
    name, where = path.name.encode()[:63], str(path).encode()
    volume = b"\x01/" + bytes(26)
    body = bytes(10) + volume + bytes(12) + bytes([len(name)]) + name.ljust(63, b"\0") + bytes(16)
    body += struct.pack(">HH", 1, 1) + bytes(16)
    for kind, text in ((18, where), (2, where), (0, path.parent.name.encode())):
        body += struct.pack(">hh", kind, len(text)) + text + b"\0" * (len(text) % 2)
    return full(b"alis", body, struct.pack(">hh", -1, 0))


def compressed_moov(path: Path, size: int) -> Path:
    """A movie header of zeros, deflated a thousand to one, as QuickTime allows."""
    deflate = zlib.compressobj(1)
    zeros = bytes(1 << 20)
    packed = b"".join(deflate.compress(zeros) for _ in range(size >> 20)) + deflate.flush()
    cmov = box(b"cmov", box(b"dcom", b"zlib"), box(b"cmvd", u32(size), packed))
    path.write_bytes(box(b"ftyp", b"qt  ", u32(0)) + box(b"moov", cmov) + box(b"mdat", bytes(100)))
    return path


def nested(name: bytes, depth: int, inner: bytes = b"") -> bytes:
    """A box in a box in a box."""
    heads = b"".join(struct.pack(">I", len(inner) + 8 * level) + name for level in range(depth, 0, -1))
    return heads + inner


def edit(*entries: tuple[int, int]) -> bytes:
    """An edit list of lengths and media times."""
    rows = b"".join(struct.pack(">QqI", length, at, 0x10000) for length, at in entries)
    return box(b"edts", full(b"elst", u32(len(entries)), rows, version=1))


def title(size: int, times: int = 1) -> bytes:
    """That many titles of that many characters."""
    entry = box(b"\xa9nam", box(b"data", u32(1, 0), b"x" * size))
    handler = full(b"hdlr", u32(0), b"mdirappl", bytes(9))
    return box(b"udta", full(b"meta", handler, box(b"ilst", entry * times)))


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def _sized(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data


def _ue(value: int) -> str:
    """An unsigned Exp-Golomb code (9.1)."""
    code = f"{value + 1:b}"
    return "0" * (len(code) - 1) + code


def _bits(*groups: str) -> bytes:
    """Bits as text, filled up with zeros to whole bytes, with emulation prevention (7.4.1)."""
    text = "".join(groups).replace(" ", "")
    text += "0" * (-len(text) % 8)
    out = bytearray()
    for byte in int(text, 2).to_bytes(len(text) // 8, "big"):
        if byte <= 3 and out[-2:] == b"\0\0":
            out.append(3)
        out.append(byte)
    return bytes(out)
