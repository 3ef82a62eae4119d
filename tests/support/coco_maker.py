"""Tiny annotated sets in COCO's format, and a stand-in for a model that sees in each picture what it was told."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pipeline.core.poses import FramePoses
from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.inference.zoo import find_model

NAMES = find_model(BUNDLED_MODEL, Path()).spec.keypoint_names
SIDE_PX = 200


def pose(left: float = 10, top: float = 10, side_px: float = 100) -> np.ndarray:
    """Keypoints `(17, 2)` on the diagonal of a box."""
    steps = np.linspace(0, side_px, len(NAMES))
    return np.stack([left + steps, top + steps], axis=1)


def person(image_id: int, xy: np.ndarray | None = None, *, area: float = 10_000, **fields: Any) -> dict[str, Any]:
    """One annotation; 10,000 square pixels are large and 2,500 medium."""
    xy = pose() if xy is None else xy
    (left, top), (right, bottom) = xy.min(axis=0).tolist(), xy.max(axis=0).tolist()
    return {
        "image_id": image_id,
        "category_id": 1,
        "bbox": [left, top, right - left, bottom - top],
        "area": area,
        "keypoints": np.column_stack([xy, np.full(len(xy), 2)]).ravel().tolist(),
        "num_keypoints": len(xy),
        "iscrowd": 0,
    } | fields


def unmarked(image_id: int, **fields: Any) -> dict[str, Any]:
    """Somebody, or a crowd, without keypoints."""
    return person(image_id, keypoints=[0] * 3 * len(NAMES), num_keypoints=0, **fields)


def content(count: int, people: Sequence[Mapping[str, Any]], **fields: Any) -> dict[str, Any]:
    """An annotation file's content; images are numbered from 1, annotations from 0 as some files do."""
    return {
        "info": {"description": "a test"},
        "images": [
            {"id": number, "file_name": f"{number}.png", "width": SIDE_PX, "height": SIDE_PX}
            for number in range(1, count + 1)
        ],
        "annotations": [{"id": number, **one} for number, one in enumerate(people)],
        "categories": [{"id": 1, "name": "person", "keypoints": list(NAMES), "skeleton": []}],
    } | fields


def write_set(folder: Path, count: int, people: Sequence[Mapping[str, Any]], **fields: Any) -> tuple[Path, Path]:
    """The annotation file and the folder of pictures; each picture's blue is its number."""
    pictures = folder / "images"
    pictures.mkdir(parents=True)
    for number in range(1, count + 1):
        cv2.imwrite(str(pictures / f"{number}.png"), np.full((SIDE_PX, SIDE_PX, 3), (number, 0, 0), np.uint8))
    path = folder / "annotations.json"
    path.write_text(json.dumps(content(count, people, **fields)))
    return path, pictures


class Seen:
    """A model that finds, in the picture of each number, these people: box score, keypoints, keypoints' confidence."""

    def __init__(self, people: Mapping[int, Sequence[tuple[float, np.ndarray, float]]]) -> None:
        self._people = people
        self.shapes: list[tuple[int, ...]] = []
        self.numbers: list[int] = []

    def __call__(self, image: np.ndarray) -> FramePoses:
        number = int(image[0, 0, 0])
        self.shapes.append(image.shape)
        self.numbers.append(number)
        people = self._people.get(number, ())
        if not people:
            return FramePoses.empty()
        points = [np.column_stack([xy, np.full(len(xy), confidence)]) for _, xy, confidence in people]
        boxes = [np.concatenate([xy.min(axis=0), xy.max(axis=0)]) for _, xy, _ in people]
        return FramePoses(np.array([s for s, _, _ in people]), np.array(boxes), np.array(points))
