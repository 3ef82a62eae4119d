"""The steps of taking in a video, each by itself."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from pipeline.core.object_keys import is_own_key, restored_video_key
from pipeline.core.objects import StoredObject
from pipeline.db.engine import transaction
from pipeline.db.part_uploads import is_idle
from pipeline.db.uploads import delete_upload, lock_upload, repin, upload_exists, upload_removed
from pipeline.db.video_search import has_size
from pipeline.db.videos import VideoRow
from pipeline.errors import ServiceUnavailable, SourceGone, UsageError, VideoRejected
from pipeline.services.system import System

_TEAM_CHARACTERS = 64


def restore(system: System, path: Path, known: VideoRow, on_bytes: Callable[[int], None]) -> None:
    """Upload a known video's object again where it was removed or overwritten: the content is the same.

    Raises:
        NotFound: the video was erased meanwhile; nothing of it is left.
    """
    assert known.source is not None
    try:
        system.store.check_unchanged(known.source)
    except SourceGone:
        key = known.source.key if known.owned else restored_video_key(known.id)
        stored = system.store.put_file(path, key, on_bytes)
        with transaction(system.engine) as connection:
            if repin(connection, known.id, stored):
                return
        system.store.versions.remove(stored.bucket, key)
        raise upload_removed() from None


def has_size_of(system: System, team: str, size_bytes: int) -> bool:
    """Whether a team has a video of that size."""
    with transaction(system.engine) as connection:
        return has_size(connection, team, size_bytes)


def find_object_at(system: System, url: str) -> StoredObject:
    """The object at `s3://bucket/key`, pinned as it is now.

    Raises:
        UsageError: the URL has no bucket or no key, names a folder, or is one of Poseline's own objects.
        ObjectMissing: there is no such object.
    """
    # Not parsed as a URL: "#" and "?" are ordinary characters of a key.
    bucket, _, key = url.removeprefix("s3://").partition("/")
    if not url.startswith("s3://") or not bucket or not key:
        raise UsageError(f"{url} is not of the form s3://bucket/key")
    if key.endswith("/"):
        raise UsageError(f"{url} is a folder; name the objects in it")
    if is_own_object(system, bucket, key):
        raise UsageError(f"{url} is Poseline's own; name the file or the object that it was made from")
    return system.store.head(key, bucket)


def is_own_object(system: System, bucket: str, key: str) -> bool:
    """Whether an object is one that Poseline writes."""
    return bucket == system.store.bucket and is_own_key(key)


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


def forget_upload(system: System, video_id: UUID, key: str, *, idle_s: float | None = None) -> bool:
    """Remove the row and object of an upload that failed. Returns whether that was possible now; if not, the
    reconciler does it later.

    With `idle_s`, only if nothing happened to it for so long.

    The row is locked meanwhile, so that an upload that did succeed keeps its object. Where the video was erased there
    is no row, and what arrived in the store since then is removed.
    """
    with suppress(ServiceUnavailable):
        with transaction(system.engine) as connection:
            if not lock_upload(connection, video_id):
                if not upload_exists(connection, video_id):
                    system.store.versions.remove(system.store.bucket, key)
                    return True
                return False
            if idle_s is not None and not is_idle(connection, video_id, idle_s):
                return False
            system.store.delete(key)
            delete_upload(connection, video_id)
        return True
    return False


def is_removed(system: System, video_id: UUID) -> bool:
    """Whether an upload's row is known to be gone: it was erased, or took too long."""
    with suppress(ServiceUnavailable), transaction(system.engine) as connection:
        return not upload_exists(connection, video_id)
    return False


def check_readable(path: Path) -> None:
    """Check that a path is a file that can be read and has something in it.

    Raises:
        UsageError: there is no such file, or it cannot be read.
        VideoRejected: it is empty.
    """
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
