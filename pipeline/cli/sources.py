"""Which videos a command line names: files, folders, patterns, objects, prefixes of them, lists and manifests."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.core.tags import Tags
from pipeline.core.video_names import VIDEO_ENDINGS, is_video_name
from pipeline.errors import UsageError
from pipeline.services.manifest import is_manifest, read_manifest, real_location
from pipeline.services.upload_steps import printable

_GLOB = set("*?[")


@dataclass(frozen=True)
class Source:
    """One video to take in, or all below a prefix of the object store.

    Args:
        location: a path, `s3://bucket/key`, or a prefix `s3://bucket/prefix/`.
        in_folder: a folder, pattern or prefix was named that it is in.
        team, name, tags: as a manifest says.
        manifest: that it is from, and its line there.
    """

    location: str
    in_folder: bool = False
    team: str | None = None
    name: str | None = None
    tags: Tags = field(default_factory=dict)
    manifest: tuple[Path, int] | None = None

    @property
    def is_prefix(self) -> bool:
        """Whether it stands for all objects below it."""
        return self.location.startswith("s3://") and self.location.endswith("/")

    @property
    def shown_name(self) -> str:
        """The name of the video, printable."""
        return printable(self.name or self.location.rstrip("/").rpartition("/")[2])


def find_sources(
    paths: Sequence[str], manifest: Path | None = None, read_list: Callable[[], bytes] | None = None
) -> list[Source]:
    """The videos of `paths` and of a manifest, those of a folder or pattern sorted by name; each once for each team.

    What a manifest names is as its rows say, also where a path names it, too.

    Args:
        paths: `-` is a list of them, one a line, or separated by NUL.
        read_list: gives that list; by default standard input.

    Raises:
        UsageError: a path does not exist, has no video in it, or is of a kind that cannot be read; a manifest is wrong.
    """
    found: dict[tuple[str, str | None], Source] = {}
    named = list(_with_list(paths, read_list or sys.stdin.buffer.read))
    sources = [source for path in named for source in _find(path)]
    if manifest is not None:
        sources += _of_manifest(manifest)
    if not sources:
        raise UsageError("no video is named; give a path, or --manifest FILE")
    places = [real_location(source.location) for source in sources]
    listed = {at for at, source in zip(places, sources, strict=True) if source.manifest is not None}
    for at, source in zip(places, sources, strict=True):
        if source.manifest is not None or at not in listed:
            found.setdefault((at, source.team), source)
    return list(found.values())


def _with_list(paths: Sequence[str], read_list: Callable[[], bytes]) -> Iterator[str]:
    for path in paths:
        if path != "-":
            yield path
            continue
        text = os.fsdecode(read_list())
        lines = text.split("\0") if "\0" in text else text.splitlines()
        listed = [line for line in lines if line.strip()]
        if not listed:
            raise UsageError("the list on standard input names no video; write one path or URL a line")
        yield from listed


def _find(path: str) -> list[Source]:
    if path.lower().startswith("s3://"):
        if path[5:].strip("/") == path[5:] and "/" not in path[5:]:
            raise UsageError(f"{path} is not of the form s3://bucket/key; s3://{path[5:]}/ is all videos in the bucket")
        return [Source(f"s3://{path[5:]}", in_folder=path.endswith("/"))]
    if "://" in path:
        raise UsageError(f"{path}: only files, folders and s3://bucket/key can be analysed; download it first")
    if is_manifest(path):
        return _of_manifest(Path(path))
    return [Source(str(local), in_folder) for local, in_folder in _find_files(path)]


def _of_manifest(path: Path) -> list[Source]:
    return [
        Source(row.location, team=row.team, name=row.name, tags=row.tags, manifest=(path, row.line))
        for row in read_manifest(path)
    ]


def _find_files(text: str) -> list[tuple[Path, bool]]:
    path = Path(text)
    if not path.exists() and _GLOB & set(text):
        return [(each, True) for each in _expand(text)]
    if not path.exists():
        raise UsageError(f"there is no file {path}; check the path")
    if not path.is_dir():
        return [(path, False)]
    videos = sorted(_walk(path))
    if not videos:
        raise UsageError(f"there is no video in {path}; looked for {' '.join(sorted(VIDEO_ENDINGS))}")
    return [(each, True) for each in videos]


def _walk(top: Path) -> Iterator[Path]:
    """The videos of a folder and of those in it; what is hidden is left out.

    Raises:
        UsageError: a folder cannot be read.
    """

    def give_up(error: OSError) -> None:
        raise UsageError(f"{error.filename} cannot be read: {error.strerror}; name the other folders, or allow it")

    for folder, folders, files in os.walk(top, onerror=give_up):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (each for name in files if is_video_name(name) and (each := Path(folder, name)).is_file())


def _expand(pattern: str) -> list[Path]:
    """The files of a pattern that the shell left as it is; those with a video's ending, if it names none itself."""
    found = [Path(each) for each in sorted(glob.glob(pattern, recursive=True))]
    ending = Path(pattern).suffix
    any_file = bool(ending) and not _GLOB & set(ending)
    videos = [each for each in found if each.is_file() and (any_file or is_video_name(each.name))]
    if not videos:
        raise UsageError(f"no video matches {pattern}; check the pattern")
    return videos
