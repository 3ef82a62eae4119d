"""What helps to choose a model: for whom each is, and how accurate its publisher says it is.

Every figure stands beside the page it was read from. What was not found is left out: an accuracy of MoveNet MultiPose,
parameter counts of RTMO, RTMW and the hand model, and sizes of what is not fetched yet.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pipeline.core.precision import PRECISIONS

_MMPOSE = "https://github.com/open-mmlab/mmpose/blob/main/"
_RTMPOSE_README = _MMPOSE + "projects/rtmpose/README.md"


@dataclass(frozen=True)
class Benchmark:
    """How accuracy was measured; figures of different benchmarks do not compare.

    Args:
        measure: `AP`, or `PCK@t`: the share of keypoints within t of the person's size. More is better.
        data: the images it was measured on.
        conditions: what the figure assumes and Poseline does not do.
        source: the page of the publisher that has the figure.
    """

    measure: str
    data: str
    conditions: str
    source: str


@dataclass(frozen=True)
class Figure:
    """One figure of a model's accuracy, as its publisher states it.

    Args:
        value: in percent.
        of: the part of the body that it is for; empty for all keypoints.
    """

    benchmark: Benchmark
    value: float
    of: str = ""

    def to_dict(self) -> dict[str, Any]:
        """All of it, flat."""
        of = self.of or "all keypoints"
        measured = self.benchmark
        return {
            "measure": measured.measure,
            "value": self.value,
            "of": of,
            "data": measured.data,
            "conditions": measured.conditions,
            "source": measured.source,
        }


@dataclass(frozen=True)
class Guide:
    """What helps to choose one model.

    Args:
        for_whom: one line for a coach.
        pose_parameters: of the network that gives keypoints; None where no count was found.
        trained_on: data sets; empty where they are not named.
        figures: of accuracy, the one that stands for the model first; empty where none was found.
    """

    for_whom: str
    pose_parameters: int | None = None
    trained_on: str = ""
    figures: tuple[Figure, ...] = field(default=())

    @property
    def published_ap(self) -> float | None:
        """COCO val2017 keypoint AP, in percent; None where the model's figures are of other measures."""
        of_coco = (f.value for f in self.figures if f.benchmark.measure == "AP" and f.benchmark.data == _COCO)
        return next(of_coco, None)


_COCO = "COCO val2017"
_BODY7 = "body7: AI Challenger, COCO, CrowdPose, MPII, sub-JHMDB, Halpe, PoseTrack18"
_COCKTAIL14 = (
    "cocktail14: AI Challenger, CrowdPose, MPII, sub-JHMDB, Halpe, PoseTrack18, COCO-WholeBody, UBody, Human-Art, "
    "WFLW, 300W, COFW, LaPa, InterHand"
)
_HAND5 = "hand5: COCO-WholeBody-Hand, OneHand10K, FreiHand2d, RHD2d, Halpe"

# The conditions are those of the configurations beside the pages (`bbox_file`, `flip_test`, `score_thr`).
_OTHER_BOXES = "in boxes of another person detector (56.4 AP), averaged with the mirrored image"
_ONE_STAGE = Benchmark(
    "AP", _COCO, "every person with a score above 0.1, where Poseline keeps 0.7", _MMPOSE + "projects/rtmo/README.md"
)
_TWO_STAGE = Benchmark(
    "AP", _COCO, _OTHER_BOXES, _MMPOSE + "configs/body_2d_keypoint/rtmpose/body8/rtmpose_body8-coco.md"
)
_TWO_STAGE_X = Benchmark(
    "AP", _COCO, "in boxes of another person detector, averaged with the mirrored image", _RTMPOSE_README
)
_FEET = Benchmark(
    "PCK@0.1",
    "Body8 (body7 and OCHuman)",
    "in annotated boxes, averaged with the mirrored image",
    _MMPOSE + "configs/body_2d_keypoint/rtmpose/body8/rtmpose_body8-halpe26.md",
)
_WHOLE_BODY = Benchmark(
    "AP",
    "COCO-WholeBody v1.0 val",
    _OTHER_BOXES,
    _MMPOSE + "configs/wholebody_2d_keypoint/rtmpose/cocktail14/rtmw_cocktail14.md",
)
_HANDS = Benchmark("PCK@0.2", "COCO-WholeBody-Hand", "in annotated boxes of hands", _RTMPOSE_README)
_HANDS_ALL = Benchmark("PCK@0.2", "Hand5", "in annotated boxes of hands", _RTMPOSE_README)


def _rtmo(for_whom: str, ap: float) -> Guide:
    return Guide(for_whom, trained_on=_BODY7, figures=(Figure(_ONE_STAGE, ap),))


def _rtmpose(for_whom: str, parameters: int, benchmark: Benchmark, value: float) -> Guide:
    return Guide(for_whom, parameters, _BODY7, (Figure(benchmark, value),))


def _rtmw(for_whom: str, whole: float, *, body: float, foot: float, face: float, hand: float) -> Guide:
    parts = {"": whole, "body": body, "feet": foot, "face": face, "hands": hand}
    return Guide(
        for_whom, trained_on=_COCKTAIL14, figures=tuple(Figure(_WHOLE_BODY, value, of) for of, value in parts.items())
    )


#: By the names of `catalogue.ENTRIES`.
GUIDES = {
    "movenet-multipose-384": Guide("works offline, fast on any laptop; misses small, distant people"),
    "rtmo-t": _rtmo("many people on a slow laptop; misses small, distant people", 57.4),
    "rtmo-s": _rtmo("wide shots with many people, on a laptop", 68.6),
    "rtmo-m": _rtmo("wide shots with many people: more accurate, slower", 72.6),
    "rtmo-l": _rtmo("wide shots with many people: most accurate; slow without a GPU", 74.8),
    "rtmpose-s": _rtmpose("one or few people close to the camera, on a laptop", 5_470_000, _TWO_STAGE, 69.7),
    "rtmpose-m": _rtmpose("one or few people close to the camera: more accurate, slower", 13_590_000, _TWO_STAGE, 74.9),
    "rtmpose-x": _rtmpose(
        "one or few people close to the camera: most accurate; slow without a GPU", 49_430_000, _TWO_STAGE_X, 78.8
    ),
    "rtmpose-s-feet": _rtmpose("feet and ground contact (running, jumping), on a laptop", 5_700_000, _FEET, 93.01),
    "rtmpose-m-feet": _rtmpose("feet and ground contact: more accurate, slower", 13_930_000, _FEET, 94.75),
    "rtmpose-x-feet": _rtmpose("feet and ground contact: most accurate; slow without a GPU", 50_000_000, _FEET, 95.74),
    "rtmw-m": _rtmw("whole bodies on a laptop; fingers only roughly", 58.2, body=67.6, foot=67.1, face=78.3, hand=49.1),
    "rtmw-l": _rtmw(
        "whole bodies with fingers, face and feet: more accurate, slower",
        66.0,
        body=74.3,
        foot=76.3,
        face=83.4,
        hand=59.8,
    ),
    "rtmw-l-384": _rtmw(
        "whole bodies, most accurate for fingers and face; slow without a GPU",
        70.1,
        body=76.1,
        foot=79.3,
        face=88.4,
        hand=66.3,
    ),
    "rtmpose-m-hand": Guide(
        "hands close to the camera (grip, throw, racket); no bodies",
        trained_on=_HAND5,
        figures=(Figure(_HANDS, 81.5), Figure(_HANDS_ALL, 96.4)),
    ),
}


def worse_models(model: str) -> frozenset[str]:
    """The names of the models whose published COCO AP is lower than that of `model`, in every precision.

    Empty where no figure of `model` was published.
    """
    own = published_ap(model)
    if own is None:
        return frozenset()
    worse = [name for name, guide in GUIDES.items() if guide.published_ap is not None and guide.published_ap < own]
    return frozenset(name + variant for name in worse for variant in ("", *(f"@{each}" for each in PRECISIONS)))


def published_ap(model: str) -> float | None:
    """COCO val2017 keypoint AP of a model, in percent, whatever its precision; None where none was published."""
    guide = GUIDES.get(model.partition("@")[0])
    return None if guide is None else guide.published_ap
