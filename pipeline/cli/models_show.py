"""`poseline models show`: everything about one model."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from pipeline.cli.console import Console, common, pass_console
from pipeline.cli.models_list import megabytes, number
from pipeline.core.keypoints import Keypoints
from pipeline.inference.catalogue import Entry, Weights, find_entry
from pipeline.inference.guide import GUIDES, Figure, Guide
from pipeline.inference.speeds import Speed, read_speeds
from pipeline.inference.zoo import ModelState, find_model, list_models, split_precision
from pipeline.services.model_facts import model_facts, speeds_of

_WIDEST = 120


@click.command("show")
@click.argument("name")
@common
@pass_console
def show(console: Console, name: str) -> None:
    """Say everything about one model: for whom, how accurate, how fast here, its keypoints.

    NAME is a name that `poseline models` lists, or an ONNX file of your own.
    """
    state, path = _find(name, console.models_path)
    measured = read_speeds(console.models_path)
    facts = model_facts(state, measured)
    if path:
        facts["from"] = path
    if not console.print_json(facts):
        for line in show_lines(state, facts, measured, min(console.out.width, _WIDEST)):
            console.print(line)


def show_lines(state: ModelState, facts: dict[str, Any], measured: Sequence[Speed], width: int) -> list[str]:
    """One model as lines of at most `width` characters, but for addresses."""
    figures, parameters = GUIDES.get(state.name, Guide("")).figures, facts["pose_parameters"]
    lines, last = [state.name, ""], ""
    for label, text in (
        ("for", facts["for_whom"]),
        ("other names", ", ".join(facts["also"])),
        ("here", _here_text(state)),
        *(("speed here", text) for text in _speed_texts(state, measured)),
        *(("accuracy", text) for text in _accuracy_texts(figures)),
        ("trained on", facts["trained_on"]),
        ("stages", _stages_text(state.entry)),
        ("parameters", parameters and f"{parameters / 1e6:.2f} million ({state.entry.pose.name})"),
        ("keypoints", f"{facts['keypoints']}: {', '.join(_shortened(facts['keypoint_names']))}"),
        ("thresholds", f"score {facts['score_threshold']}, NMS {facts['nms_threshold']}"),
        ("licence", facts["licence"]),
        ("source", facts["source"]),
        ("from", facts["from"]),
        ("fingerprint", facts["fingerprint"]),
    ):
        if text:
            first = f"  {'' if label == last else label:<13}"
            lines += textwrap.wrap(
                text,
                width,
                initial_indent=first,
                subsequent_indent=" " * 15,
                break_long_words=False,
                break_on_hyphens=False,
            )
            last = label
    return lines


def _find(name: str, models_path: Path) -> tuple[ModelState, str]:
    """A model by name or path, and the path of a user's file.

    Raises:
        UnknownModel: there is none.
        InvalidWeights: the file is no model.
    """
    plain, _ = split_precision(name)
    if not plain.endswith(".onnx"):
        entry = find_entry(plain)
        return next(state for state in list_models(models_path) if state.entry is entry), ""
    found = find_model(plain, models_path)
    spec = found.spec
    weights = Weights(spec.name, spec.pose.decoder, spec.pose.width_px, spec.pose.height_px)
    entry = Entry(
        name=plain,
        pose=weights,
        source=spec.source,
        keypoints=Keypoints(spec.keypoint_names, spec.skeleton),
        score_threshold=spec.score_threshold,
        nms_threshold=spec.nms_threshold,
        licence=spec.licence,
    )
    return ModelState(entry, spec, {spec.name: found.path.stat().st_size}), str(found.path)


def _here_text(state: ModelState) -> str:
    if not state.is_local:
        return f"no; `poseline models fetch {state.name}` downloads it"
    sizes = state.weights_bytes
    each = f" ({', '.join(f'{name} {megabytes(size)}' for name, size in sizes.items())})" if len(sizes) > 1 else ""
    return f"yes, {megabytes(sum(sizes.values()))}{each}"


def _speed_texts(state: ModelState, measured: Sequence[Speed]) -> list[str]:
    """One text for each measurement."""
    grows = len(state.entry.weights) > 1
    texts = []
    for speed in speeds_of(state, measured):
        found = f" with {number(speed.people_per_frame)} found in it (more take longer)" if grows else ""
        texts.append(
            f"{number(speed.frame_ms)} ms a frame{found}, about {number(speed.frames_per_s)} frames/s "
            f"a slot; {speed.precision} on {speed.device}, {speed.engine}, one slot alone "
            f"{f'in batches of {speed.batch}' if speed.is_gpu else 'on one thread'}, without reading the video, "
            f"{speed.measured_at[:10]}"
        )
    return texts or [
        f"not measured; `poseline models check`{'' if state.is_local else ', once it is here,'} measures it"
    ]


def _accuracy_texts(figures: Sequence[Figure]) -> list[str]:
    """One text for each benchmark."""
    texts = []
    for benchmark, same in groupby(figures, key=lambda figure: figure.benchmark):
        first, *rest = same
        parts = f" ({', '.join(f'{figure.of} {figure.value}' for figure in rest)})" if rest else ""
        texts.append(
            f"{first.value} {benchmark.measure}{parts} on {benchmark.data}, {benchmark.conditions}; {benchmark.source}"
        )
    return texts or ["no published figure is known"]


def _stages_text(entry: Entry) -> str:
    width, height = entry.pose.width_px, entry.pose.height_px
    if entry.detector is None:
        return f"one: all people of the frame at once, scaled to {width} x {height} px"
    what = "hand" if len(entry.keypoints.names) == 21 else "person"
    return f"two: {entry.detector.name} finds each {what}, {entry.pose.name} poses it at {width} x {height} px"


def _shortened(names: Sequence[str]) -> list[str]:
    """Names, where four or more that differ by their number alone are written as the first and the last."""
    parts = []
    for _, same in groupby(names, key=lambda name: name.rstrip("0123456789")):
        run = list(same)
        parts += run if len(run) < 4 else [f"{run[0]} to {run[-1]}"]
    return parts
