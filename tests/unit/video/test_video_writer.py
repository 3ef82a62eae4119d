"""What is written: sizes that H.264 can hold, no more frames a second than its level allows, the tag, colours."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from uuid import uuid4

import av
import numpy as np
import pytest

from pipeline.core.preview_tag import preview_tag, read_preview_tag
from pipeline.video.video_writer import MAX_PIXELS, MAX_SIDE, VideoWriter, encodable_size


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1920, 1080), (1920, 1080)),
        ((3840, 2160), (3840, 2160)),
        ((8192, 4320), (8192, 4320)),
        ((1081, 609), (1082, 610)),
        ((1, 7), (2, 8)),
        ((16_386, 1000), (16_384, 998)),
    ],
)
def test_a_size_is_kept_as_far_as_h264_goes(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert encodable_size(*size) == expected


def test_a_size_beyond_h264_is_reduced_in_its_shape() -> None:
    width, height = encodable_size(12_000, 9_000)
    assert width * height <= MAX_PIXELS
    assert max(width, height) <= MAX_SIDE
    assert width / height == pytest.approx(12 / 9, rel=1e-3)


def write(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (64, 48)) -> Path:
    image = np.full((size[1], size[0], 3), colour, np.uint8)
    with VideoWriter.open(
        path, size=size, time_base=Fraction(1, 600), usual_fps=Fraction(30), comment="a comment", channels=1
    ) as writer:
        for at in range(5):
            writer.write(image, 20 * at)
            writer.write_sound(np.zeros((1600, 1), np.int16))
    return path


@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (200, 60, 20), (255, 255, 255), (0, 0, 0)])
def test_colours_and_their_description_agree(tmp_path: Path, colour: tuple[int, int, int]) -> None:
    with av.open(str(write(tmp_path / "v.mp4", colour))) as container:
        assert container.metadata["comment"] == "a comment"
        assert "creation_time" not in container.metadata
        frame = next(container.decode(container.streams.video[0]))
        assert (frame.colorspace, frame.color_range) == (1, 1)  # BT.709, limited
        shown = frame.to_ndarray(format="bgr24")
    assert np.abs(shown.astype(int) - colour).max() <= 6


def test_nothing_is_left_of_a_video_that_broke_off(tmp_path: Path) -> None:
    def break_off() -> None:
        form = {"size": (64, 48), "time_base": Fraction(1, 30), "usual_fps": Fraction(30), "comment": ""}
        with VideoWriter.open(tmp_path / "v.mp4", **form) as writer:
            writer.write(np.zeros((48, 64, 3), np.uint8), 0)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        break_off()
    assert list(tmp_path.iterdir()) == []


def test_only_a_preview_has_the_tag() -> None:
    run_id = uuid4()
    assert read_preview_tag(preview_tag(run_id)) == run_id
    for other in ("", "Match 3", "Poseline preview of run ", "Poseline preview of run 7", f"x {preview_tag(run_id)}"):
        assert read_preview_tag(other) is None
