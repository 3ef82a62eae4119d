"""How good a model is by COCO's own measure: average precision over object keypoint similarity.

The measure is pycocotools', the evaluator behind the figures that models are published with. It is imported here and
nowhere else.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import orjson
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pipeline.core.coco import AnnotatedImage, Annotations, parse_annotations
from pipeline.core.files import write_atomically
from pipeline.core.letterbox import letterbox
from pipeline.core.oks import sigmas_for
from pipeline.core.poses import FramePoses
from pipeline.core.progress import SILENT, Progress
from pipeline.errors import InvalidOutput, UsageError
from pipeline.inference.engines.placement import Placement
from pipeline.inference.engines.sessions import Device
from pipeline.inference.zoo import find_model, load_model
from pipeline.services.export import checked_target

#: What published AP is measured with: nearly everything that the network sees counts, ranked by the box's score
#: (mmpose, `configs/body_2d_keypoint/rtmo/body7/`, `test_cfg`; ranking by keypoints gave .522 where the box gave .677,
#: mmpose#3075).
SCORE_THRESHOLD = 0.1
NMS_THRESHOLD = 0.65

#: COCO counts the best so many people of each image (`cocoeval.py`, `maxDets` of keypoints).
MAX_PEOPLE = 20

Image = npt.NDArray[np.uint8]
#: The people in one image, BGR uint8 `(h, w, 3)`, in its own pixels.
Detect = Callable[[Image], FramePoses]


@dataclass(frozen=True)
class CocoFigures:
    """COCO's measures, 0..1; None where no person of that size is annotated.

    Args:
        ap: precision averaged over ten thresholds of OKS, .50 to .95.
        ap_medium, ap_large: of people of 32² to 96² pixels, and above.
        ar: recall averaged over the same thresholds.
    """

    ap: float | None
    ap50: float | None
    ap75: float | None
    ap_medium: float | None
    ap_large: float | None
    ar: float | None


#: For COCO val2017 with these very weights, by their publisher (mmpose, `projects/rtmo/README.md`, body7). What is
#: published of RTMPose is for annotated boxes or for another detector's, so it does not compare.
PUBLISHED = {
    "rtmo-t": CocoFigures(0.574, 0.803, 0.613, None, None, 0.611),
    "rtmo-s": CocoFigures(0.686, 0.879, 0.744, None, None, 0.723),
    "rtmo-m": CocoFigures(0.726, 0.899, 0.790, None, None, 0.763),
    "rtmo-l": CocoFigures(0.748, 0.911, 0.813, None, None, 0.786),
}


@dataclass(frozen=True)
class EvaluationModel:
    """A model to evaluate.

    Args:
        fingerprint: of the model with the thresholds of evaluation.
        load: makes it ready to detect with the thresholds of evaluation.
    """

    name: str
    fingerprint: str
    keypoint_names: tuple[str, ...]
    load: Callable[[], Detect]


@dataclass(frozen=True)
class Evaluation:
    """What came of it.

    Args:
        people: annotated ones who count.
        people_found: all that the model gave.
        seconds: from the first image read to the last one's people.
    """

    figures: CocoFigures
    images: int
    people: int
    people_found: int
    seconds: float


def find_evaluation_model(
    name: str,
    models_path: Path,
    device: Device = "auto",
    threads: int | None = None,
    pins_path: Path | None = None,
) -> EvaluationModel:
    """The model called `name`; its weights are read by `load` only.

    Raises:
        UnknownModel: there is none of this name.
        InvalidWeights: it is not on this machine; or, from `load`, its weights cannot be used.
        DeviceUnavailable: from `load`, the device is not there.
    """
    found = find_model(name, models_path, pins_path)
    spec = dataclasses.replace(found.spec, score_threshold=SCORE_THRESHOLD, nms_threshold=NMS_THRESHOLD)

    def load() -> Detect:
        model = load_model(
            dataclasses.replace(found, spec=spec), Placement(device, threads=threads or os.cpu_count() or 1)
        )

        def detect(image: Image) -> FramePoses:
            square, scale = (image, 1.0) if spec.side_px is None else letterbox(image, spec.side_px)
            return model.detect([square], [scale])[0]

        return detect

    return EvaluationModel(name, spec.fingerprint, spec.keypoint_names, load)


def read_annotations(
    path: Path, images_path: Path, keypoint_names: Sequence[str], limit: int | None = None
) -> Annotations:
    """An annotation file whose images are all there; with `limit` only its first ones.

    Raises:
        UsageError: the file is none, images are missing, or nobody in them has keypoints.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror})") from error
    annotations = parse_annotations(data, path.name, keypoint_names)
    if limit is not None:
        annotations = annotations.first(limit)
    missing = [image.file_name for image in annotations.images if not (images_path / image.file_name).is_file()]
    if missing:
        raise UsageError(
            f"{len(missing)} of {len(annotations.images)} images are not in {images_path}, the first is {missing[0]}"
        )
    if not annotations.people_who_count:
        count = len(annotations.images)
        raise UsageError(f"{path.name}: nobody in {count} images has annotated keypoints, so nothing can be measured")
    return annotations


def evaluate_coco(
    annotations: Annotations,
    images_path: Path,
    detect: Detect,
    keypoint_names: Sequence[str],
    progress: Progress = SILENT,
) -> tuple[Evaluation, list[dict[str, Any]]]:
    """Find the people in every image and compare them with the annotated ones.

    Args:
        progress: counts images.

    Returns:
        The outcome, and what was found in COCO's results format, one entry a person, `score` being the box's.

    Raises:
        UsageError: an image cannot be read, or is not of the size that the annotations say.
        InvalidOutput: the model gave keypoints that are no numbers.
    """
    results: list[dict[str, Any]] = []
    began_at = time.monotonic()
    for image in annotations.images:
        poses = _detected(detect, _read(images_path, image), image.file_name)
        results += _results(poses, image.id, annotations.category_id)
        progress.advance()
    seconds = time.monotonic() - began_at
    figures = score(annotations, results, keypoint_names)
    people = annotations.people_who_count
    return Evaluation(figures, len(annotations.images), people, len(results), seconds), results


def score(annotations: Annotations, results: Sequence[dict[str, Any]], keypoint_names: Sequence[str]) -> CocoFigures:
    """COCO's measures of results in COCO's format, one entry a person."""
    wanted = [
        {
            "id": number,  # from 1 on: pycocotools takes a match with annotation 0 for none
            "image_id": person.image_id,
            "category_id": annotations.category_id,
            "bbox": list(person.bbox_xywh),
            "area": person.area_px2,
            "keypoints": list(person.keypoints),
            "num_keypoints": person.num_keypoints,
            "iscrowd": int(person.is_crowd),
        }
        for number, person in enumerate(annotations.people, 1)
    ]
    found = [result | _extent(result["keypoints"]) | {"id": number} for number, result in enumerate(results, 1)]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(_index(annotations, wanted), _index(annotations, found), "keypoints")
        evaluation.params.kpt_oks_sigmas = sigmas_for(keypoint_names)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    # In the order of `_summarizeKps`; -1 is its word for nothing to measure.
    ap, ap50, ap75, ap_medium, ap_large, ar = (None if s < 0 else float(s) for s in evaluation.stats[:6])
    return CocoFigures(ap, ap50, ap75, ap_medium, ap_large, ar)


def write_results(results: Sequence[dict[str, Any]], to: Path) -> None:
    """Write what was found as COCO's results format; the file appears whole or not at all.

    Raises:
        UsageError: it cannot be written there.
    """
    target = checked_target(to)
    try:
        write_atomically(target, orjson.dumps(results, option=orjson.OPT_SERIALIZE_NUMPY))
    except OSError as error:
        raise UsageError(f"{to} cannot be written ({error.strerror})") from error


def _read(images_path: Path, image: AnnotatedImage) -> Image:
    """An image as it is stored: COCO's annotations know nothing of the orientation that a camera noted."""
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        data = np.frombuffer((images_path / image.file_name).read_bytes(), np.uint8)
        pixels = cv2.imdecode(data, flags) if len(data) else None
    except (OSError, cv2.error) as error:
        raise UsageError(f"{image.file_name} cannot be read ({type(error).__name__})") from error
    if pixels is None:
        raise UsageError(f"{image.file_name} is not an image that can be read")
    size_px = (pixels.shape[1], pixels.shape[0])
    if image.size_px not in {None, size_px}:
        raise UsageError(f"{image.file_name} has {size_px} pixels and the annotations are for {image.size_px}")
    return np.asarray(pixels, np.uint8)


def _detected(detect: Detect, image: Image, file_name: str) -> FramePoses:
    try:
        poses = detect(image)
    except ValueError as error:
        raise UsageError(f"{file_name}: {error}") from error
    # pycocotools takes a similarity that is no number for a match.
    if not np.isfinite(poses.keypoints).all():
        raise InvalidOutput(f"{file_name}: the model gave keypoints that are not numbers; try another model")
    return poses


def _results(poses: FramePoses, image_id: int, category_id: int) -> Iterator[dict[str, Any]]:
    for person in range(len(poses)):
        yield {
            "image_id": image_id,
            "category_id": category_id,
            "keypoints": poses.keypoints[person].reshape(-1),
            "score": poses.scores[person],
        }


def _extent(keypoints: npt.NDArray[np.float32]) -> dict[str, Any]:
    """Box and area as pycocotools' `loadRes` takes them from keypoints; itself it fails where nobody was found."""
    (left, top), (right, bottom) = (edge(keypoints.reshape(-1, 3)[:, :2], axis=0).tolist() for edge in (np.min, np.max))
    return {"bbox": [left, top, right - left, bottom - top], "area": (right - left) * (bottom - top)}


def _index(annotations: Annotations, entries: list[dict[str, Any]]) -> Any:
    coco: Any = COCO()
    coco.dataset = {
        "images": [{"id": image.id} for image in annotations.images],
        "categories": [{"id": annotations.category_id}],
        "annotations": entries,
    }
    coco.createIndex()
    return coco
