"""Have the viewer save a clip of a painted video, and read it, with the oracle's joints drawn on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from tests.support.video_maker import COLUMNS, Image, cells, read_number
from tests.support.viewing import Viewer


@dataclass(frozen=True)
class Saved:
    """One frame of a clip.

    Attributes:
        time: in seconds, as the container has it.
        picture: the number painted on it.
        poses: the number that the joints on it tell; None where they are not the oracle's.
        drawn: the share of its pixels in the colour of the first person.
    """

    time: Fraction
    picture: int
    poses: int | None
    drawn: float


def cut(viewer: Viewer, first: int, last: int) -> None:
    """Mark a clip by the keyboard."""
    for frame, key in ((first, "i"), (last, "o")):
        viewer.page.evaluate(f"location.hash = '#frame={frame}'")
        viewer.settled(frame)
        viewer.page.keyboard.press(key)


def save(viewer: Viewer, folder: Path) -> tuple[str, str, list[Saved]]:
    """Save what is marked. Returns the file's name, the codec's and the frames."""
    with viewer.page.expect_download() as found:
        viewer.page.get_by_role("button", name="Save clip").click()
    name = found.value.suggested_filename
    found.value.save_as(folder / name)
    return name, *read_clip(folder / name)


def read_clip(path: Path) -> tuple[str, list[Saved]]:
    """The codec's name, and the frames in the order of display."""
    with av.open(str(path)) as container:
        assert [stream.type for stream in container.streams] == ["video"]
        stream = container.streams.video[0]
        return stream.codec_context.name, list(_frames(container, stream))


def _frames(container: Any, stream: Any) -> Iterator[Saved]:
    for frame in container.decode(stream):
        image = frame.to_ndarray(format="bgr24")
        orange = _orange(image)
        yield Saved(frame.pts * frame.time_base, read_number(image), _poses(orange), float(orange.mean()))


def _orange(image: Image) -> np.ndarray:
    """Where the first person's colour is, bool `(height, width)`: encoding blurs colours."""
    blue, green, red = (image[..., channel].astype(int) for channel in range(3))
    return np.asarray((red > 150) & (green > 90) & (green < 210) & (blue < 110) & (red - blue > 90))


def _poses(orange: np.ndarray) -> int | None:
    height, width = orange.shape
    reach = width // 80
    number = 0
    for row, column in cells():
        x, y = column * width, row * height
        left, right = (
            orange[int(y) - reach : int(y) + reach, int(at) - reach : int(at) + reach].any()
            for at in (x - width / COLUMNS / 4, x + width / COLUMNS / 4)
        )
        if left == right:
            return None
        number = number << 1 | int(right)
    return number
