"""Write what a run found into a folder, and print where it is: poses, annotated video, contact sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.cli.console import Console, this_command
from pipeline.cli.formatting import summary_line
from pipeline.cli.progress import Bar
from pipeline.cli.waiting import Submission
from pipeline.core.files import write_atomically
from pipeline.core.states import RunState
from pipeline.errors import PoselineError, RunFailed, ServiceUnavailable
from pipeline.services.export import cannot_write
from pipeline.services.pose_writers import Format
from pipeline.services.result_names import ResultNames, claimed_names
from pipeline.services.result_page import picture_path
from pipeline.services.runs import Run, short_id, to_dict
from pipeline.services.upload_steps import printable

#: File systems allow 255 bytes; the endings need some.
_LONGEST_NAME_BYTES = 180


@dataclass(frozen=True)
class Outcome:
    """A run that is done and its files: titles with paths, the poses first.

    Args:
        name: of the video, as it was given.
    """

    name: str
    run: Run
    existed: bool
    files: tuple[tuple[str, Path], ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The run as JSON fields, with its files."""
        files = [str(path) for _, path in self.files]
        return {**to_dict(self.run), "existed": self.existed, "files": files, "file_notes": list(self.notes)}


def write_outcome(
    console: Console, one: Submission, run: Run, out: Path, form: Format, *, preview: bool, picture: bool
) -> Outcome:
    """Write a run's files into `out` under a name that no other run's files have.

    Args:
        preview: draw the annotated video and the contact sheet, too.
        picture: draw the picture for the page of results.

    Raises:
        RunFailed: it ended without results.
        UsageError: the files cannot be written.
    """
    if run.state is not RunState.DONE:
        how = f"; `{this_command(console.home)} export {short_id(run.id)}` writes the frames that were analysed"
        raise RunFailed(f"{run.reason or run.state}{how if run.frames_done else ''}")
    try:
        with claimed_names(out, file_name(one.name), run.id) as names:
            export = console.client.export_run(run.id, names.poses(form), form, team=one.team)
    except OSError as error:
        raise cannot_write(out, error) from error
    files = [("poses", names.poses(form))]
    files += [("frames without people", path) for path in export.files[1:-1]]
    notes = list(filter(None, [export.missing]))
    if preview:
        drawn, more = draw_previews(console, run, names, team=one.team)
        files += drawn
        notes += more
    if picture:
        _draw_picture(console, run, names, one.team, notes)
    files.append(("about this run", names.metadata))
    return Outcome(one.name, run, one.existed, tuple(files), tuple(notes))


def draw_previews(
    console: Console, run: Run, names: ResultNames, *, team: str | None
) -> tuple[list[tuple[str, Path]], list[str]]:
    """Draw the annotated video and the contact sheet. Returns the files, and what is different or went wrong."""
    files, notes = [], []
    for title, path in (("annotated video", names.video), ("contact sheet", names.sheet)):
        with Bar(console, f"drawing {path.name}", None) as bar:
            try:
                preview = console.client.preview_run(run.id, path, team=team, progress=bar)
            except ServiceUnavailable:
                raise
            except PoselineError as error:
                notes.append(f"no {title}: {error.message}")
                continue
        files.append((title, path))
        notes += [f"{title}: {note}" for note in preview.notes]
    return files, notes


def print_outcome(console: Console, outcome: Outcome) -> None:
    """Print what was found and where it is."""
    run = outcome.run
    console.print(f"{outcome.name}: {summary_line(run)}")
    rows = [("run", short_id(run.id)), *((title, str(path)) for title, path in outcome.files)]
    print_rows(console, [row for row in rows if row[0] != "about this run"])
    for note in (*run.notes, *outcome.notes):
        console.print(f"  {note}")


def print_rows(console: Console, rows: Sequence[tuple[str, str]]) -> None:
    """Print titles and values in two columns."""
    widest = max(len(title) for title, _ in rows)
    for title, value in rows:
        console.print(f"  {title:<{widest}}  {value}")


def file_name(video: str) -> str:
    """The name of a video's result files: its own without the ending."""
    stem = Path(printable(video)).stem or "video"
    return stem.encode()[:_LONGEST_NAME_BYTES].decode(errors="ignore")


def _draw_picture(console: Console, run: Run, names: ResultNames, team: str, notes: list[str]) -> None:
    path = picture_path(names.folder, run.id)
    try:
        data = console.client.draw_thumbnail(run.id, team=team)
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, data)
    except ServiceUnavailable:
        raise
    except (PoselineError, OSError) as error:
        notes.append(f"no picture: {error}")
