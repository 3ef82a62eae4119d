"""Cases of time: variable, shifted, cut, wrapped, missing, doubled, running backwards; and ends that are missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from tests.support import video_claims as claims
from tests.support.case_maker import FRAMES, NO_ADAPT, RATE, TICK_90K, Case, coded, rewritten, with_b_frames, x264
from tests.support.container_maker import cut_off, join_files, read_edits, strip_times, write_edits
from tests.support.packet_maker import Coded, in_a_row, mux, packets, rewrite, shift
from tests.support.video_claims import Claim
from tests.support.video_maker import make_video

_VFR = [sum(((1, 3, 2, 7, 1, 1) * 10)[:i]) for i in range(FRAMES)]


def _timed(suffix: str, claim: Claim, pts: Sequence[int], time_base: Fraction, **options: Any) -> Case:
    case = x264(suffix, claim, len(pts), pts=pts, time_base=time_base, **options)
    return replace(case, times_s=[float((p - pts[0]) * time_base) for p in pts])


def _wrapping(step_s: int) -> Callable[[Path], Path]:
    """A transport stream, `step_s` seconds and a thirtieth from frame to frame, whose clock wraps at its tenth."""
    pts = [i * (step_s * 90_000 + 3000) for i in range(FRAMES)]
    start_s = Fraction(2**33 - pts[10], 90_000)
    return rewritten(
        lambda d: with_b_frames(d, ".mp4", pts=pts, time_base=TICK_90K), ".ts", lambda coded: shift(coded, start_s)
    )


def _doubled(coded: list[Coded]) -> list[Coded]:
    """Frames 10 and 11 at one time, and 20, 21 and 22."""
    for same, of in ((11, 10), (21, 20), (22, 20)):
        coded[same] = replace(coded[same], pts=coded[of].pts, dts=coded[of].dts)
    return coded


def _trim(folder: Path) -> Path:
    path = with_b_frames(folder)
    (duration, at), *_ = read_edits(path)
    return write_edits(path, [(duration - 170, at + 5 * 512)])


def _edited(folder: Path, *edits: tuple[int, int]) -> Path:
    """An edit list of milliseconds and first frames."""
    path = with_b_frames(folder)
    (_, at), *_ = read_edits(path)
    return write_edits(path, [(duration, at + first * 512) for duration, first in edits])


def _joined(folder: Path, frames: int = 36, second_starts_s: Fraction | int = 0) -> Path:
    """So many frames, and 24 of another recording, whose clock starts at zero, or elsewhere."""
    numbers = range(frames, frames + 24)
    more = make_video(folder / "more.ts", 24, codec="libx264", numbers=numbers)
    later = rewrite(folder / "later.ts", more, lambda coded: shift(coded, second_starts_s))
    return join_files(folder / "video.ts", with_b_frames(folder, ".ts", frames), later)


def _late_b_frames(folder: Path) -> Path:
    """An AVI whose B-frames, and with them the lack of display times, begin after 60 frames."""
    plain = with_b_frames(folder, ".avi", 60, b_frames=0)
    more = make_video(folder / "more.avi", 24, codec="libx264", b_frames=3, options=NO_ADAPT, numbers=range(60, 84))
    return mux(folder / "video.avi", [(plain, in_a_row(packets(plain), packets(more)))])


_HOURS = [i if i < 30 else i + 4 * 3600 * 30 for i in range(FRAMES)]
_DOUBLED_S = [{11: 10, 21: 20, 22: 20}.get(i, i) / RATE for i in range(FRAMES)]

TIMES = {
    "vfr_mp4": _timed(".mp4", claims.reordered, _VFR, Fraction(1, 90)),
    "vfr_mkv": _timed(".mkv", claims.reordered, _VFR, Fraction(1, 90)),
    "vfr_ts": _timed(".ts", claims.reordered, _VFR, Fraction(1, 90)),
    "dropped_frames_avi": replace(
        coded(".avi", claims.empty_chunks, codec="mjpeg", pts=_VFR, time_base=Fraction(1, 90)),
        times_s=[pts / 90 for pts in _VFR],
    ),
    "240_fps": _timed(".mp4", claims.reordered, list(range(FRAMES)), Fraction(1, 240)),
    "one_frame": _timed(".mp4", claims.codec("h264"), [0], Fraction(1, 30)),
    "gap_of_hours_mp4": _timed(".mp4", claims.hours, _HOURS, Fraction(1, 30)),
    "gap_of_hours_mkv": _timed(".mkv", claims.hours, _HOURS, Fraction(1, 30)),
    "late_start_mp4": _timed(".mp4", claims.every(claims.delayed, claims.late_start), range(100, 160), Fraction(1, 30)),
    "late_start_mkv": _timed(".mkv", claims.late_start, range(100, 160), Fraction(1, 30)),
    "late_start_ts": _timed(".ts", claims.late_start, range(100, 160), Fraction(1, 30)),
    "trimmed": replace(
        x264(".mp4", claims.trimmed), make=_trim, numbers=range(5, 60), times_s=[i / RATE for i in range(55)]
    ),
    "cut_out": replace(
        x264(".mp4", claims.cut_out),
        make=lambda d: _edited(d, (333, 0), (1000, 30)),
        numbers=[*range(10), *range(30, 60)],
        times_s=None,
    ),
    "shown_twice": replace(
        x264(".mp4", claims.cut_out),
        make=lambda d: _edited(d, (333, 0), (333, 0)),
        numbers=[*range(10), *range(10)],
        times_s=None,
    ),
    "end_first": replace(
        x264(".mp4", claims.cut_out),
        make=lambda d: _edited(d, (1000, 30), (1000, 0)),
        numbers=[*range(30, 60), *range(30)],
        times_s=None,
        indexed_by_position=True,
    ),
    "wrap_soon_ts": replace(x264(".ts", claims.every(claims.wraps, claims.negative_start)), make=_wrapping(0)),
    "wrap_late_ts": replace(
        x264(".ts", claims.wraps), make=_wrapping(8), times_s=[i * (8 + 1 / RATE) for i in range(FRAMES)]
    ),
    "missing_pts_avi": replace(x264(".avi", claims.frames_out_of_order), indexed_by_position=True),
    "missing_pts_late_avi": Case(
        _late_b_frames,
        claims.frames_out_of_order,
        numbers=range(84),
        times_s=[i / RATE for i in range(84)],
        indexed_by_position=True,
    ),
    "missing_pts_mkv": Case(
        rewritten(with_b_frames, ".mkv", lambda coded: shift(coded, -1), avoid_negative_ts="disabled"),
        claims.packets_without_pts,
        indexed_by_position=True,
    ),
    "missing_pts_ts": Case(
        lambda d: strip_times(with_b_frames(d, ".ts"), lambda i: i % 4 == 0),
        claims.packets_without_pts,
        indexed_by_position=True,
    ),
    "missing_pts_late_ts": Case(
        lambda d: strip_times(with_b_frames(d, ".ts"), lambda i: i < 51),
        claims.packets_without_pts,
        indexed_by_position=True,
    ),
    "no_pts_ts": Case(
        lambda d: strip_times(with_b_frames(d, ".ts"), lambda _: False),
        claims.packets_without_pts,
        indexed_by_position=True,
    ),
    "doubled_pts_mkv": Case(
        rewritten(lambda d: with_b_frames(d, b_frames=0), ".mkv", _doubled),
        claims.doubled_pts,
        times_s=_DOUBLED_S,
        indexed_by_position=True,
    ),
    "backwards_pts_ts": Case(_joined, claims.frames_out_of_order, indexed_by_position=True),
    "backwards_late_ts": Case(
        lambda d: _joined(d, 54, Fraction(1, 60)),
        claims.frames_out_of_order,
        numbers=range(78),
        times_s=None,
        indexed_by_position=True,
    ),
    "overlapping_late_ts": Case(
        lambda d: _joined(d, 54, Fraction(91, 60)),
        claims.frames_out_of_order,
        numbers=range(78),
        times_s=None,
        indexed_by_position=True,
    ),
}


def _cut(suffix: str, **options: Any) -> Case:
    return Case(
        lambda d: cut_off(with_b_frames(d, suffix, **options), 0.7),
        claims.fewer_than(FRAMES),
        numbers=None,
        times_s=None,
        indexed_by_position=suffix == ".mpg",
    )


CUT_OFF = {
    "cut_off_ts": _cut(".ts"),
    "cut_off_ps": _cut(".mpg"),
    "cut_off_fragments": _cut(".mp4", container_options={"movflags": "frag_keyframe+empty_moov+default_base_moof"}),
    "cut_off_mkv_recording": _cut(".mkv", container_options={"live": "1"}),
}
