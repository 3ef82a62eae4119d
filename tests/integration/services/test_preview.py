"""Previews keep size, times and sound of the video, or say what they changed; they are never taken for footage."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from uuid import UUID

import av
import cv2
import numpy as np
import pytest

from pipeline.core.states import RunState, VideoState
from pipeline.db.engine import transaction
from pipeline.db.videos import select_video
from pipeline.errors import OwnPreview, RunFailed, VideoRejected
from pipeline.inference.engines.placement import Placement
from pipeline.services.cancel import cancel_run
from pipeline.services.detect import detect_chunk
from pipeline.services.ingest import ingest_video
from pipeline.services.model_cache import ModelCache
from pipeline.services.preview import draw_thumbnail, preview_run
from pipeline.services.system import System
from pipeline.services.upload import register_object, upload_file
from tests.support.analysis import MODEL, analyse, put_model
from tests.support.beep_maker import beeps_s, flashes_s, make_beeps
from tests.support.harness import ask, run_of, sql
from tests.support.video_maker import make_turned, make_video, read_number

#: Times of frames that keep to no rate, with the moments among them.
UNEVEN_S = sorted({1.0, 3.0, 5.0, *(round(at * at / 150 + at / 50, 3) for at in range(30)), 0.4, 2.5, 2.9, 4.0, 5.9})


def pictures(path: Path) -> list[tuple[float, np.ndarray]]:
    with av.open(str(path)) as container:
        return [
            (float(frame.pts * frame.time_base), frame.to_ndarray(format="bgr24"))
            for frame in container.decode(container.streams.video[0])
        ]


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("plain.mp4", {}),
        ("uneven.mp4", {"times_s": UNEVEN_S}),
        ("late_sound.mp4", {"sound_from_s": 0.5}),
        ("late_picture.mp4", {"times_s": [0.5 + at / 30 for at in range(165)]}),
        ("trimmed.mp4", {"times_s": [at / 30 for at in range(-20, 165)]}),
        ("gap.mkv", {"silent_between_s": (1.5, 2.6), "codec": "libopus", "rate": 48_000}),
        ("clock.ts", {"rate": 48_000}),
        ("linear.avi", {"codec": "pcm_s16le", "video_codec": "mpeg4"}),
        ("mp3.avi", {"codec": "libmp3lame", "video_codec": "mpeg4"}),
        ("broadcast.ts", {"codec": "mp2", "video_codec": "mpeg2video", "rate": 48_000}),
        ("mono.mov", {"codec": "alac", "layout": "mono", "rate": 16_000}),
    ],
)
def test_flash_and_beep_stay_together(system: System, tmp_path: Path, name: str, made: dict) -> None:
    clip = make_beeps(tmp_path / name, **made)
    out = tmp_path / "out.mp4"
    preview = preview_run(system, analyse(system, clip), out, team="team")
    assert preview.notes == ()
    flashes, beeps = flashes_s(out), beeps_s(out)
    source_s = [at_s for at_s, _ in pictures(clip)]
    assert [at_s for at_s, _ in pictures(out)] == pytest.approx([at_s - source_s[0] for at_s in source_s], abs=1e-4)
    assert len(flashes) == len(beeps) == 3
    frame_s = 1 / 60
    assert beeps == pytest.approx(flashes, abs=frame_s)


@pytest.mark.parametrize(
    ("size", "expected"), [((160, 96), (160, 96)), ((2048, 1152), (2048, 1152)), ((161, 97), (162, 98))]
)
def test_the_picture_keeps_its_size(
    system: System, tmp_path: Path, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    clip = make_video(tmp_path / "v.mkv", 6, width=size[0], height=size[1], codec="ffv1")
    out = tmp_path / "out.mp4"
    preview = preview_run(system, analyse(system, clip), out, team="team")
    shown = pictures(out)
    assert {image.shape for _, image in shown} == {(expected[1], expected[0], 3)}
    assert [read_number(image[: size[1], : size[0]]) for _, image in shown] == list(range(6))
    assert preview.path == out
    assert preview.notes == (
        () if size == expected else ("the preview is 162 x 98, the video 161 x 97: H.264 needs even sides",)
    )


def test_an_upright_video_stays_upright(system: System, tmp_path: Path) -> None:
    clip = make_turned(tmp_path / "phone.mp4", (1, False), 6, width=160, height=96)
    run_id = analyse(system, clip)
    preview_run(system, run_id, tmp_path / "out.mp4", team="team")
    assert [read_number(image) for _, image in pictures(tmp_path / "out.mp4")] == list(range(6))
    preview_run(system, run_id, tmp_path / "out.png", team="team")
    height, width = cv2.imread(str(tmp_path / "out.png")).shape[:2]
    assert (width, height > 1000) == (1800, True)
    thumbnail = cv2.imdecode(np.frombuffer(draw_thumbnail(system, run_id, team="team"), np.uint8), cv2.IMREAD_COLOR)
    assert thumbnail.shape == (160, 96, 3)


def test_colours_stay(system: System, tmp_path: Path) -> None:
    clip = make_video(tmp_path / "v.mp4", 4, width=320, height=192, options={"crf": "4"})
    preview_run(system, analyse(system, clip), tmp_path / "out.mp4", team="team")
    before, after = (pictures(path)[0][1].astype(int) for path in (clip, tmp_path / "out.mp4"))
    untouched = [slice(2, 16), slice(None)]
    assert np.abs(before[tuple(untouched)] - after[tuple(untouched)]).mean() < 3


def test_the_same_run_gives_the_same_bytes(system: System, tmp_path: Path) -> None:
    run_id = analyse(system, make_beeps(tmp_path / "v.mp4"))
    for ending in ("mp4", "png"):
        first, second = (tmp_path / f"{name}.{ending}" for name in "ab")
        preview_run(system, run_id, first, team="team")
        preview_run(system, run_id, second, team="team")
        assert first.read_bytes() == second.read_bytes()
    assert draw_thumbnail(system, run_id, team="team") == draw_thumbnail(system, run_id, team="team")


def test_what_of_the_sound_is_not_kept_is_said(system: System, tmp_path: Path) -> None:
    many = make_beeps(tmp_path / "many.mp4", codec="ac3", rate=48_000, layout="5.1", tracks=2)
    preview = preview_run(system, analyse(system, many), tmp_path / "out.mp4", team="team")
    assert preview.notes == ("of the sound, one of 2 tracks is kept and 6 channels are mixed to 2",)
    assert len(beeps_s(tmp_path / "out.mp4")) == 3
    unknown = make_beeps(tmp_path / "unknown.mkv", codec="tta", rate=48_000)
    preview = preview_run(system, analyse(system, unknown), tmp_path / "silent.mp4", team="team")
    assert preview.notes == ("the preview has no sound: its codec (tta) is not supported",)
    with av.open(str(tmp_path / "silent.mp4")) as container:
        assert not container.streams.audio


def test_a_silent_video_needs_no_note(system: System, tmp_path: Path) -> None:
    clip = make_video(tmp_path / "v.mp4", 6)
    assert preview_run(system, analyse(system, clip), tmp_path / "out.mp4", team="team").notes == ()


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_what_is_there_of_a_run_without_results_is_drawn(system: System, tmp_path: Path, state: str) -> None:
    put_model(system.settings.models_path)
    clip = make_video(tmp_path / "v.mp4", 90)
    run_id = ask(system, clip, model=MODEL)
    ingest_video(system, run_of(system, run_id).video_id, "w")
    out = tmp_path / "out.mp4"
    with pytest.raises(RunFailed, match="is queued: wait until it has ended"):
        preview_run(system, run_id, out, team="team")
    models = ModelCache(system, Placement("cpu"))
    for idx in (0, 2):
        detect_chunk(system, models, run_id, idx, "w")
    if state == "cancelled":
        cancel_run(system, run_id, team="team")
        why = "the run was cancelled"
    else:
        sql(
            system,
            "UPDATE run SET state = 'failed', reason = 'bad luck', finished_at = now() WHERE id = :id",
            id=run_id,
        )
        why = "the run failed"
    assert run_of(system, run_id).state is RunState(state)
    there = [
        int(str(number))
        for (number,) in sql(system, "SELECT frame FROM frame WHERE run_id = :id ORDER BY 1", id=run_id)
    ]
    left_out = 90 - len(there)
    assert max(b - a for a, b in pairwise(there)) > 1
    for path in (out, tmp_path / "out.png"):
        preview = preview_run(system, run_id, path, team="team")
        assert preview.notes == (f"{left_out} of 90 frames are not drawn: {why}",)
    shown = pictures(out)
    assert [read_number(image) for _, image in shown] == there
    assert [at_s for at_s, _ in shown] == pytest.approx([number / 30 for number in there], abs=1e-3)
    assert draw_thumbnail(system, run_id, team="team").startswith(b"\xff\xd8")


def test_a_run_without_frames_has_nothing_to_draw(system: System, tmp_path: Path) -> None:
    put_model(system.settings.models_path)
    run_id = ask(system, make_video(tmp_path / "v.mp4", 12), model=MODEL)
    cancel_run(system, run_id, team="team")
    for draw in (
        lambda: preview_run(system, run_id, tmp_path / "out.mp4", team="team"),
        lambda: draw_thumbnail(system, run_id, team="team"),
    ):
        with pytest.raises(RunFailed, match="is cancelled, and none of its frames were analysed"):
            draw()
    assert not (tmp_path / "out.mp4").exists()


def test_a_preview_is_never_taken_for_footage(system: System, tmp_path: Path) -> None:
    run_id = analyse(system, make_beeps(tmp_path / "cam03.mp4"))
    renamed = preview_run(system, run_id, tmp_path / "out.mp4", team="team").path.rename(tmp_path / "match.mov")
    message = "match.mov is a preview that Poseline drew; name the video that it was made from"
    with pytest.raises(OwnPreview) as caught:
        upload_file(system, renamed, "team")
    assert caught.value.message == message
    system.store.put_file(renamed, "footage/match.mov")
    upload = register_object(system, f"s3://{system.store.bucket}/footage/match.mov", "team")
    with pytest.raises(VideoRejected):
        ingest_video(system, upload.video.id, "w")
    with transaction(system.engine) as connection:
        video = select_video(connection, upload.video.id, team="team")
    assert (video.state, video.reason) == (
        VideoState.REJECTED,
        "This is a preview that Poseline drew; name the video that it was made from.",
    )


def test_a_copy_of_a_preview_in_another_container_is_recognised(system: System, tmp_path: Path) -> None:
    run_id: UUID = analyse(system, make_video(tmp_path / "v.mp4", 12))
    preview_run(system, run_id, tmp_path / "out.mp4", team="team")
    copy = tmp_path / "copy.mkv"
    with av.open(str(tmp_path / "out.mp4")) as source, av.open(str(copy), "w") as target:
        target.metadata.update(source.metadata)
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    with pytest.raises(OwnPreview):
        upload_file(system, copy, "team")
