"""Cases of what a picture is: its turn, its pixels, its size and whether it changes, and which stream it comes from."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from tests.support import video_claims as claims
from tests.support.case_maker import FEW, RATE, Case, coded, with_b_frames, x264
from tests.support.container_maker import join_files
from tests.support.packet_maker import in_a_row, mux, packets, rewrite, shift
from tests.support.video_maker import make_turned, make_video


def _resized(folder: Path, suffix: str, **options: Any) -> Path:
    big = make_video(folder / f"big{suffix}", 30, **options)
    small = make_video(folder / f"small{suffix}", 30, width=96, height=64, numbers=range(30, 60), **options)
    if suffix == ".ts":
        later = rewrite(folder / "later.ts", small, lambda coded: shift(coded, Fraction(30, RATE)))
        return join_files(folder / "video.ts", big, later)
    return mux(folder / f"video{suffix}", [(big, in_a_row(packets(big), packets(small)))])


def _two_streams(folder: Path, suffix: str) -> Path:
    small = make_video(folder / "s.mp4", 30, codec="libx264", width=96, height=64, numbers=range(500, 530))
    big = with_b_frames(folder)
    return mux(folder / f"video{suffix}", [(small, packets(small)), (big, packets(big))])


def _covered(folder: Path, suffix: str) -> Path:
    cover = make_video(folder / "cover.avi", 1, codec="mjpeg", width=320, height=320, numbers=[999])
    path = with_b_frames(folder)
    return mux(folder / f"video{suffix}", [(path, packets(path))], cover=cover)


_SIZES = claims.sized((160, 96), (96, 64))


def _turned(turn: tuple[int, bool]) -> Case:
    return Case(
        lambda d: make_turned(d / "v.mp4", turn, 24),
        claims.has_matrix if any(turn) else claims.sized((160, 96)),
        numbers=range(24),
        times_s=[i / RATE for i in range(24)],
        size=(96, 160) if turn[0] % 2 else (160, 96),
        turn=turn,
    )


def _aspect(suffix: str, n: int, d: int, size: tuple[int, int], **options: Any) -> Case:
    case = coded(suffix, claims.pixel_aspect(n, d), pixel_aspect=Fraction(n, d), **options)
    return replace(case, size=size)


def _high(claim: str, suffix: str = ".mp4") -> Case:
    return x264(suffix, claims.stored_as(claim), pixels=claim)


PICTURES = {
    **{f"turned_{90 * t}{'_mirrored' if m else ''}": _turned((t, m)) for m in (False, True) for t in range(4)},
    "turned_mkv": replace(
        _turned((1, False)), make=lambda d: rewrite(d / "v.mkv", make_turned(d / "source.mp4", (1, False), 24))
    ),
    "wide_pixels": _aspect(".mp4", 2, 1, (160, 96), codec="libx264", width=80, height=96),
    "odd_wide_pixels": _aspect(".mkv", 12, 11, (175, 96), codec="libx264", b_frames=2),
    "tall_pixels": _aspect(".mp4", 10, 11, (160, 106), codec="libx264"),
    "wide_pixels_mpeg2": _aspect(".ts", 16, 15, (171, 96), codec="mpeg2video"),
    "wide_pixels_turned": Case(
        lambda d: make_turned(d / "v.mp4", (1, True), 24, width=80, pixel_aspect=Fraction(2, 1), codec="libx264"),
        claims.every(claims.pixel_aspect(2, 1), claims.has_matrix),
        numbers=range(24),
        times_s=[i / RATE for i in range(24)],
        size=(96, 160),
        turn=(1, True),
    ),
    "odd_size_vp9": coded(
        ".webm", claims.sized((161, 97)), width=161, height=97, codec="libvpx-vp9", options={"cpu-used": "8"}
    ),
    "odd_size_mjpeg": coded(
        ".avi", claims.sized((161, 97)), FEW, width=161, height=97, codec="mjpeg", pixels="yuvj444p"
    ),
    "odd_size_ffv1": coded(".mkv", claims.sized((161, 97)), FEW, width=161, height=97, codec="ffv1"),
    "odd_size_h264": x264(".mp4", claims.sized((161, 97)), width=161, height=97, pixels="yuv444p"),
    "ten_bit_h264": _high("yuv420p10le"),
    "ten_bit_422_h264": _high("yuv422p10le"),
    "422_h264": _high("yuv422p", ".mkv"),
    "ten_bit_hevc": coded(
        ".mp4",
        claims.stored_as("yuv420p10le"),
        codec="libx265",
        pixels="yuv420p10le",
        options={"preset": "ultrafast", "x265-params": "log-level=none"},
    ),
    "full_range": x264(".mp4", claims.ranged(2), full_range=True),
    "limited_range": x264(".mp4", claims.ranged(1), params="b-adapt=0:range=tv:videoformat=pal"),
    "new_size_ts": Case(lambda d: _resized(d, ".ts", codec="libx264"), _SIZES),
    "new_size_webm": Case(lambda d: _resized(d, ".webm", codec="libvpx-vp9", options={"cpu-used": "8"}), _SIZES),
    "new_size_mkv_vp8": Case(lambda d: _resized(d, ".mkv", codec="libvpx", options={"cpu-used": "8"}), _SIZES),
    "two_streams_mp4": Case(lambda d: _two_streams(d, ".mp4"), claims.streams(2), stream=1),
    "two_streams_mkv": Case(lambda d: _two_streams(d, ".mkv"), claims.streams(2), stream=1),
    "two_streams_ts": Case(lambda d: _two_streams(d, ".ts"), claims.streams(2), stream=1),
    "cover_mp4": Case(lambda d: _covered(d, ".mp4"), claims.streams(1, covers=1)),
    "cover_mkv": Case(lambda d: _covered(d, ".mkv"), claims.streams(1, covers=1)),
}
