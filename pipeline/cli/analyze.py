"""`poseline analyze` and `poseline ingest`: videos in, poses out."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import click

from pipeline.cli.console import Console, common, pass_console, this_command
from pipeline.cli.formatting import facts, summary_line
from pipeline.cli.progress import Bar
from pipeline.core.states import RunState, VideoState, is_final
from pipeline.db.engine import transaction
from pipeline.db.runs import RunRow, select_run
from pipeline.db.workers import select_workers
from pipeline.errors import PoselineError, RunFailed, ServiceUnavailable, UsageError
from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.inference.zoo import find_model
from pipeline.services.capabilities import blocking_reason, missing_capability
from pipeline.services.export import FORMATS, Format, export_run
from pipeline.services.request import request_run
from pipeline.services.upload import Upload, check_team, printable, register_object, upload_file

VIDEO_ENDINGS = {".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg"}
_POLL_S = 0.2
#: Of a run that takes longer than `_SOON_S`: looking cost the machine 1 ms a frame.
_LONG_POLL_S = 0.6
_SOON_S = 10.0
#: A database that restarts is back within so long.
_PATIENCE_S = 30.0


@dataclass(frozen=True)
class Submission:
    """One video that was asked for, and its run."""

    name: str
    upload: Upload
    run_id: UUID
    known: bool


def options(command: click.decorators.FC) -> click.decorators.FC:
    """Options of both commands."""
    for option in (
        click.option("--team", default="default", show_default=True, help="Whose video it is."),
        click.option("--model", default=BUNDLED_MODEL, show_default=True, help="See `poseline models`."),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@options
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=Path("poseline-out"), show_default=True
)
@click.option("--format", "form", type=click.Choice(FORMATS), default="jsonl", show_default=True)
@common
@pass_console
def analyze(console: Console, paths: tuple[str, ...], team: str, model: str, out: Path, form: Format) -> None:
    """Find the people in videos, wait, and write their poses to files.

    PATH is a video file, a folder of them, or s3://bucket/key. Ctrl-C stops the waiting, not the analysis.
    """
    check_team(team)
    sources = _expand(paths)
    _check_folder(out)
    spec = find_model(model, console.models_path, console.pins_path).spec
    console.ensure_stack()
    with transaction(console.system.engine) as connection:
        lack = missing_capability(connection, spec.precision)
    if lack is not None:  # a run that stands already can be had all the same
        console.progress(lack)
    waiting: list[Submission] = []
    results = []
    try:
        failures = _ask(console, sources, team, model, waiting)
        asked = list(waiting)
        for one in asked:
            try:
                run = wait_for(console, one)
                written = export_run(console.system, run.id, _file_for(out, one, asked, form), form)
                results.append({**facts(run), "known": one.known, "files": [str(path) for path in written]})
                console.print(f"{one.name}: {summary_line(run)}")
                for note in run.notes:
                    console.print(f"  {note}")
                console.print(f"  {written[0]}")
            except ServiceUnavailable:
                raise
            except PoselineError as error:
                failures.append((one.name, error))
            waiting.remove(one)
    except (KeyboardInterrupt, ServiceUnavailable):
        _say_how_to_come_back(console, waiting)
        raise
    if not console.print_json(results) and failures and len(sources) > 1:
        console.print(f"{len(results)} of {len(sources)} analysed")
    _raise_first(console, failures, len(sources))


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@options
@common
@pass_console
def ingest(console: Console, paths: tuple[str, ...], team: str, model: str) -> None:
    """Like `analyze` without waiting: upload, ask for the runs, print their ids."""
    check_team(team)
    sources = _expand(paths)
    spec = find_model(model, console.models_path, console.pins_path).spec
    console.ensure_stack()
    with transaction(console.system.engine) as connection:
        lack = missing_capability(connection, spec.precision)
    if lack is not None:  # a run that stands already can be had all the same
        console.progress(lack)
    asked: list[Submission] = []
    failures = _ask(console, sources, team, model, asked)
    rows = [{"name": one.name, "video": str(one.upload.video.id), "run": str(one.run_id)} for one in asked]
    if not console.print_json(rows):
        console.table(("video", "run", "name"), [(row["video"], row["run"], row["name"]) for row in rows])
    _raise_first(console, failures, len(sources))


def wait_for(console: Console, asked: Submission) -> RunRow:
    """Wait for a run with a bar.

    Raises:
        RunFailed: it ended without results.
        ServiceUnavailable: Postgres stays away.
    """
    run = _watch(console, asked)
    if run.state is not RunState.DONE:
        raise RunFailed(f"{asked.name}: {run.reason or run.state}")
    return run


def _say_how_to_come_back(console: Console, waiting: Sequence[Submission]) -> None:
    me = this_command(console.home)
    for one in waiting:
        short = str(one.run_id)[:8]
        console.err.print(
            f"the analysis of {one.name} goes on: `{me} show {short}` says how far it is, "
            f"`{me} export {short} --out FILE` writes the poses",
            markup=False,
        )


def _watch(console: Console, asked: Submission) -> RunRow:
    warned, told = False, None
    begun_at = answered_at = time.monotonic()
    with Bar(console, f"analysing {asked.name}", None) as bar:
        while True:
            try:
                with transaction(console.system.engine) as connection:
                    run = select_run(connection, asked.run_id)
                    workers = warned or select_workers(connection)
                    trouble = blocking_reason(connection, asked.run_id)
                answered_at = time.monotonic()
            except ServiceUnavailable:
                if time.monotonic() - answered_at > _PATIENCE_S:
                    raise
                time.sleep(_POLL_S)
                continue
            if run.video_state is VideoState.READY and run.frames:
                bar.total(run.frames)
                bar.at(run.frames if run.state is RunState.DONE else run.frames_done)
            if is_final(run.state):
                return run
            if not workers and time.monotonic() - begun_at > 5:
                console.progress("no worker is alive yet; start one with `poseline worker`, or check `poseline status`")
                warned = True
            if trouble not in {None, told}:
                console.progress(f"{asked.name}: {trouble}")
                told = trouble
            time.sleep(_POLL_S if time.monotonic() - begun_at < _SOON_S else _LONG_POLL_S)


def _check_folder(out: Path) -> None:
    """Find out before any work whether files can be written there."""
    nearest = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise UsageError(f"{out} cannot be written to; choose another folder with --out")


def _expand(paths: Sequence[str]) -> list[str]:
    """Folders become their videos, in order."""
    sources: list[str] = []
    for path in paths:
        if path.startswith("s3://"):
            sources.append(path)
            continue
        if "://" in path:
            raise UsageError(f"{path}: only files, folders and s3://bucket/key can be analysed; download it first")
        here = Path(path)
        if not here.exists():
            raise UsageError(f"there is no file {path}; check the path")
        if here.is_dir():
            found = sorted(p for p in here.rglob("*") if p.suffix.lower() in VIDEO_ENDINGS and p.is_file())
            if not found:
                raise UsageError(f"there is no video in {path}; looked for {' '.join(sorted(VIDEO_ENDINGS))}")
            sources += [str(p) for p in found]
        else:
            sources.append(path)
    return sources


def _ask(
    console: Console, sources: Sequence[str], team: str, model: str, asked: list[Submission]
) -> list[tuple[str, PoselineError]]:
    """Ask for each source's run; those asked for are added to `asked` as they come. Returns what failed."""
    failures: list[tuple[str, PoselineError]] = []
    for source in sources:
        try:
            asked.append(ask(console, source, team, model))
        except PoselineError as error:
            failures.append((printable(source), error))
    return failures


def ask(console: Console, source: str, team: str, model: str) -> Submission:
    """Bring one video in and ask for its run."""
    if source.startswith("s3://"):
        upload = register_object(console.system, source, team)
    else:
        path = Path(source)
        size = path.stat().st_size
        with Bar(console, f"uploading {path.name}", size, "bytes") as bar:
            upload = upload_file(console.system, path, team, on_bytes=bar.advance)
            bar.at(size)
    request = request_run(console.system, upload.video.id, model)
    name = printable(source.rpartition("/")[2])
    if request.known:
        with transaction(console.system.engine) as connection:
            done = select_run(connection, request.run_id).state is RunState.DONE
        when = "was analysed by this model before" if done else "is being analysed by this model already"
        console.progress(f"{name}: the same content {when}, as run {request.run_id}")
    elif upload.known:
        console.progress(f"{name}: the same content was uploaded before, as {upload.video.name}")
    return Submission(name, upload, request.run_id, request.known)


def _file_for(out: Path, one: Submission, asked: Sequence[Submission], form: Format) -> Path:
    stem = Path(one.name).stem or "video"
    alone = sum(Path(other.name).stem == Path(one.name).stem for other in asked) == 1
    return out / (f"{stem}.{form}" if alone else f"{stem}-{str(one.run_id)[:8]}.{form}")


def _raise_first(console: Console, failures: Sequence[tuple[str, PoselineError]], of: int) -> None:
    if not failures:
        return
    if of > 1:
        for name, error in failures[:-1]:
            console.err.print(f"poseline: {name}: {error.message}", markup=False)
        name, error = failures[-1]
        error.args = (f"{name}: {error.message}",)
    raise failures[-1][1]
