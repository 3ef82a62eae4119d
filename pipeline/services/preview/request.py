"""What a user asks for: a preview in a file, or a thumbnail for a page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from pipeline.core.preview_tag import is_preview_of
from pipeline.core.progress import SILENT, Progress
from pipeline.errors import UsageError
from pipeline.services.export import cannot_write, checked_target
from pipeline.services.preview.annotated_video import draw_video
from pipeline.services.preview.footage import open_footage
from pipeline.services.preview.sheet import draw_best, draw_sheet
from pipeline.services.system import System


@dataclass(frozen=True)
class Preview:
    """A preview that was written.

    Args:
        path: of the file.
        notes: how it differs from the video, and what is not drawn, a phrase each; usually none.
    """

    path: Path
    notes: tuple[str, ...] = ()


def preview_run(
    system: System,
    run_id: UUID,
    to: Path,
    *,
    team: str | None,
    progress: Progress = SILENT,
) -> Preview:
    """Write an annotated video (`.mp4`) or a contact sheet (`.png`) of a run that has ended.

    The video keeps the size, the times and the sound of its source where it can; the same run gives the same bytes. Of
    a run that failed or was cancelled the frames that are there are drawn. `progress` counts frames.

    Raises:
        NotFound: there is no such run, or it is another team's.
        UsageError: another ending, the file cannot be written, or it exists and is no preview of this run.
        RunFailed: the run has not ended, or has no frames.
        SourceGone: the stored video changed or went away.
    """
    ending = preview_ending(to)
    footage = open_footage(system, run_id, team=team)
    to = checked_target(to)
    try:
        make_way(to, run_id)
        notes = (draw_sheet if ending == ".png" else draw_video)(footage, to, progress)
    except OSError as error:
        raise cannot_write(to, error) from error
    return Preview(to, notes)


def preview_ending(to: Path) -> str:
    """`.mp4` or `.png`: what a file of that name is to be.

    Raises:
        UsageError: it has another ending.
    """
    ending = to.suffix.lower()
    if ending not in {".mp4", ".png"}:
        raise UsageError(f"{to.name} must end in .mp4 for a video or .png for a contact sheet")
    return ending


def make_way(to: Path, run_id: UUID) -> None:
    """Make the folder of a preview.

    Raises:
        UsageError: there is a file of that name that is no preview of this run.
        OSError: the folder cannot be made.
    """
    if to.exists() and not is_preview_of(to, run_id):
        raise UsageError(f"{to.name} exists and is no preview of this run; choose another name with --out")
    to.parent.mkdir(parents=True, exist_ok=True)


def draw_thumbnail(system: System, run_id: UUID, *, team: str | None) -> bytes:
    """A JPEG, 320 pixels on its longer side, of one frame with its people; it takes well under a second.

    Raises:
        NotFound: there is no such run, or it is another team's.
        RunFailed: the run has not ended, or has no frames.
        SourceGone: the stored video changed or went away.
    """
    return draw_best(open_footage(system, run_id, team=team))
