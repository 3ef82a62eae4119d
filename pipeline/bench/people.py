"""Time over the number of people: a model of one stage, and beside it one of two."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.bench.crowd import Crowd, cut_out_best, make_crowd
from pipeline.bench.derived import note_of
from pipeline.bench.figures import Figure, in_rotation, ratio_figure
from pipeline.bench.goals import goal_of
from pipeline.bench.ground import Ground
from pipeline.bench.standin import DETECTOR_SIDE_PX, WORDS, build_standin
from pipeline.errors import InvalidWeights
from pipeline.inference.engines.placement import Placement
from pipeline.inference.pose_model import PoseModel
from pipeline.inference.zoo import FoundModel, find_model, load_model

TWO_STAGE = "rtmpose-s"


@dataclass(frozen=True)
class Curve:
    """One model over pictures of more and more people.

    Args:
        title: for people.
        rounds_ms: of each round, by the number of people in the picture: processor milliseconds a frame.
        found: people that it found, by the same.
    """

    title: str
    rounds_ms: Sequence[Mapping[int, float]]
    found: Mapping[int, int]

    def median_ms(self, count: int) -> float:
        """Over the rounds."""
        return statistics.median(row[count] for row in self.rounds_ms)


def measure_people(ground: Ground) -> list[Figure]:
    """Both curves, with onnxruntime on one thread."""
    size = ground.size
    one = load_model(ground.found, Placement("cpu"))
    side_px = ground.found.spec.pose.width_px
    person = cut_out_best(one, ground.source, ground.source_frames)
    crowds = {count: make_crowd(person, count, side_px) for count in size.people}
    ground.meter.begin("people", 2 * size.pairs)
    name = ground.found.spec.name
    single = _measure(ground, name, dict.fromkeys(crowds, one), crowds)
    title, two_stage = _two_stage(ground, crowds, side_px)
    double = _measure(ground, title, two_stage, crowds)
    return people_figures(single, double, size.people, is_standin=title == WORDS)


def _two_stage(ground: Ground, crowds: Mapping[int, Crowd], side_px: int) -> tuple[str, dict[int, PoseModel]]:
    """RTMPose-s where its weights are here, else the stand-in, which is told what boxes to find."""
    try:
        real = load_model(find_model(TWO_STAGE, ground.site.models_path), Placement("cpu"))
        return TWO_STAGE, dict.fromkeys(crowds, real)
    except InvalidWeights:
        pass
    models: dict[int, PoseModel] = {}
    for count, crowd in crowds.items():
        boxes = crowd.boxes_xyxy * (DETECTOR_SIDE_PX / side_px)
        made = build_standin(ground.site.scratch_path / f"standin-{count}", boxes)
        models[count] = load_model(FoundModel(made.spec, made.paths), Placement("cpu"))
    return WORDS, models


def _measure(ground: Ground, title: str, models: Mapping[int, PoseModel], crowds: Mapping[int, Crowd]) -> Curve:
    found = {count: len(model.detect([crowds[count].image], [1.0])[0]) for count, model in models.items()}
    rounds = []
    for number in range(ground.size.pairs):
        ground.meter.step(f"{title}, people 1 to {max(crowds)}, round {number + 1} of {ground.size.pairs}")
        taken: dict[int, list[float]] = {count: [] for count in crowds}
        for call in range(ground.size.calls):
            for count in in_rotation(list(crowds), number + call):
                # Of this thread, which is the one that works: what others do on the machine is not in it.
                begun_s = time.thread_time()
                models[count].detect([crowds[count].image], [1.0])
                taken[count].append(1e3 * (time.thread_time() - begun_s))
        rounds.append({count: statistics.median(values) for count, values in taken.items()})
    return Curve(title, rounds, found)


def people_figures(single: Curve, double: Curve, people: Sequence[int], *, is_standin: bool) -> list[Figure]:
    """The most people over the fewest, of each; the curves are in the first one's details."""
    fewest, most = min(people), max(people)
    figures = []
    for name, curve, stages in (("people", single, "one stage"), ("people_two_stage", double, "two stages")):
        pairs = [(row[most], row[fewest]) for row in curve.rounds_ms]
        details = {
            "title": curve.title,
            "is_standin": is_standin and curve is double,
            "people": list(people),
            "found": [curve.found[count] for count in people],
            "ms": [curve.median_ms(count) for count in people],
        }
        figures.append(
            ratio_figure(
                name,
                f"time of a frame with {most} people, {stages}: {curve.title}",
                "ms/frame",
                pairs,
                goal_of(name),
                plain=f"with {fewest}" if fewest > 1 else "with one",
                details={"note": note_of(name, details), **details},
            )
        )
    return figures
