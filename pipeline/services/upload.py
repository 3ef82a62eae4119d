"""Take a video in: a file of this machine, or an object that is already in the object store."""

from __future__ import annotations

import hashlib
import posixpath
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from pipeline.core.object_keys import OWN_PREFIXES, restored_video_key
from pipeline.core.progress import SILENT, Progress
from pipeline.db.engine import transaction
from pipeline.db.uploads import add_name, delete_upload, insert_video, lock_upload, mark_stored, repin
from pipeline.db.videos import VideoRow, find_content, find_object, select_video
from pipeline.errors import OwnPreview, ServiceUnavailable, SourceGone, StoreFull, UsageError, VideoRejected
from pipeline.services.dispatch import dispatch_videos
from pipeline.services.pressure import note_store_full, wait_for_room
from pipeline.services.system import System
from pipeline.services.teams import in_bytes, limits_of
from pipeline.video.reader import probe
from pipeline.video.source import open_source

_HASH_BYTES = 4 * 2**20
_TEAM_CHARACTERS = 64


@dataclass(frozen=True)
class Upload:
    """A video, and whether it had been taken in before."""

    video: VideoRow
    existed: bool


def upload_file(system: System, path: Path, team: str, *, progress: Progress = SILENT) -> Upload:
    """Upload one file and queue it for ingest. The same content uploaded twice is one video.

    The file is probed here first, sandboxed as in a worker, so that what cannot be analysed is never uploaded.
    While there is no room it waits. `progress` counts bytes.

    Raises:
        UsageError: there is no such file, or it cannot be read.
        VideoRejected: it is not a video that can be analysed.
        OwnPreview: Poseline drew it.
        ServiceUnavailable: a server does not answer; no part of the upload is left.
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
    try:
        with open_source(path) as source:
            probe(source, limits)
    except OwnPreview as error:
        what = "is a preview that Poseline drew; name the video that it was made from"
        raise OwnPreview(f"{printable(path.name)} {what}") from error
    sha256 = _hash(path)
    system.store.check_bucket()
    while True:
        with transaction(system.engine) as connection:
            known = find_content(connection, team, sha256)
            if known is not None:
                add_name(connection, known.id, printable(path.name))
        if known is not None:
            _restore(system, path, known, progress)
            return Upload(known, existed=True)
        wait_for_room(system, progress)
        with transaction(system.engine) as connection:
            video_id, key = insert_video(
                connection, team, printable(path.name), bucket=system.store.bucket, sha256=sha256
            )
        try:
            stored = system.store.put_file(path, key, progress.advance)
            with transaction(system.engine) as connection:
                mark_stored(connection, video_id, stored)
            break
        except StoreFull as error:
            forget_upload(system, video_id, key)
            note_store_full(system, error.message)
        except BaseException:
            forget_upload(system, video_id, key)
            raise
    dispatch_videos(system)
    with transaction(system.engine) as connection:
        return Upload(select_video(connection, video_id, team=team), existed=False)


def _restore(system: System, path: Path, known: VideoRow, progress: Progress) -> None:
    """Upload a known video's object again where it was removed or overwritten: the content is the same."""
    assert known.source is not None
    try:
        system.store.check_unchanged(known.source)
    except SourceGone:
        key = known.source.key if known.owned else restored_video_key(known.id)
        stored = system.store.put_file(path, key, progress.advance)
        with transaction(system.engine) as connection:
            repin(connection, known.id, stored)


def register_object(system: System, url: str, team: str) -> Upload:
    """Take in an object of the object store by its `s3://bucket/key`. It is read in place and never removed.

    Raises:
        UsageError: the URL has no bucket or no key, names a folder, or is one of Poseline's own objects.
        ObjectMissing: there is no such object.
    """
    check_team(team)
    # Not parsed as a URL: "#" and "?" are ordinary characters of a key.
    bucket, _, key = url.removeprefix("s3://").partition("/")
    if not url.startswith("s3://") or not bucket or not key:
        raise UsageError(f"{url} is not of the form s3://bucket/key")
    if key.endswith("/"):
        raise UsageError(f"{url} is a folder; name the objects in it")
    if bucket == system.store.bucket and _is_ours(key):
        raise UsageError(f"{url} is Poseline's own; name the file or the object that it was made from")
    source = system.store.head(key, bucket)
    with transaction(system.engine) as connection:
        known = find_object(connection, team, source)
        if known is not None:
            add_name(connection, known.id, printable(key.rpartition("/")[2]))
            return Upload(known, existed=True)
        video_id, _ = insert_video(connection, team, printable(key.rpartition("/")[2]), bucket=source.bucket, key=key)
        mark_stored(connection, video_id, source)
    dispatch_videos(system)
    with transaction(system.engine) as connection:
        return Upload(select_video(connection, video_id, team=team), existed=False)


def check_servers(system: System) -> None:
    """Check once, before many uploads, that they can be stored.

    Raises:
        ServiceUnavailable: Postgres or the object store does not answer.
        ObjectMissing: our bucket does not exist.
    """
    system.store.check_bucket()
    with transaction(system.engine):
        pass


def check_team(name: str) -> None:
    """Check a team's name.

    Raises:
        UsageError: it is empty, too long, or has unprintable characters.
    """
    if not name.strip() or len(name) > _TEAM_CHARACTERS or not name.isprintable():
        raise UsageError(f"{printable(name)!r} is no name for a team: use 1 to {_TEAM_CHARACTERS} printable characters")


def printable(name: str) -> str:
    """A name with every character that a terminal cannot print replaced by `?`."""
    return "".join(c if c.isprintable() else "?" for c in name.encode("utf-8", "replace").decode())


def _is_ours(key: str) -> bool:
    """Whether a key of our bucket is one of Poseline's own; object stores differ in how they resolve `//` and `..`."""
    segments = [part for part in posixpath.normpath("/" + key).split("/") if part]
    return not segments or segments[0] in OWN_PREFIXES


def forget_upload(system: System, video_id: UUID, key: str) -> bool:
    """Remove the row and object of an upload that failed. Returns whether that was possible now; if not, the
    reconciler does it later.

    The row is locked meanwhile, so that an upload that did succeed keeps its object.
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
