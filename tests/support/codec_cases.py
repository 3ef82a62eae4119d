"""Cases of what codecs and containers do: groups of pictures, hidden frames, fields, boxes in any order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.support import video_claims as claims
from tests.support.case_maker import FEW, FRAMES, Case, coded, rewritten, x264
from tests.support.container_maker import join_files
from tests.support.h264_field_maker import make_field_coded
from tests.support.packet_maker import filtered, hide_vp8, pack_b_frames, rewrite
from tests.support.video_claims import Claim
from tests.support.video_maker import make_video


def _x265(suffix: str, claim: Claim, params: str) -> Case:
    params = f"log-level=none:bframes=4:b-adapt=0:keyint=12:min-keyint=12:{params}"
    return coded(suffix, claim, codec="libx265", options={"preset": "ultrafast", "x265-params": params})


_OPEN = "open-gop=1:bframes=3:b-adapt=0:keyint=12:min-keyint=12"
_ALT_REF = {"deadline": "realtime", "cpu-used": "8", "auto-alt-ref": "1", "lag-in-frames": "20", "b": "100k"}
_VP9: dict[str, Any] = {"codec": "libvpx-vp9", "gop": 24, "options": _ALT_REF}
_VP8: dict[str, Any] = {"codec": "libvpx", "options": {"deadline": "realtime", "cpu-used": "8"}}
_AV1: dict[str, Any] = {"codec": "libsvtav1", "options": {"preset": "12", "svtav1-params": "keyint=16"}}


def _hidden_vp8(folder: Path, hidden: Sequence[int], *, own_times: bool = False) -> Path:
    """Frames by number in decoding order are painted with a foreign number, and hidden."""
    shown = iter(range(FRAMES))
    numbers = [9999 if i in hidden else next(shown) for i in range(FRAMES + len(hidden))]
    whole = make_video(folder / "whole.webm", len(numbers), numbers=numbers, gop=15, **_VP8)
    return rewrite(folder / "video.webm", whole, lambda coded: hide_vp8(coded, hidden, own_times=own_times))


_HIDDEN = claims.every(claims.hidden_vp8, claims.invisible_packets)


def _late_fields(folder: Path) -> Path:
    """A transport stream that goes on with what a camera sends that codes fields apart."""
    frames = make_video(folder / "frames.ts", 60, width=64, height=64, codec="libx264")
    fields = make_field_coded(folder / "fields.ts", 24, first=60, start_s=2)
    return join_files(folder / "video.ts", frames, fields)


CODECS = {
    "h264_closed_gop": x264(".mp4", claims.every(claims.closed_gop, claims.reordered)),
    "h264_open_gop": x264(".mp4", claims.open_gop, params=_OPEN),
    "h264_open_gop_mkv": x264(".mkv", claims.open_gop, params=_OPEN),
    "h264_open_gop_ts": x264(".ts", claims.open_gop, params=_OPEN),
    "h264_b_pyramid": x264(".mp4", claims.b_pyramid, params="b-adapt=0:bframes=7:b-pyramid=normal", b_frames=7, gop=24),
    "h264_mbaff": x264(".mp4", claims.interlaced_frames, options={"flags": "+ildct+ilme"}),
    "h264_fields": Case(lambda d: make_field_coded(d / "v.mp4", FRAMES), claims.field_pairs, size=(64, 64)),
    "h264_fields_mkv": Case(lambda d: make_field_coded(d / "v.mkv", FRAMES), claims.field_pairs, size=(64, 64)),
    "h264_fields_ts": Case(lambda d: make_field_coded(d / "v.ts", FRAMES), claims.field_packets, size=(64, 64)),
    "h264_fields_late_ts": Case(
        _late_fields,
        claims.field_packets,
        numbers=range(84),
        times_s=None,
        size=(64, 64),
    ),
    "h264_intra_refresh_ts": x264(".ts", claims.gradual_refresh, params="intra-refresh=1", b_frames=0),
    "h264_intra_refresh_mp4": x264(".mp4", claims.gradual_refresh, params="intra-refresh=1", b_frames=0),
    "h264_intra_refresh_mkv": x264(".mkv", claims.gradual_refresh, params="intra-refresh=1", b_frames=0),
    "h264_one_keyframe": x264(".mp4", claims.one_keyframe, gop=1000),
    "h264_all_keyframes": x264(".mp4", claims.all_keyframes, FEW, gop=1),
    "hevc_closed_gop": _x265(".mp4", claims.every(claims.hevc_closed, claims.reordered), "open-gop=0"),
    "hevc_rasl": _x265(".mp4", claims.rasl, "open-gop=1"),
    "hevc_rasl_mkv": _x265(".mkv", claims.rasl, "open-gop=1"),
    "hevc_rasl_ts": _x265(".ts", claims.rasl, "open-gop=1"),
    "hevc_radl": _x265(".mp4", claims.radl, "open-gop=0:radl=2"),
    "vp9_superframes": coded(".webm", claims.superframes, **_VP9),
    "vp9_hidden_mkv": Case(
        lambda d: filtered(d / "v.mkv", make_video(d / "whole.webm", FRAMES, **_VP9), "vp9_superframe_split"),
        claims.invisible_packets,
    ),
    "vp9_mp4": coded(".mp4", claims.superframes, **_VP9),
    "vp8_hidden": Case(lambda d: _hidden_vp8(d, range(2, 75, 5)), _HIDDEN),
    "vp8_hidden_late": Case(lambda d: _hidden_vp8(d, range(52, 60, 2), own_times=True), _HIDDEN),
    "av1_mp4": coded(".mp4", claims.several_obus, **_AV1),
    "av1_webm": coded(".webm", claims.several_obus, **_AV1),
    "av1_open_gop": coded(
        ".mp4",
        claims.several_obus,
        codec="libsvtav1",
        options={"preset": "12", "svtav1-params": "keyint=16:irefresh-type=1"},
    ),
    "hevc_intra_refresh": _x265(".ts", claims.one_keyframe, "open-gop=0:intra-refresh=1"),
    "asp_mp4": coded(".mp4", claims.reordered, codec="mpeg4", b_frames=2),
    "asp_avi": coded(".avi", claims.b_frames, codec="mpeg4", b_frames=2),
    "asp_packed_avi": replace(
        coded(".avi", claims.packed),
        make=rewritten(lambda d: make_video(d / "p.avi", FRAMES, codec="mpeg4", b_frames=1), ".avi", pack_b_frames),
        indexed_by_position=True,
    ),
    "mpeg2_ts": coded(".ts", claims.every(claims.codec("mpeg2video"), claims.b_frames), codec="mpeg2video", b_frames=2),
    "mpeg2_ps": coded(
        ".mpg", claims.every(claims.codec("mpeg2video"), claims.b_frames), codec="mpeg2video", b_frames=2
    ),
    "mjpeg_avi": coded(".avi", claims.codec("mjpeg"), FEW, codec="mjpeg"),
    "mjpeg_mov": coded(".mov", claims.codec("mjpeg"), FEW, codec="mjpeg"),
    "prores": coded(
        ".mov", claims.every(claims.codec("prores"), claims.stored_as("yuv422p10le")), FEW, codec="prores_ks"
    ),
    "dnxhr": coded(
        ".mov", claims.codec("dnxhd"), FEW, codec="dnxhd", width=256, height=128, options={"profile": "dnxhr_sq"}
    ),
}

CONTAINERS = {
    "mp4_moov_first": x264(".mp4", claims.moov_first, container_options={"movflags": "faststart"}),
    "mp4_moov_last": x264(".mp4", claims.moov_last),
    "mp4_fragmented": x264(
        ".mp4", claims.fragmented, container_options={"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    ),
    "mov": x264(".mov", claims.reordered),
    "mkv": x264(".mkv", claims.reordered),
    "ts": x264(".ts", claims.reordered),
    "ps": replace(x264(".mpg", claims.packets_without_pts), indexed_by_position=True),
    "with_sound": x264(".mp4", claims.b_frames, audio_s=2.0),
}
