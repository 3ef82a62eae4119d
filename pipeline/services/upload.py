"""Take in one video without requesting a run: a file of this machine, or an object that is in the object store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.core.progress import SILENT, Progress
from pipeline.db.videos import VideoRow
from pipeline.services.registration import Registration, read_video
from pipeline.services.system import System
from pipeline.services.take_in import Intake
from pipeline.services.to_take_in import Item
from pipeline.services.upload_steps import check_servers, check_team, forget_upload, printable

__all__ = ["Upload", "check_servers", "check_team", "forget_upload", "printable", "register_object", "upload_file"]


@dataclass(frozen=True)
class Upload:
    """A video, and whether it had been taken in before."""

    video: VideoRow
    existed: bool


def upload_file(system: System, path: Path, team: str, *, progress: Progress = SILENT) -> Upload:
    """Upload one file and queue it for ingest. The same content uploaded twice is one video.

    The file is probed here, sandboxed as in a worker, so that nothing is kept of what cannot be analysed. While
    there is no room it waits. `progress` counts bytes, and is told why it waits.

    Raises:
        UsageError: there is no such file, or it cannot be read.
        VideoRejected: it is not a video that can be analysed.
        OwnPreview: Poseline drew it.
        ServiceUnavailable: a server does not answer; no part of the upload is left.
    """
    return _take_in(system, Item(str(path), team), progress)


def register_object(system: System, url: str, team: str) -> Upload:
    """Take in an object of the object store by its `s3://bucket/key`. It is read in place and never removed.

    Raises:
        UsageError: the URL has no bucket or no key, names a folder, or is one of Poseline's own objects.
        ObjectMissing: there is no such object.
    """
    return _take_in(system, Item(url, team), SILENT)


def _take_in(system: System, item: Item, progress: Progress) -> Upload:
    check_team(item.team)
    check_servers(system)
    taken = Intake(system, Registration(system, None), on_wait=progress.step).take_in(item, progress.advance)
    return Upload(read_video(system, taken.video_id, item.team), taken.known_as is not None)
