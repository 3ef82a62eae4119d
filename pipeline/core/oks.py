"""How alike two analyses of the same images are: who was found in both, and how far apart the keypoints lie.

People are matched by OKS, the object keypoint similarity of COCO: 1 where all keypoints coincide, falling with their
distance, measured against the size of the person and how surely people place that keypoint (its sigma).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.core.poses import FramePoses

Float64s = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

#: For a set of keypoints that nobody published sigmas for: between the means of COCO (0.067) and of COCO-WholeBody
#: (0.029), so that figures are of a plausible size. They compare with no other set's.
UNIFORM_SIGMA = 0.05

#: Below this no two people are taken for the same: the loosest threshold of COCO's AP (cocoeval.py, `iouThrs`).
SAME_PERSON_OKS = 0.5

#: A keypoint counts from this confidence: what mmpose draws by default (`PoseLocalVisualizer`, `kpt_thr`).
SURE_CONFIDENCE = 0.3

#: COCO's 17 keypoints (cocoapi, `PythonAPI/pycocotools/cocoeval.py`, `kpt_oks_sigmas`).
COCO_SIGMAS = (
    *(0.026, 0.025, 0.025, 0.035, 0.035),
    *(0.079, 0.079, 0.072, 0.072, 0.062, 0.062),
    *(0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
)

#: Halpe's 26: COCO's, then head, neck, hip, and three of each foot (mmpose, `configs/_base_/datasets/halpe26.py`, from
#: Halpe-FullBody's `halpecocotools/cocoeval.py`). Its sigmas of feet are not those of COCO-WholeBody.
HALPE26_SIGMAS = (*COCO_SIGMAS, 0.026, 0.026, 0.066, 0.079, 0.079, 0.079, 0.079, 0.079, 0.079)

#: A hand's 21, from the wrist, four of each finger (COCO-WholeBody, `evaluation/myeval_wholebody.py`).
HAND_SIGMAS = (
    0.029,
    *(0.022, 0.035, 0.037, 0.047),
    *(0.026, 0.025, 0.024, 0.035),
    *(0.018, 0.024, 0.022, 0.026),
    *(0.017, 0.021, 0.021, 0.032),
    *(0.02, 0.019, 0.022, 0.031),
)

_FEET_SIGMAS = (0.068, 0.066, 0.066, 0.092, 0.094, 0.094)
_FACE_SIGMAS = (
    *(0.042, 0.043, 0.044, 0.043, 0.040, 0.035, 0.031, 0.025, 0.020, 0.023, 0.029, 0.032, 0.037, 0.038, 0.043, 0.041),
    *(0.045, 0.013, 0.012, 0.011, 0.011, 0.012, 0.012, 0.011, 0.011, 0.013, 0.015, 0.009, 0.007, 0.007, 0.007, 0.012),
    *(0.009, 0.008, 0.016, 0.010, 0.017, 0.011, 0.009, 0.011, 0.009, 0.007, 0.013, 0.008, 0.011, 0.012, 0.010, 0.034),
    *(0.008, 0.008, 0.009, 0.008, 0.008, 0.007, 0.010, 0.008, 0.009, 0.009, 0.009, 0.007, 0.007, 0.008, 0.011, 0.008),
    *(0.008, 0.008, 0.01, 0.008),
)

#: COCO-WholeBody's 133: body, feet, face, left hand, right hand (the same file).
WHOLEBODY_SIGMAS = (*COCO_SIGMAS, *_FEET_SIGMAS, *_FACE_SIGMAS, *HAND_SIGMAS, *HAND_SIGMAS)

#: Of each known number of keypoints: who published the sigmas, the set's first keypoint, the sigmas.
_PUBLISHED: dict[int, tuple[str, str, tuple[float, ...]]] = {
    17: ("COCO", "nose", COCO_SIGMAS),
    21: ("COCO-WholeBody hand", "wrist", HAND_SIGMAS),
    26: ("Halpe", "nose", HALPE26_SIGMAS),
    133: ("COCO-WholeBody", "nose", WHOLEBODY_SIGMAS),
}


def sigmas_source(keypoints: int | Sequence[str]) -> str | None:
    """Who published the sigmas that `sigmas_for` gives; None where it gives `UNIFORM_SIGMA` for all."""
    count = keypoints if isinstance(keypoints, int) else len(keypoints)
    if count not in _PUBLISHED:
        return None
    source, first, _ = _PUBLISHED[count]
    return source if isinstance(keypoints, int) or keypoints[0] == first else None


def sigmas_for(keypoints: int | Sequence[str]) -> Float64s:
    """The published sigmas of a set of keypoints, float64 `(k,)`.

    Args:
        keypoints: how many there are, or their names: then a set that merely is as large as a known one (Human3.6M has
            17 as well) is told from it by its first name.

    A set that nobody published sigmas for gets `UNIFORM_SIGMA` everywhere; `sigmas_source` tells.

    Raises:
        ValueError: there are no keypoints.
    """
    count = keypoints if isinstance(keypoints, int) else len(keypoints)
    if count < 1:
        raise ValueError(f"there must be keypoints, got {count}")
    known = sigmas_source(keypoints) is not None
    return np.array(_PUBLISHED[count][2] if known else [UNIFORM_SIGMA] * count, np.float64)


def oks(
    found_xy: npt.ArrayLike,
    wanted_xy: npt.ArrayLike,
    visible: npt.ArrayLike,
    area_px2: float,
    sigmas: npt.ArrayLike,
) -> float:
    """The object keypoint similarity of two poses, 0..1, as COCO's `cocoeval.py` computes it (`computeOks`).

    Args:
        found_xy, wanted_xy: `(k, 2)`, pixels.
        visible: `(k,)` bool, which of the wanted keypoints count.
        area_px2: of the wanted person. COCO takes the person's outline, others the box.
        sigmas: `(k,)`.

    Raises:
        ValueError: the shapes do not fit each other, something is no number, or no keypoint counts.
    """
    found, wanted = _numbers(found_xy, "found_xy"), _numbers(wanted_xy, "wanted_xy")
    spread, counts = _numbers(sigmas, "sigmas"), np.asarray(visible, bool)
    if found.ndim != 2 or found.shape[1] != 2 or found.shape != wanted.shape:
        raise ValueError(f"two poses must have one shape (k, 2), got {found.shape} and {wanted.shape}")
    if spread.shape != found.shape[:1] or counts.shape != found.shape[:1]:
        raise ValueError(f"{len(found)} keypoints need as many sigmas and visible, got {spread.shape}, {counts.shape}")
    if not counts.any():
        raise ValueError("no keypoint is visible, so nothing can be compared")
    if not (area_px2 >= 0 and (spread > 0).all()):
        raise ValueError(f"the area must not be negative and sigmas must be above zero, got {area_px2} and {spread}")
    return float(_oks_of_each(found[None], wanted, counts, float(area_px2), spread)[0])


def _oks_of_each(found: Float64s, wanted: Float64s, visible: Bools, area_px2: float, sigmas: Float64s) -> Float64s:
    """OKS of many found poses `(n, k, 2)` with one wanted `(k, 2)`: `(n,)`."""
    squares_px2 = ((found[:, visible] - wanted[visible]) ** 2).sum(axis=2)
    variances = (2 * sigmas[visible]) ** 2
    similar: Float64s = np.exp(-squares_px2 / variances / (area_px2 + np.spacing(1)) / 2).mean(axis=1)
    return similar


def _numbers(values: npt.ArrayLike, name: str) -> Float64s:
    array = np.asarray(values, np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be numbers")
    return array


@dataclass(frozen=True)
class AgreementFigures:
    """The figures of an `Agreement`; those measured on people are None where no person was matched."""

    frames: int
    people_wanted: int
    people_found: int
    people_lost: int
    people_gained: int
    oks_mean: float | None
    oks_min: float | None
    px_median: float | None
    px_p95: float | None
    px_max: float | None


@dataclass(frozen=True, eq=False)
class Agreement:
    """How alike what was found and what was wanted are, in one frame or in many.

    Args:
        frames: how many were compared.
        people_found, people_wanted: in all of them.
        oks: float64 `(matched,)`, of each person who is in both.
        distances_px: float64 `(n,)`, of each keypoint of these that the wanted pose is sure of.

    Raises:
        ValueError: a number is negative, or more people are in both than in one.
    """

    frames: int
    people_found: int
    people_wanted: int
    oks: Float64s
    distances_px: Float64s

    def __post_init__(self) -> None:
        for name in ("oks", "distances_px"):
            array = np.array(getattr(self, name), np.float64)
            if array.ndim != 1 or not (array >= 0).all():
                raise ValueError(f"{name} must be a row of numbers from 0 on")
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        if self.frames < 0 or (self.oks > 1).any():
            raise ValueError(f"frames must not be negative nor an OKS above 1, got {self.frames} and {self.oks}")
        if self.matched > min(self.people_found, self.people_wanted):
            raise ValueError(f"{self.matched} people cannot be in both {self.people_found} and {self.people_wanted}")

    @property
    def matched(self) -> int:
        """People who are in both."""
        return len(self.oks)

    @property
    def people_lost(self) -> int:
        """People who were wanted and not found."""
        return self.people_wanted - self.matched

    @property
    def people_gained(self) -> int:
        """People who were found and not wanted."""
        return self.people_found - self.matched

    def percentile_px(self, percent: float) -> float | None:
        """So many percent of the keypoints lie no further off; None where there is none."""
        return float(np.percentile(self.distances_px, percent)) if len(self.distances_px) else None

    def figures(self) -> AgreementFigures:
        """What it comes to."""
        return AgreementFigures(
            frames=self.frames,
            people_wanted=self.people_wanted,
            people_found=self.people_found,
            people_lost=self.people_lost,
            people_gained=self.people_gained,
            oks_mean=float(self.oks.mean()) if self.matched else None,
            oks_min=float(self.oks.min()) if self.matched else None,
            px_median=self.percentile_px(50),
            px_p95=self.percentile_px(95),
            px_max=self.percentile_px(100),
        )


def merge_agreements(agreements: Iterable[Agreement]) -> Agreement:
    """One agreement over the frames of many; over none it is of zero frames."""
    parts = list(agreements)
    return Agreement(
        frames=sum(part.frames for part in parts),
        people_found=sum(part.people_found for part in parts),
        people_wanted=sum(part.people_wanted for part in parts),
        oks=np.concatenate([np.empty(0), *(part.oks for part in parts)]),
        distances_px=np.concatenate([np.empty(0), *(part.distances_px for part in parts)]),
    )


def compare_poses(
    found: FramePoses,
    wanted: FramePoses,
    sigmas: npt.ArrayLike,
    *,
    least_oks: float = SAME_PERSON_OKS,
    least_confidence: float = SURE_CONFIDENCE,
) -> Agreement:
    """How alike two analyses of one frame are.

    People are matched greedily, the most similar pair first, each once, down to `least_oks`; the size of a person is
    the wanted box's. Keypoints count whose wanted confidence is at least `least_confidence`; of a wanted person who has
    none such, all count for the matching and none for the distances.

    Args:
        sigmas: `(k,)`, from `sigmas_for`.

    Raises:
        ValueError: the poses have different keypoints, or something is no number.
    """
    spread = _numbers(sigmas, "sigmas")
    for poses in (found, wanted):
        if len(poses) and poses.keypoints.shape[1] != len(spread):
            raise ValueError(f"{len(spread)} sigmas are not for poses of {poses.keypoints.shape[1]} keypoints")
    pairs, sure = _similarities(found, wanted, spread, least_confidence)
    similar: list[float] = []
    distances: list[Any] = [np.empty(0)]
    while pairs.size and pairs.max() >= least_oks:
        row, column = np.unravel_index(int(pairs.argmax()), pairs.shape)
        similar.append(min(float(pairs[row, column]), 1.0))
        pairs[row, :] = pairs[:, column] = -1
        steps = found.keypoints[row, :, :2].astype(np.float64) - wanted.keypoints[column, :, :2]
        distances.append(np.hypot(steps[:, 0], steps[:, 1])[sure[column]])
    return Agreement(1, len(found), len(wanted), np.array(similar), np.concatenate(distances))


def _similarities(
    found: FramePoses, wanted: FramePoses, sigmas: Float64s, least_confidence: float
) -> tuple[Float64s, Bools]:
    """OKS of every found with every wanted person, `(found, wanted)`, and which wanted keypoints are sure."""
    pairs = np.zeros((len(found), len(wanted)))
    sure: Bools = wanted.keypoints[:, :, 2] >= least_confidence
    if not pairs.size:
        return pairs, sure
    found_xy = _numbers(found.keypoints[:, :, :2], "keypoints")
    wanted_xy = _numbers(wanted.keypoints[:, :, :2], "keypoints")
    boxes = _numbers(wanted.boxes_xyxy, "boxes")
    areas_px2 = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1)
    for column in range(len(wanted)):
        counts = sure[column] if sure[column].any() else np.ones_like(sure[column])
        pairs[:, column] = _oks_of_each(found_xy, wanted_xy[column], counts, float(areas_px2[column]), sigmas)
    return pairs, sure
