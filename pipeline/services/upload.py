"""Bring a video in: a file of this machine, or an object that lies in the store already."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from pipeline.core.objects import OWN_PREFIXES, restored_video_key
from pipeline.db.engine import transaction
from pipeline.db.uploads import delete_upload, insert_video, lock_upload, mark_stored, repin
from pipeline.db.videos import VideoRow, find_content, find_object, select_video
from pipeline.errors import ServiceUnavailable, SourceGone, UsageError, VideoRejected
from pipeline.services.system import System
from pipeline.services.team_limits import in_bytes, limits_of
from pipeline.video.reader import probe
from pipeline.video.source import open_source

_HASH_BYTES = 4 * 2**20
_TEAM_CHARACTERS = 64


@dataclass(frozen=True)
class Upload:
    """A video that is in, and whether it was in before."""

    video: VideoRow
    known: bool


def upload_file(system: System, path: Path, team: str, *, on_bytes: Callable[[int], None] | None = None) -> Upload:
    """Upload one file and say that it waits to be ingested. The same content twice is one video.

    It is looked at here first, behind the same wall as in a worker, so that what cannot be analysed is never sent.

    Raises:
        UsageError: there is no such file, or it cannot be read.
        VideoRejected: it is not a video that can be analysed.
        ServiceUnavailable: a server does not answer; nothing half-made is left.
    """
    check_team(team)
    _check_readable(path)
    size_bytes = path.stat().st_size
    limits = limits_of(system, team)
    if size_bytes > limits.max_bytes:
        raise VideoRejected(
            f"{printable(path.name)} has {in_bytes(size_bytes)}, the limit is {in_bytes(limits.max_bytes)}; "
            "cut it, or have the limit raised"
        )
    with open_source(path) as source:
        probe(source, limits)
    sha256 = _hash(path)
    system.store.check_bucket()
    with transaction(system.engine) as connection:
        known = find_content(connection, team, sha256)
        if known is None:
            video_id, key = insert_video(
                connection, team, printable(path.name), bucket=system.store.bucket, sha256=sha256
            )
    if known is not None:
        _put_back(system, path, known, on_bytes)
        return Upload(known, known=True)
    try:
        stored = system.store.put_file(path, key, on_bytes)
        with transaction(system.engine) as connection:
            mark_stored(connection, video_id, stored)
    except BaseException:
        forget_upload(system, video_id, key)
        raise
    system.queue.send_ingest(video_id)
    with transaction(system.engine) as connection:
        return Upload(select_video(connection, video_id), known=False)


def _put_back(system: System, path: Path, known: VideoRow, on_bytes: Callable[[int], None] | None) -> None:
    """Give a video that is known its object again, where that went away or was overwritten: the content is the same."""
    assert known.source is not None
    try:
        system.store.check_unchanged(known.source)
    except SourceGone:
        key = known.source.key if known.owned else restored_video_key(known.id)
        stored = system.store.put_file(path, key, on_bytes)
        with transaction(system.engine) as connection:
            repin(connection, known.id, stored)


def register_object(system: System, url: str, team: str) -> Upload:
    """Take in an object of the store by its `s3://bucket/key`; it stays where it is and its owner's.

    Raises:
        UsageError: the URL has no bucket or no key.
        ObjectMissing: there is no such object.
    """
    check_team(team)
    # Not parsed as a URL: "#" and "?" are ordinary characters of a key.
    bucket, _, key = url.removeprefix("s3://").partition("/")
    if not url.startswith("s3://") or not bucket or not key:
        raise UsageError(f"{url} is not of the form s3://bucket/key")
    if bucket == system.store.bucket and _is_ours(key):
        raise UsageError(f"{url} is Poseline's own; name the file or the object that it was made from")
    source = system.store.head(key, bucket)
    with transaction(system.engine) as connection:
        known = find_object(connection, team, source)
        if known is not None:
            return Upload(known, known=True)
        video_id, _ = insert_video(connection, team, key.rpartition("/")[2], bucket=source.bucket, key=key)
        mark_stored(connection, video_id, source)
    system.queue.send_ingest(video_id)
    with transaction(system.engine) as connection:
        return Upload(select_video(connection, video_id), known=False)


def check_team(name: str) -> None:
    """Hold a team's name against what people can read and type.

    Raises:
        UsageError: it is empty, too long, or has characters that do not print.
    """
    if not name.strip() or len(name) > _TEAM_CHARACTERS or not name.isprintable():
        raise UsageError(f"{printable(name)!r} is no name for a team: use 1 to {_TEAM_CHARACTERS} printable characters")


def printable(name: str) -> str:
    """A file's name as text that a terminal can take, whatever bytes it is made of."""
    return "".join(c if c.isprintable() else "?" for c in name.encode("utf-8", "replace").decode())


def _is_ours(key: str) -> bool:
    """Whether a key of our bucket leads to what Poseline keeps; stores differ in what they make of `//` and `..`."""
    segments = [part for part in posixpath.normpath("/" + key).split("/") if part]
    return not segments or segments[0] in OWN_PREFIXES


def forget_upload(system: System, video_id: UUID, key: str) -> bool:
    """Remove an upload that broke off; what cannot be reached now is removed later. Returns whether it was removed.

    The row is locked meanwhile, so that an upload that did get through keeps its object.
    """
    with suppress(ServiceUnavailable):
        with transaction(system.engine) as connection:
            if not lock_upload(connection, video_id):
                return False
            system.store.delete(key)
            delete_upload(connection, video_id)
        return True
    return False


def _check_readable(path: Path) -> None:
    if not path.exists():
        raise UsageError(f"there is no file {path}; check the path")
    if not path.is_file():
        raise UsageError(f"{path} is not a file; name a video file or a folder of them")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    if empty:
        raise VideoRejected(f"{path.name} is empty; upload it again")


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_HASH_BYTES):
            digest.update(piece)
    return digest.hexdigest()
