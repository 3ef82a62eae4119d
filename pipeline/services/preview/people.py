"""Draw people's skeletons onto an image."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.db.frames import FrameRow

Image = npt.NDArray[np.uint8]

#: BGR, one a person; the colour-blind can distinguish them, too (Okabe and Ito, 2008).
COLOURS = [(0, 159, 230), (233, 180, 86), (115, 158, 0), (66, 228, 240), (178, 114, 0), (0, 94, 213), (167, 121, 204)]
#: Joints less certain than this are not drawn.
MIN_CONFIDENCE = 0.2
#: Keypoints further off, in longest sides of the image, are not drawn: OpenCV's coordinates would overflow.
FARTHEST = 16


def draw_people(
    image: Image,
    row: FrameRow,
    skeleton: Sequence[Sequence[int]],
    scale: float = 1.0,
    *,
    corner_px: tuple[float, float] = (0.0, 0.0),
    colour: tuple[int, int, int] | None = None,
) -> None:
    """Draw a frame's skeletons onto `image`, which is `scale` times the frame that the poses are in.

    Args:
        image: uint8 BGR `(height, width, 3)`; lines are as wide as its size asks for.
        skeleton: pairs of keypoints that a line joins.
        corner_px: where the image's upper left corner is in the frame, x and y.
        colour: BGR, of everybody; otherwise each has another.
    """
    thickness = max(1, round(max(image.shape[:2]) / 400))
    for i in range(len(row.poses)):
        own_colour = COLOURS[i % len(COLOURS)] if colour is None else colour
        points = (row.poses.keypoints[i, :, :2] - np.asarray(corner_px, np.float32)) * scale
        sure = row.poses.keypoints[i, :, 2] >= MIN_CONFIDENCE
        sure &= (np.abs(points) < FARTHEST * max(image.shape)).all(axis=1)
        at = [(round(float(x)), round(float(y))) for x, y in points]
        for a, b in skeleton:
            if sure[a] and sure[b]:
                cv2.line(image, at[a], at[b], own_colour, thickness, cv2.LINE_AA)
        for k, centre in enumerate(at):
            if sure[k]:
                cv2.circle(image, centre, thickness + 1, (255, 255, 255), -1, cv2.LINE_AA)
                cv2.circle(image, centre, thickness, own_colour, -1, cv2.LINE_AA)


def resized(image: Image, width: int, height: int) -> Image:
    """A copy of an image at another size."""
    way = cv2.INTER_AREA if width < image.shape[1] else cv2.INTER_CUBIC
    return np.array(cv2.resize(image, (width, height), interpolation=way), dtype=np.uint8)
