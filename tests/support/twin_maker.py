"""Pictures that the contract twins understand, and the poses that must come out of them.

A twin is a small network with exactly the inputs and outputs of a published one, whose answer is a function of the
frame's own pixels. There are two pixel codes; one picture may carry both.

* A `Mark` fills a cell of the detector's grid, `CELL_PX` of the letterboxed square. The pixel in the middle of the cell
  tells: blue who it is, green how large, red how sure. RTMO, YOLOX and RTMDet twins read marks.
* A `Body` is a field of flat blue with a soft red blob near its head and a soft green one near its feet. SimCC twins
  read the one body in their crop; its keypoints lie along and beside the line from red to green.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Image = npt.NDArray[np.uint8]

#: Of the grid of marks, in pixels of the letterboxed square: the coarsest stride of YOLOX and RTMO.
CELL_PX = 32
#: A cell is a person from this blue on, and another thing, `OTHER_CLASS`, from that one on.
PERSON_FROM, OTHER_FROM = 192, 128
#: "dog" in COCO's 80 classes counted from 0 (rtmlib 0.0.16, `YOLOX.COCO_CLASSES`).
OTHER_CLASS = 16
#: What the score of a cell that is nobody is worth: below every threshold, but real and told by its pixel.
NOBODY = 0.01
#: Red and green of a body count from here on, so a background below it is nothing.
FLOOR = 48
#: Pixels with more blue than this are part of a mark, so SimCC twins do not see them.
HIDDEN_FROM = 150
#: The blue of a body all of whose keypoints are visible.
ALL_VISIBLE = 127

_BACKGROUND = (30, 25, 20)


@dataclass(frozen=True)
class Mark:
    """Somebody in a detector's cell.

    Args:
        column, row: of the cell, from 0 at the top left of the letterboxed square.
        red: 0..255, how sure. Below 192, and the mark is no person where red and blue are swapped.
        green: 0..255; the box is `16 + green / 2` wide and half as much again high, in pixels of the square.
        blue: 192..255 is a person, 128..191 a dog.
    """

    column: int
    row: int
    red: int = 190
    green: int = 60
    blue: int = 240

    @property
    def person(self) -> bool:
        return self.blue >= PERSON_FROM

    def box(self, scale: float) -> Floats:
        """x1, y1, x2, y2, in pixels of the picture that was scaled by `scale`; it may reach out of the picture."""
        middle = (np.array([self.column, self.row]) + 0.5) * CELL_PX
        half = (16 + self.green / 2) * np.array([0.5, 0.75])
        return (np.concatenate([middle - half, middle + half]) / scale).astype(np.float32)


@dataclass(frozen=True)
class Body:
    """Somebody whom SimCC twins see.

    Args:
        box_xyxy: in pixels of the picture; its padded crop may hold no other body.
        red, green: 0..255, how sure: along x and along y. No more than `FLOOR` is no blob, so nothing to be seen.
        blue: 0..127, how many of the keypoints, from the first on, are visible: 127 is all of them.
        head, feet: of the box, where the blobs are.
    """

    box_xyxy: tuple[float, float, float, float]
    red: int = 220
    green: int = 180
    blue: int = ALL_VISIBLE
    head: tuple[float, float] = (0.4, 0.2)
    feet: tuple[float, float] = (0.65, 0.8)

    def ends(self) -> npt.NDArray[np.float64]:
        """The middles of both blobs, `[2, 2]`, in pixels of the picture."""
        x1, y1, x2, y2 = self.box_xyxy
        return np.array([(x1 + (x2 - x1) * x, y1 + (y2 - y1) * y) for x, y in (self.head, self.feet)])


def scale_of(width: int, height: int, side_px: int) -> float:
    """Pixels of the square per pixel of the picture, as rtmlib 0.0.16 and mmpose have it."""
    return min(side_px / width, side_px / height)


def paint_bodies(bodies: Sequence[Body], width: int, height: int) -> Image:
    """uint8 `[height, width, 3]`, BGR, on a dark ground."""
    picture = np.empty((height, width, 3))
    picture[:] = _BACKGROUND
    across, down = np.arange(width), np.arange(height)[:, None]
    for body in bodies:
        x1, y1, x2, y2 = (round(edge) for edge in body.box_xyxy)
        picture[max(0, y1) : y2, max(0, x1) : x2, 0] = body.blue
        soft_px = (y2 - y1) * 0.05
        for channel, peak, (x, y) in zip((2, 1), (body.red, body.green), body.ends(), strict=True):
            blob = peak * np.exp(-((across - x) ** 2 + (down - y) ** 2) / (2 * soft_px**2))
            picture[..., channel] = np.maximum(picture[..., channel], blob)
    return picture.round().astype(np.uint8)


def paint(marks: Sequence[Mark], width: int, height: int, side_px: int, *, onto: Image | None = None) -> Image:
    """uint8 `[height, width, 3]`, BGR, with `marks` for a detector that takes squares of `side_px`.

    Args:
        onto: a picture to paint on, left as it is; a dark one where it is None.

    Raises:
        ValueError: a mark would be outside the picture, or too small in it to survive scaling.
    """
    scale = scale_of(width, height, side_px)
    if CELL_PX / scale < 8:
        raise ValueError(f"a cell is {CELL_PX / scale:.1f} px of {width} x {height}, and must be 8 at least")
    picture = np.empty((height, width, 3), np.uint8) if onto is None else onto.copy()
    if onto is None:
        picture[:] = _BACKGROUND
    for mark in marks:
        left, top = mark.column * CELL_PX, mark.row * CELL_PX
        if (left + CELL_PX) / scale > width + 1 or (top + CELL_PX) / scale > height + 1 or min(left, top) < 0:
            raise ValueError(f"{mark} is outside of {width} x {height}")
        # The frame keeps a mark's red and green from a SimCC twin that interpolates at its edge.
        for margin, colour in ((0, (224, 0, 0)), (4, (mark.blue, mark.green, mark.red))):
            x1, y1 = round((left + margin) / scale), round((top + margin) / scale)
            x2, y2 = round((left + CELL_PX - margin) / scale), round((top + CELL_PX - margin) / scale)
            picture[y1:y2, x1:x2] = colour
    return picture


def box_layout(keypoints: int) -> Floats:
    """Where an RTMO twin puts keypoints, of the box's width and height from its middle, and their share of the
    visibility: `[keypoints, 3]`. No two are alike, and neither is a mirror image of the other."""
    j = np.arange(keypoints)
    x = -0.4 + 0.8 * (j * 7 % keypoints) / keypoints
    return np.stack([x, -0.45 + 0.9 * j / keypoints, 1 - j / (2 * keypoints)], axis=1).astype(np.float32)


def line_layout(keypoints: int) -> Floats:
    """Where a SimCC twin puts keypoints, along and beside the line from red to green, and their share of the
    confidence: `[keypoints, 3]`."""
    j = np.arange(keypoints)
    along, beside = j / (keypoints - 1), 0.25 * ((j * 5 % 7) - 3) / 3
    return np.stack([along, beside, 1 - j / (2 * keypoints)], axis=1).astype(np.float32)


def expected(
    marks: Sequence[Mark], width: int, height: int, side_px: int, *, keypoints: int = 17, above: float = 0.1
) -> tuple[Floats, Floats, Floats]:
    """What an RTMO twin must find, in pixels of the picture, best first: scores `[n]`, boxes `[n, 4]`, keypoints
    `[n, keypoints, 3]`. Nobody is dropped for an overlap."""
    scale = scale_of(width, height, side_px)
    people = sorted((m for m in marks if m.person and m.red / 255 > above), key=lambda m: -m.red)
    scores = np.array([m.red / 255 for m in people], np.float32)
    boxes = np.array([m.box(scale) for m in people], np.float32).reshape(-1, 4)
    layout = box_layout(keypoints)
    places = (boxes[:, None, :2] + boxes[:, None, 2:]) / 2 + layout[:, :2] * (boxes[:, None, 2:] - boxes[:, None, :2])
    seen = np.array([m.blue / 255 for m in people], np.float32)[:, None, None] * layout[:, 2:]
    return scores, boxes, np.concatenate([places, seen], axis=2)


def expected_body(body: Body, keypoints: int) -> Floats:
    """What a SimCC twin must find of a body, `[keypoints, 3]`, x, y in pixels of the picture and the confidence as
    rtmlib has it, the mean of both axes'. A keypoint that is not to be seen has a confidence of zero or less.

    Positions are before the network's bins, which move them by up to half a bin.
    """
    head, feet = body.ends()
    line = feet - head
    layout = line_layout(keypoints)
    places = head + layout[:, :1] * line + layout[:, 1:2] * np.array([-line[1], line[0]])
    sure = (body.red + body.green - 2 * FLOOR) / (2 * (255 - FLOOR)) * layout[:, 2:]
    hidden = np.arange(keypoints) + 0.5 > body.blue / ALL_VISIBLE * keypoints
    sure[hidden | (min(body.red, body.green) <= FLOOR)] = -1
    return np.concatenate([places, sure], axis=1).astype(np.float32)
