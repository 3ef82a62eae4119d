"""What a user asks for: a preview in a file, or a thumbnail for a page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from pipeline.core.preview_tag import is_preview_of
from pipeline.core.progress import SILENT, Progress
from pipeline.db.engine import transaction
from pipeline.db.videos import select_frame_index, select_video
from pipeline.errors import NotFound, UsageError
from pipeline.services.export import cannot_write, checked_target
from pipeline.services.preview.annotated_video import draw_video
from pipeline.services.preview.footage import open_footage
from pipeline.services.preview.sheet import draw_best, draw_sheet, draw_still
from pipeline.services.system import System
from pipeline.services.teams import limits_of_ready
from pipeline.storage.blocks import ObjectSource
from pipeline.video.reader import VideoReader


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


def draw_video_still(system: System, video_id: UUID, *, team: str | None) -> bytes:
    """A JPEG, 320 pixels on its longer side, of one frame of a video that is ready, without people.

    Raises:
        NotFound: there is no such video, or it is another team's; or no frame of it can be shown.
        SourceGone: the stored video changed or went away.
    """
    with transaction(system.engine) as connection:
        video = select_video(connection, video_id, team=team)
        index = select_frame_index(connection, video_id)
    source = ObjectSource(system.store, video.original)
    picture = draw_still(VideoReader(source, index, video.size, limits_of_ready(system, video)))
    if picture is None:
        raise NotFound("the frame for this video's picture cannot be decoded")
    return picture
