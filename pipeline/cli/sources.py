"""Which videos the paths of a command line name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.services.upload import printable

VIDEO_ENDINGS = {".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg"}


@dataclass(frozen=True)
class Source:
    """One video to analyse: a path or an `s3://` URL, and whether a folder was named that it is in."""

    location: str
    in_folder: bool = False

    @property
    def name(self) -> str:
        """The name of the file or object."""
        return printable(self.location.rpartition("/")[2])


def find_sources(paths: Sequence[str]) -> list[Source]:
    """The videos of `paths`, those of a folder sorted by name; each file once.

    Raises:
        UsageError: a path does not exist, has no video in it, or is of a kind that cannot be read.
    """
    found: dict[str, Source] = {}
    for path in paths:
        if path.lower().startswith("s3://"):
            found.setdefault(path, Source(f"s3://{path[5:]}"))
        elif "://" in path:
            raise UsageError(f"{path}: only files, folders and s3://bucket/key can be analysed; download it first")
        else:
            for local, in_folder in _find_files(Path(path)):
                found.setdefault(str(local.resolve()), Source(str(local), in_folder))
    return list(found.values())


def _find_files(path: Path) -> list[tuple[Path, bool]]:
    if not path.exists():
        raise UsageError(f"there is no file {path}; check the path")
    if not path.is_dir():
        return [(path, False)]
    videos = sorted(each for each in path.rglob("*") if each.suffix.lower() in VIDEO_ENDINGS and each.is_file())
    if not videos:
        raise UsageError(f"there is no video in {path}; looked for {' '.join(sorted(VIDEO_ENDINGS))}")
    return [(each, True) for each in videos]
