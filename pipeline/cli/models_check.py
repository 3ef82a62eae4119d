"""`poseline models check`: whether models find the right poses on this machine, and how fast."""

from __future__ import annotations

from typing import Any, get_args

import click

from pipeline.cli.console import Console, common, pass_console
from pipeline.errors import PoselineError
from pipeline.inference.engines.placement import Placement
from pipeline.inference.engines.sessions import Device
from pipeline.inference.speeds import SPEEDS_FILE, Speed, measured_now, record_speed
from pipeline.inference.zoo import find_model, list_models, load_model, require_known

_AGREEMENT = ("px_median", "px_max", "oks_min", "score_off")


class ChecksFailed(PoselineError):
    """A model does not find the right poses."""


@click.command("check")
@click.argument("names", nargs=-1, metavar="[NAME...]")
@click.option("--device", type=click.Choice(get_args(Device)), default="auto", show_default=True)
@common
@pass_console
def check(console: Console, names: tuple[str, ...], device: Device) -> None:
    """Run models on the golden images: all that are on this machine, or those named.

    NAME may have a precision (rtmo-s@bf16), or be a file (mine.onnx). Their poses are compared with the recorded
    ones of the bundled model, or with those of the same model on the CPU. Their speed is that of one slot alone,
    without reading the video; `poseline models` shows the last one.
    """
    wanted = names or tuple(state.name for state in list_models(console.models_path) if state.is_local)
    for name in wanted:
        require_known(name)
    rows = []
    for name in wanted:
        console.progress(f"checking {name}")
        rows.append(_row(console, name, Placement(device, cache_path=console.home / "engines")))
    if not console.print_json(rows):
        console.table(
            ("model", "engine", "people", "ms/frame", "px max", "OKS", "compared with", ""),
            [_cells(row) for row in rows],
        )
        if any(row["frames_per_s"] for row in rows):
            console.print(
                "ms/frame: one slot alone, without reading the video, beside whatever else runs here; "
                "`poseline models` shows it"
            )
        for row in rows:
            for line in (*([row["problem"]] if row["problem"] else []), *row["warnings"]):
                console.print(line if line.startswith(row["name"]) else f"{row['name']}: {line}")
    wrong = [row["name"] for row in rows if not row["ok"]]
    if wrong:
        raise ChecksFailed(f"{len(wrong)} of {len(rows)} models cannot be used here: {', '.join(wrong)}")


def _row(console: Console, name: str, placement: Placement) -> dict[str, Any]:
    """Check one model; an error becomes its problem."""
    from pipeline.inference.golden.check import check_golden  # noqa: PLC0415 - with onnxruntime and OpenCV, 0.3 s

    try:
        found = find_model(name, console.models_path, console.pins_path)
        report = check_golden(found, load_model(found, placement), placement)
    except PoselineError as error:
        return _result(name, problem=error.message)
    figures = report.figures
    speed = None
    if report.problem is None and report.frame_ms and report.images:
        speed = measured_now(
            found.spec.fingerprint,
            report.device,
            frame_ms=report.frame_ms,
            people_per_frame=report.people / report.images,
            batch=report.batch,
        )
        _keep(console, speed)
    return _result(
        found.spec.full_name,
        problem=report.problem.message if report.problem else None,
        engine=report.device.engine,
        provider=report.device.provider,
        device=report.device.name,
        people=report.people,
        frame_ms=report.frame_ms,
        frames_per_s=speed and speed.frames_per_s,
        people_per_frame=speed and speed.people_per_frame,
        batch=speed and speed.batch,
        against=report.against,
        reference_ms=report.reference_ms,
        px_median=figures and figures.px_median,
        px_max=figures and figures.px_max,
        oks_min=figures and figures.oks_min,
        score_off=report.score_off,
        warnings=report.warnings,
    )


def _keep(console: Console, speed: Speed) -> None:
    try:
        record_speed(console.models_path, speed)
    except OSError as error:
        console.progress(
            f"{console.models_path / SPEEDS_FILE} cannot be written ({error.strerror}): the speed is not kept"
        )


def _result(name: str, *, problem: str | None, **fields: Any) -> dict[str, Any]:
    measured = ("frame_ms", "frames_per_s", "people_per_frame", "batch")
    known = ("engine", "provider", "device", "people", *measured, "against", "reference_ms", *_AGREEMENT)
    return {
        "name": name,
        "ok": problem is None,
        "problem": problem,
        "warnings": list(fields.get("warnings", ())),
        **{field: fields.get(field) for field in known},
    }


def _cells(row: dict[str, Any]) -> tuple[object, ...]:
    numbers = [
        None if row[name] is None else f"{row[name]:{form}}"
        for name, form in (("frame_ms", ".3g"), ("px_max", ".2f"), ("oks_min", ".3f"))
    ]
    verdict = "no" if not row["ok"] else "odd" if row["warnings"] else "ok"
    against = row["against"] or (row["engine"] and "nothing")
    engine = row["engine"] and f"{row['engine']} {row['provider'].removesuffix('ExecutionProvider')}"
    return row["name"], engine, row["people"], *numbers, against, verdict
