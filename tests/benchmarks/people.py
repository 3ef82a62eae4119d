"""Time per frame over the number of people: a model with one stage, and one with two."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.bench.context import Context
from pipeline.bench.figures import Figure, in_rotation, ratio_figure
from pipeline.errors import InvalidWeights
from pipeline.inference.engines.placement import Placement
from pipeline.inference.pose_model import PoseModel
from pipeline.inference.zoo import FoundModel, find_model, load_model
from tests.benchmarks.crowd import Crowd, cut_out_best, make_crowd
from tests.benchmarks.stand_in import DETECTOR_SIDE_PX, TITLE, build_stand_in

TWO_STAGE = "rtmpose-s"
PEOPLE = (1, 6, 15, 30)
_CALLS = 10


@dataclass(frozen=True)
class Curve:
    """One model on images of more and more people.

    Args:
        title: for people.
        rounds_ms: CPU milliseconds per frame of each round, by the number of people in the image.
        found: the number of people found, by the same.
    """

    title: str
    rounds_ms: Sequence[Mapping[int, float]]
    found: Mapping[int, int]

    def median_ms(self, count: int) -> float:
        """Over the rounds."""
        return statistics.median(row[count] for row in self.rounds_ms)


def measure_people(context: Context) -> list[Figure]:
    """Both curves, with onnxruntime on one thread."""
    one = load_model(context.found, Placement("cpu"))
    side_px = context.found.spec.pose.width_px
    person = cut_out_best(one, context.source, len(context.source_info.index))
    crowds = {count: make_crowd(person, count, side_px) for count in PEOPLE}
    name = context.found.spec.name
    single = _measure(context, name, dict.fromkeys(crowds, one), crowds)
    title, two_stage = _two_stage(context, crowds, side_px)
    double = _measure(context, title, two_stage, crowds)
    return people_figures(single, double, PEOPLE, is_stand_in=title == TITLE)


def _two_stage(context: Context, crowds: Mapping[int, Crowd], side_px: int) -> tuple[str, dict[int, PoseModel]]:
    """RTMPose-s where its weights are here, else the stand-in, whose detector returns given boxes."""
    try:
        real = load_model(find_model(TWO_STAGE, context.stack.models_path), Placement("cpu"))
        return TWO_STAGE, dict.fromkeys(crowds, real)
    except InvalidWeights:
        pass
    models: dict[int, PoseModel] = {}
    for count, crowd in crowds.items():
        boxes = crowd.boxes_xyxy * (DETECTOR_SIDE_PX / side_px)
        made = build_stand_in(context.stack.scratch_path / f"stand-in-{count}", boxes)
        models[count] = load_model(FoundModel(made.spec, made.paths), Placement("cpu"))
    return TITLE, models


def _measure(context: Context, title: str, models: Mapping[int, PoseModel], crowds: Mapping[int, Crowd]) -> Curve:
    found = {count: len(model.detect([crowds[count].image], [1.0])[0]) for count, model in models.items()}
    rounds = []
    for number in range(context.size.pairs):
        context.on_step(f"{title}, people 1 to {max(crowds)}, round {number + 1} of {context.size.pairs}")
        taken: dict[int, list[float]] = {count: [] for count in crowds}
        for call in range(_CALLS):
            for count in in_rotation(list(crowds), number + call):
                # This thread alone computes, so that other load on the machine is not counted.
                begun_s = time.thread_time()
                models[count].detect([crowds[count].image], [1.0])
                taken[count].append(1e3 * (time.thread_time() - begun_s))
        rounds.append({count: statistics.median(values) for count, values in taken.items()})
    return Curve(title, rounds, found)


def people_figures(single: Curve, double: Curve, people: Sequence[int], *, is_stand_in: bool) -> list[Figure]:
    """The time with the most people over that with the fewest, of each curve; the curves are in the details."""
    fewest, most = min(people), max(people)
    figures = []
    for name, curve, stages in (("people", single, "one stage"), ("people_two_stage", double, "two stages")):
        pairs = [(row[most], row[fewest]) for row in curve.rounds_ms]
        details = {
            "title": curve.title,
            "is_stand_in": is_stand_in and curve is double,
            "people": list(people),
            "found": [curve.found[count] for count in people],
            "ms": [curve.median_ms(count) for count in people],
        }
        found = "people found: " + ", ".join(f"{curve.found[count]} of {count}" for count in people)
        figures.append(
            ratio_figure(
                name,
                f"time of a frame with {most} people, {stages}: {curve.title}",
                "ms/frame",
                pairs,
                baseline_label=f"with {fewest}" if fewest > 1 else "with one",
                note=found,
                details=details,
            )
        )
    return figures
