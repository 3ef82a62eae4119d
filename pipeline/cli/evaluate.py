"""`poseline eval`: how good a model is."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import get_args

import click

from pipeline.cli.console import Console, common, pass_console
from pipeline.cli.progress import Bar
from pipeline.errors import UsageError
from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.inference.engines.sessions import Device
from pipeline.inference.zoo import split_precision
from pipeline.services.evaluate import (
    MAX_PEOPLE,
    NMS_THRESHOLD,
    PUBLISHED,
    SCORE_THRESHOLD,
    evaluate_coco,
    find_evaluation_model,
    read_annotations,
    write_results,
)
from pipeline.services.export import checked_target

_WORDS = {"ap": "AP", "ap50": "AP50", "ap75": "AP75", "ap_medium": "AP medium", "ap_large": "AP large", "ar": "AR"}


@click.group("eval")
def evaluate() -> None:
    """Measure how good a model is."""


@evaluate.command("coco")
@click.argument("annotations", type=click.Path(dir_okay=False, exists=True, path_type=Path))
@click.argument("images", type=click.Path(file_okay=False, exists=True, path_type=Path))
@click.option("--model", default=BUNDLED_MODEL, show_default=True, help="Which model; `poseline models` lists them.")
@click.option("--limit", type=click.IntRange(1), help="Only the first images of the file, for a quick check.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write what was found, as COCO results.")
@click.option("--device", type=click.Choice(get_args(Device)), default="auto", show_default=True)
@click.option("--threads", type=click.IntRange(1, 256), help="Of the network [default: one per core]")
@common
@pass_console
def coco(
    console: Console,
    annotations: Path,
    images: Path,
    model: str,
    limit: int | None,
    out: Path | None,
    device: Device,
    threads: int | None,
) -> None:
    """Measure a model by COCO's keypoint AP on ANNOTATIONS.json and the images in IMAGES.

    Needs no servers. People are ranked by their box's score, and the thresholds are those of published figures.
    """
    if out is not None:
        _check_out(out)
    named = find_evaluation_model(model, console.models_path, device, threads, console.pins_path)
    wanted = read_annotations(annotations, images, named.keypoint_names, limit)
    detect = named.load()
    with Bar(console, f"evaluating {model}", len(wanted.images), "images") as bar:
        outcome, results = evaluate_coco(wanted, images, detect, named.keypoint_names, bar)
    if out is not None:
        write_results(results, out)
    published = PUBLISHED.get(split_precision(model)[0])
    if console.print_json(
        {
            "model": model,
            "fingerprint": named.fingerprint,
            "thresholds": {"score": SCORE_THRESHOLD, "nms_iou": NMS_THRESHOLD},
            "ranked_by": "box score",
            "most_people_per_image": MAX_PEOPLE,
            "annotations": str(annotations),
            "is_val2017": wanted.is_val2017,
            **asdict(outcome),
            "published_for_val2017": asdict(published) if published else None,
            "out": str(out) if out else None,
        }
    ):
        return
    ours = asdict(outcome.figures)
    theirs = asdict(published) if published else {}
    columns = ("", model, *(["published for COCO val2017"] if published else []))
    console.table(
        columns,
        [(words, _percent(ours[key]), *([_percent(theirs[key])] if theirs else [])) for key, words in _WORDS.items()],
    )
    console.print(
        f"\n{outcome.images} images, {outcome.people} people annotated, {outcome.people_found} found; "
        f"{outcome.seconds:.1f} s, {outcome.images / max(outcome.seconds, 1e-6):.1f} images/s"
    )
    if not published:
        console.print(
            "No published figure compares with it: RTMPose's are for annotated boxes or another detector's, and of "
            "others there is none."
        )
    if published and not wanted.is_val2017:
        which = f"the first {outcome.images} images" if limit else "another set of images"
        console.print(f"The published figures are for all 5,000 images of COCO val2017; this was {which}.")
    if out is not None:
        console.print(f"results: {out}")


def _check_out(out: Path) -> None:
    """Say before the work what could not be written after it."""
    target = checked_target(out)
    if not target.parent.is_dir():
        raise UsageError(f"there is no folder {target.parent} to write {out.name} into")


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
