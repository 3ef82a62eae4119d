"""`poseline analyze` and `poseline ingest`: upload videos and request their runs."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import click

from pipeline.cli.console import Console, common, interactive, pass_console, this_command
from pipeline.cli.formatting import summary_line
from pipeline.cli.progress import Bar
from pipeline.core.states import RunState, VideoState, is_final
from pipeline.errors import PoselineError, RunFailed, ServiceUnavailable, UnknownTeam, UsageError
from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.inference.zoo import find_model
from pipeline.services.capabilities import check_capability
from pipeline.services.export import FORMATS, Format, export_run
from pipeline.services.request import request_run
from pipeline.services.runs import Run, poll_run, to_dict
from pipeline.services.teams import add_team, require_team
from pipeline.services.upload import Upload, check_servers, check_team, printable, register_object, upload_file

VIDEO_ENDINGS = {".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg"}
_POLL_S = 0.2
#: For a run that takes longer than `_SOON_S`: polling at the shorter interval cost the machine 1 ms a frame.
_LONG_POLL_S = 0.6
_SOON_S = 10.0
#: Postgres may be away for so long, as when it restarts.
_OUTAGE_S = 30.0


@dataclass(frozen=True)
class Submission:
    """One video and the run that was requested for it; `existed` where the run had been requested before."""

    name: str
    upload: Upload
    team: str
    run_id: UUID
    existed: bool


def options(command: click.decorators.FC) -> click.decorators.FC:
    """Add the options that both commands have."""
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
    sources = _prepare(console, paths, team, model, out)
    open_runs: list[Submission] = []
    results = []
    try:
        failures = _submit_all(console, sources, team, model, open_runs)
        submitted = list(open_runs)
        for one in submitted:
            try:
                run = wait_for(console, one)
                target = _export_path(out, one, submitted, form)
                written = export_run(console.system, run.id, target, form, team=team)
                results.append({**to_dict(run), "existed": one.existed, "files": [str(path) for path in written]})
                console.print(f"{one.name}: {summary_line(run)}")
                for note in run.notes:
                    console.print(f"  {note}")
                console.print(f"  {written[0]}")
            except ServiceUnavailable:
                raise
            except PoselineError as error:
                failures.append((one.name, error))
            open_runs.remove(one)
    except (KeyboardInterrupt, ServiceUnavailable):
        _print_how_to_resume(console, open_runs)
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
    """Like `analyze` without waiting: upload videos, request their runs, print the ids."""
    sources = _prepare(console, paths, team, model)
    submitted: list[Submission] = []
    failures = _submit_all(console, sources, team, model, submitted)
    rows = [{"name": one.name, "video": str(one.upload.video.id), "run": str(one.run_id)} for one in submitted]
    if not console.print_json(rows):
        console.table(("video", "run", "name"), [(row["video"], row["run"], row["name"]) for row in rows])
    _raise_first(console, failures, len(sources))


def submit(console: Console, source: str, team: str, model: str) -> Submission:
    """Upload one video, or register it by its `s3://` URL, and request its run."""
    if source.startswith("s3://"):
        upload = register_object(console.system, source, team)
    else:
        path = Path(source)
        with Bar(console, f"uploading {printable(path.name)}", path.stat().st_size, "bytes") as bar:
            upload = upload_file(console.system, path, team, progress=bar)
            bar.at(path.stat().st_size)
    request = request_run(console.system, upload.video.id, model)
    name = printable(source.rpartition("/")[2])
    if request.existed:
        done = poll_run(console.system, request.run_id, team=team).run.state is RunState.DONE
        when = "was analysed by this model before" if done else "is being analysed by this model already"
        console.progress(f"{name}: the same content {when}, as run {request.run_id}")
    elif upload.existed:
        console.progress(f"{name}: the same content was uploaded before, as {printable(upload.video.name)}")
    return Submission(name, upload, team, request.run_id, request.existed)


def wait_for(console: Console, submission: Submission) -> Run:
    """Wait until a run is done, showing its progress.

    Raises:
        RunFailed: it ended without results.
        ServiceUnavailable: Postgres did not answer for 30 s.
    """
    run = _poll_until_final(console, submission)
    if run.state is not RunState.DONE:
        raise RunFailed(f"{submission.name}: {run.reason or run.state}")
    return run


def _prepare(console: Console, paths: Sequence[str], team: str, model: str, out: Path | None = None) -> list[str]:
    """Check everything that would fail for every video alike, once; returns the sources that `paths` name."""
    check_team(team)
    sources = _find_sources(paths)
    if out is not None:
        _check_writable(out)
    spec = find_model(model, console.models_path, console.pins_path).spec
    console.ensure_stack()
    check_servers(console.system)
    _require_team(console, team)
    missing = check_capability(console.system, spec.precision)
    if missing is not None:  # no error: runs that exist already are not affected
        console.progress(missing)
    return sources


def _require_team(console: Console, team: str) -> None:
    """Check that the team exists; on a terminal, offer to make it.

    Raises:
        UnknownTeam: it does not, and is not to be made.
    """
    try:
        require_team(console.system, team)
    except UnknownTeam as error:
        if console.as_json or not (interactive() and sys.stdin.isatty()):
            raise
        question = error.message.rpartition("; `poseline")[0]
        if not click.confirm(f"{question}; make it with the default limits?", err=True):
            raise
        add_team(console.system, team)


def _submit_all(
    console: Console, sources: Sequence[str], team: str, model: str, submitted: list[Submission]
) -> list[tuple[str, PoselineError]]:
    """Submit each source, appending to `submitted` as they succeed. Returns the failures."""
    failures: list[tuple[str, PoselineError]] = []
    for source in sources:
        try:
            submitted.append(submit(console, source, team, model))
        except PoselineError as error:
            failures.append((printable(source), error))
            if isinstance(error, ServiceUnavailable) and not _servers_answer(console):
                break
    return failures


def _servers_answer(console: Console) -> bool:
    """Whether other videos can be submitted: the object store may refuse one object only."""
    try:
        check_servers(console.system)
    except PoselineError:
        return False
    return True


def _poll_until_final(console: Console, submission: Submission) -> Run:
    warned, printed = False, None
    begun_at = answered_at = time.monotonic()
    with Bar(console, f"analysing {submission.name}", None) as bar:
        while True:
            try:
                poll = poll_run(console.system, submission.run_id, team=submission.team)
                answered_at = time.monotonic()
            except ServiceUnavailable:
                if time.monotonic() - answered_at > _OUTAGE_S:
                    raise
                time.sleep(_POLL_S)
                continue
            run = poll.run
            if run.video_state is VideoState.READY and run.frames:
                bar.total(run.frames)
                bar.at(run.frames if run.state is RunState.DONE else run.frames_done)
            if is_final(run.state):
                return run
            if not (warned or poll.has_workers) and time.monotonic() - begun_at > 5:
                bar.step("no worker is running; start one with `poseline worker`, or see `poseline status`")
                warned = True
            if poll.blocking_reason not in {None, printed}:
                bar.step(f"{submission.name}: {poll.blocking_reason}")
                printed = poll.blocking_reason
            time.sleep(_POLL_S if time.monotonic() - begun_at < _SOON_S else _LONG_POLL_S)


def _print_how_to_resume(console: Console, open_runs: Sequence[Submission]) -> None:
    command = this_command(console.home)
    for one in open_runs:
        short = str(one.run_id)[:8]
        console.err.print(
            f"the analysis of {one.name} goes on: `{command} show {short}` shows its progress, "
            f"`{command} export {short} --out FILE` writes the poses",
            markup=False,
        )


def _check_writable(out: Path) -> None:
    """Check before any work that files can be written tlocal."""
    nearest = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise UsageError(f"{out} cannot be written to; choose another folder with --out")


def _find_sources(paths: Sequence[str]) -> list[str]:
    """The paths with each folder replaced by its videos, sorted."""
    sources: list[str] = []
    for path in paths:
        if path.startswith("s3://"):
            sources.append(path)
            continue
        if "://" in path:
            raise UsageError(f"{path}: only files, folders and s3://bucket/key can be analysed; download it first")
        local = Path(path)
        if not local.exists():
            raise UsageError(f"there is no file {path}; check the path")
        if local.is_dir():
            found = sorted(p for p in local.rglob("*") if p.suffix.lower() in VIDEO_ENDINGS and p.is_file())
            if not found:
                raise UsageError(f"there is no video in {path}; looked for {' '.join(sorted(VIDEO_ENDINGS))}")
            sources += [str(p) for p in found]
        else:
            sources.append(path)
    return sources


def _export_path(out: Path, one: Submission, submitted: Sequence[Submission], form: Format) -> Path:
    stem = Path(one.name).stem or "video"
    is_unique = sum(Path(other.name).stem == Path(one.name).stem for other in submitted) == 1
    return out / (f"{stem}.{form}" if is_unique else f"{stem}-{str(one.run_id)[:8]}.{form}")


def _raise_first(console: Console, failures: Sequence[tuple[str, PoselineError]], of: int) -> None:
    """Print every failure but the first and raise that one, so that it decides the exit code."""
    if not failures:
        return
    for name, error in failures[1:]:
        console.err.print(f"poseline: {name}: {error.message}", markup=False)
    name, first = failures[0]
    if of > 1:
        first.args = (f"{name}: {first.message}",)
    raise first
