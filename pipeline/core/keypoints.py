"""The keypoint sets of the published models: names in the order of the outputs, and the limbs that join them.

Names, order and limbs are those of rtmlib 0.0.16's tables (`rtmlib/visualization/skeleton`), which are mmpose's; a test
holds them equal. They are written out because importing rtmlib takes longer than everything else that names a model.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple


class Keypoints(NamedTuple):
    """A set of keypoints.

    Args:
        names: in the order of the outputs.
        skeleton: pairs of keypoint indices that are joined by a limb.
    """

    names: tuple[str, ...]
    skeleton: tuple[tuple[int, int], ...]


def _chains(*chains: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    return tuple(pair for chain in chains for pair in pairwise(chain))


def _hand(root: str, prefix: str = "") -> tuple[str, ...]:
    fingers = ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")
    return (root, *(f"{prefix}{finger}{joint}" for finger in fingers for joint in (1, 2, 3, 4)))


def _fingers(root: int) -> tuple[tuple[int, int], ...]:
    return _chains(*((root, *range(root + 4 * finger + 1, root + 4 * finger + 5)) for finger in range(5)))


_PAIRED = ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
_COCO_NAMES = ("nose", *(f"{side}_{joint}" for joint in _PAIRED for side in ("left", "right")))
_HEAD = ((1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6))
_COCO_LIMBS = (
    *_chains((15, 13, 11), (16, 14, 12)),
    *((11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8), (7, 9), (8, 10)),
    *_HEAD,
)

#: COCO's 17 (cocodataset.org/#keypoints-eval, `person_keypoints_val2017.json`; limbs from 0 where COCO counts from 1).
COCO_17 = Keypoints(_COCO_NAMES, _COCO_LIMBS)

#: Halpe's body with feet: COCO's 17, the middle of the body, and three points of each foot.
HALPE_26 = Keypoints(
    (
        *_COCO_NAMES,
        *("head", "neck", "hip"),
        *("left_big_toe", "right_big_toe", "left_small_toe", "right_small_toe", "left_heel", "right_heel"),
    ),
    (
        *_chains((15, 13, 11, 19), (16, 14, 12, 19), (17, 18, 19), (18, 5, 7, 9), (18, 6, 8, 10)),
        *_HEAD,
        *((15, 20), (15, 22), (15, 24), (16, 21), (16, 23), (16, 25)),
    ),
)

#: COCO-WholeBody: COCO's 17, 6 of the feet, 68 of the face, 21 of each hand.
COCO_133 = Keypoints(
    (
        *_COCO_NAMES,
        *(f"{side}_{point}" for side in ("left", "right") for point in ("big_toe", "small_toe", "heel")),
        *(f"face-{number}" for number in range(68)),
        *_hand("left_hand_root", "left_"),
        *_hand("right_hand_root", "right_"),
    ),
    (
        *_COCO_LIMBS,
        *((15, 17), (15, 18), (15, 19), (16, 20), (16, 21), (16, 22)),
        *_fingers(91),
        *_fingers(112),
    ),
)

#: One hand.
HAND_21 = Keypoints(_hand("wrist"), _fingers(0))

_BY_COUNT = {len(known.names): known for known in (COCO_17, HALPE_26, COCO_133, HAND_21)}


def keypoints_of(count: int) -> Keypoints:
    """The set with so many keypoints, or numbered ones without limbs where none is known."""
    return _BY_COUNT.get(count) or Keypoints(tuple(f"keypoint_{number}" for number in range(count)), ())
