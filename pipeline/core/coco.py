"""COCO's annotation files of people's keypoints: read, checked, and made safe to evaluate with.

The format is that of `person_keypoints_val2017.json` (cocodataset.org/#format-data). What COCO's own evaluator would
accept and count wrongly is refused or corrected here: it counts a match with an annotation of id 0 as none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from pipeline.errors import UsageError

#: COCO val2017: its images, and how its files name themselves (`info.description`).
VAL2017_IMAGES = 5000
VAL2017_DESCRIPTION = "COCO 2017 Dataset"


@dataclass(frozen=True)
class AnnotatedImage:
    """One annotated image, with or without people.

    Args:
        file_name: below the folder of images, never out of it.
        size_px: width and height as stored, None where the file does not say.
    """

    id: int
    file_name: str
    size_px: tuple[int, int] | None


@dataclass(frozen=True)
class AnnotatedPerson:
    """One person, or a crowd, in one image.

    Args:
        bbox_xywh: left, top, width, height, pixels.
        keypoints: x, y and v of each keypoint in a row: v is 0 where it was not annotated.
        num_keypoints: how many were; COCO leaves a person with none out of the count.
    """

    image_id: int
    bbox_xywh: tuple[float, ...]
    area_px2: float
    keypoints: tuple[float, ...]
    num_keypoints: int
    is_crowd: bool

    @property
    def counts(self) -> bool:
        """Whether it costs recall not to find this person."""
        return self.num_keypoints > 0 and not self.is_crowd


@dataclass(frozen=True)
class Annotations:
    """An annotation file: every image once, and the people in them."""

    name: str
    images: tuple[AnnotatedImage, ...]
    people: tuple[AnnotatedPerson, ...]
    category_id: int
    is_val2017: bool

    @property
    def people_who_count(self) -> int:
        """People who have keypoints and are no crowd."""
        return sum(person.counts for person in self.people)

    def first(self, limit: int) -> Annotations:
        """Only the first images of the file, and the people in them."""
        if limit >= len(self.images):
            return self
        images = self.images[:limit]
        kept = {image.id for image in images}
        people = tuple(person for person in self.people if person.image_id in kept)
        return replace(self, images=images, people=people, is_val2017=False)


def parse_annotations(data: bytes, name: str, keypoint_names: Sequence[str]) -> Annotations:
    """What an annotation file says of the people in its images.

    Args:
        name: of the file, for what is said about it.
        keypoint_names: the model's, in its order; the file's must be the same.

    Raises:
        UsageError: it is no annotation file, not of keypoints, of other keypoints, or contradicts itself.
    """
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name} is no JSON ({error})") from error
    if isinstance(content, list):
        raise UsageError(f"{name} holds results, not annotations; take a file like person_keypoints_val2017.json")
    if not isinstance(content, dict) or any(
        not isinstance(content.get(key), list) for key in ("images", "annotations", "categories")
    ):
        raise UsageError(f"{name} is no COCO annotation file: it needs lists of images, annotations and categories")
    try:
        category_id = _category_id(content["categories"], keypoint_names)
        images = tuple(_images(content["images"]))
        known = {image.id for image in images}
        people = tuple(_people(content["annotations"], category_id, known, len(keypoint_names)))
    except UsageError as error:
        raise UsageError(f"{name}: {error.message}") from error
    info = content.get("info")
    description = info.get("description") if isinstance(info, dict) else None
    is_val2017 = description == VAL2017_DESCRIPTION and len(images) == VAL2017_IMAGES
    return Annotations(name, images, people, category_id, is_val2017)


def _category_id(categories: list[Any], keypoint_names: Sequence[str]) -> int:
    """The one kind of thing that has keypoints: people."""
    with_keypoints = [c for c in categories if isinstance(c, dict) and isinstance(c.get("keypoints"), list)]
    if not with_keypoints:
        raise UsageError("it has boxes but no keypoints; take a file like person_keypoints_val2017.json")
    people = [c for c in with_keypoints if c.get("name") == "person"] or with_keypoints
    if len(people) > 1:
        raise UsageError(f"{len(people)} categories have keypoints, and none of them alone is called person")
    names = [_plain(name) for name in people[0]["keypoints"]]
    if len(names) != len(keypoint_names):
        raise UsageError(f"it has {len(names)} keypoints a person and the model finds {len(keypoint_names)}")
    wanted = [_plain(name) for name in keypoint_names]
    if names != wanted:
        at = next(i for i, (got, want) in enumerate(zip(names, wanted, strict=True)) if got != want)
        raise UsageError(f"its keypoint {at + 1} is {names[at]} and the model's is {wanted[at]}")
    return _integer(people[0], "id", "category")


def _plain(name: object) -> str:
    return str(name).lower().replace(" ", "_").replace("-", "_")


def _images(entries: list[Any]) -> Iterator[AnnotatedImage]:
    if not entries:
        raise UsageError("it has no images")
    seen = set()
    for entry in entries:
        number = _integer(entry, "id", "image")
        if number in seen:
            raise UsageError(f"image {number} is there twice")
        seen.add(number)
        size = (entry.get("width"), entry.get("height"))
        size_px = (_integer(entry, "width", "image"), _integer(entry, "height", "image")) if None not in size else None
        yield AnnotatedImage(number, _file_name(entry.get("file_name"), number), size_px)


def _file_name(name: object, number: int) -> str:
    """A name below the folder of images, by the rules of any system that this may run on."""
    if not isinstance(name, str) or not PurePosixPath(name).name or "\0" in name:
        raise UsageError(f"image {number} has no file name")
    windows = PureWindowsPath(name)
    if windows.anchor or PurePosixPath(name).is_absolute() or ".." in windows.parts:
        raise UsageError(f"image {number} is {name!r}, which leads out of the folder of images")
    return name


def _people(entries: list[Any], category_id: int, images: set[int], keypoints: int) -> Iterator[AnnotatedPerson]:
    for entry in entries:
        if _integer(entry, "category_id", "annotation") != category_id:
            continue
        image_id = _integer(entry, "image_id", "annotation")
        if image_id not in images:
            raise UsageError(f"an annotation is of image {image_id}, which is not in the file")
        is_crowd = bool(entry.get("iscrowd", 0))
        # A crowd has no keypoints, and some files then leave the field out.
        points = _numbers(entry.get("keypoints", [0] * 3 * keypoints if is_crowd else None), image_id)
        if len(points) != 3 * keypoints:
            raise UsageError(f"an annotation of image {image_id} has {len(points)} numbers for {keypoints} keypoints")
        bbox, area = _numbers(entry.get("bbox"), image_id), _numbers([entry.get("area")], image_id)
        if len(bbox) != 4 or area[0] < 0:
            raise UsageError(f"an annotation of image {image_id} has no box of four numbers, or an area below zero")
        annotated = sum(v > 0 for v in points[2::3])
        told = entry.get("num_keypoints", annotated)
        yield AnnotatedPerson(image_id, bbox, area[0], points, annotated if told else 0, is_crowd)


def _integer(entry: object, key: str, what: str) -> int:
    value = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(value, int) or isinstance(value, bool):
        raise UsageError(f"one {what} has no {key} that is a whole number")
    return value


def _numbers(values: object, image_id: int) -> tuple[float, ...]:
    try:
        array = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        array = np.array([np.nan])
    if array.ndim != 1 or not np.isfinite(array).all():
        raise UsageError(f"an annotation of image {image_id} lacks its keypoints, box or area, or these are no numbers")
    return tuple(array.tolist())
