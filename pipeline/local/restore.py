"""Restore a backup into an empty home: a stack of its own with that database and those objects.

Until it is complete the home has a mark, with which `poseline up` refuses to start it; the same call goes on then.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from pipeline.core.backup import DUMP, MANIFEST, OBJECTS, UNFINISHED, CopiedObject, Manifest, file_of, name_of
from pipeline.core.files import write_atomically
from pipeline.core.object_keys import restored_video_key
from pipeline.core.objects import StoredObject
from pipeline.core.progress import Progress
from pipeline.db.backups import is_restored, mark_source_missing, repin_restored
from pipeline.db.engine import build_engine, transaction
from pipeline.db.migrate import upgrade
from pipeline.errors import UsageError
from pipeline.local import stack
from pipeline.local.backup import iter_list, run_tool, sha256_of
from pipeline.local.home import RESTORING, SERVERS, Home
from pipeline.settings import Settings
from pipeline.storage.objects import ObjectStore, build_object_store
from pipeline.storage.store_errors import ObjectMissing

#: What a home may hold before it has a stack: what was fetched or computed, and what a file system has of its own.
_WITHOUT_STACK = {".gitignore", "engines", "logs", "lost+found", "models", "run", "scratch", "weights"}
_WITHOUT_STACK |= {f"known-files.sqlite{end}" for end in ("", "-wal", "-shm")}


def restore_backup(home: Path, folder: Path, progress: Progress) -> Manifest:
    """Make a stack in `home` with what a backup holds, and stop it again.

    Args:
        progress: counts bytes of objects.

    Raises:
        UsageError: the folder holds no whole backup, something in it is damaged, or the home is not empty.
        StackError: the servers do not start.
        ServiceUnavailable: one does not answer; the same call goes on.
    """
    manifest = read_backup(folder)
    place = Home.at(home)
    _check_empty(place, manifest)
    place.make()
    mark = json.dumps({"dump_sha256": manifest.dump_sha256})
    write_atomically(place.path / RESTORING, mark, private=True, durable=True)
    try:
        stack.up(home, only=SERVERS, on_step=progress.step, prepare=_filled_with(folder, manifest, progress))
        (place.path / RESTORING).unlink()
    finally:
        stack.down(home)
    return manifest


def read_backup(folder: Path) -> Manifest:
    """The manifest of a whole backup whose dump and list of objects are as they were written.

    Raises:
        UsageError: it is none, or damaged.
    """
    try:
        manifest = Manifest.from_dict(json.loads((folder / MANIFEST).read_text()))
    except FileNotFoundError:
        if (folder / UNFINISHED).exists():
            again = "where it was made, make it again into this folder"
            raise UsageError(f"{folder} holds a backup that broke off; {again}") from None
        raise UsageError(f"{folder} holds no backup: there is no {MANIFEST}") from None
    except OSError as error:
        raise UsageError(f"{folder / MANIFEST} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{folder / MANIFEST} is damaged ({error}); restore another backup") from error
    for name, sha256 in ((DUMP, manifest.dump_sha256), (OBJECTS, manifest.objects_sha256)):
        path = folder / name
        if not path.is_file() or sha256_of(path) != sha256:
            raise UsageError(f"{path} is missing or damaged; restore another backup")
    return manifest


def _check_empty(place: Home, manifest: Manifest) -> None:
    mark = place.path / RESTORING
    if mark.exists():
        if json.loads(mark.read_text()) != {"dump_sha256": manifest.dump_sha256}:
            raise UsageError(f"{place.path} holds a part of another backup; remove it, or choose another --home")
    elif place.stack_file.exists() or place.data("postgres").exists():
        raise UsageError(f"{place.path} has a stack already; choose an empty place with --home")
    elif others := _of_others(place.path):
        held = f"{others[0]!r}" + (f" and {len(others) - 1} more" if len(others) > 1 else "")
        raise UsageError(f"{place.path} is not empty: it holds {held}; choose an empty place with --home")


def _of_others(home: Path) -> list[str]:
    """What is in a home and not of a home without a stack; folders without any file are nothing."""
    found = home.iterdir() if home.exists() else ()
    return sorted(each.name for each in found if each.name not in _WITHOUT_STACK and not _is_empty_folder(each))


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and all(each.is_dir() for each in path.rglob("*"))


def _filled_with(folder: Path, manifest: Manifest, progress: Progress) -> Callable[[Settings], None]:
    def fill(settings: Settings) -> None:
        filling = _Filling(settings, folder, manifest, progress)
        try:
            filling.restore_database()
            filling.restore_objects()
        finally:
            filling.close()

    return fill


class _Filling:
    """Fills empty servers with a backup."""

    def __init__(self, settings: Settings, folder: Path, manifest: Manifest, progress: Progress) -> None:
        self._url = settings.database_url.get_secret_value()
        self._engine = build_engine(self._url, pool_size=1)
        self._own = build_object_store(settings)
        self._stores = {self._own.bucket: self._own}
        self._folder, self._manifest, self._progress = folder, manifest, progress

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()
        self._own.close()

    def restore_database(self) -> None:
        """Restore the dump in one transaction, unless that was done, and bring it to this version's schema."""
        with transaction(self._engine) as connection:
            is_done = is_restored(connection)
        if not is_done:
            self._progress.step("restoring the database")
            arguments = ["--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error"]
            arguments += [f"--dbname={self._engine.url.database}", str((self._folder / DUMP).resolve())]
            run_tool("pg_restore", arguments, self._url)
        upgrade(self._url)

    def restore_objects(self) -> None:
        """Put every object of the backup into the store; those that are there already stay."""
        self._own.ensure_bucket()
        self._progress.step("restoring the objects")
        self._progress.total(self._manifest.object_bytes)
        for copied in iter_list(self._folder / OBJECTS):
            self.put(copied)

    def put(self, copied: CopiedObject) -> None:
        """Restore one object, and have its videos read from it.

        Raises:
            UsageError: its file is missing or damaged.
        """
        if copied.missing:
            with transaction(self._engine) as connection:
                mark_source_missing(connection, copied.source)
            return
        store, key = self._own, restored_video_key(UUID(name_of(copied.source)[:32]))
        if copied.keeps_key:
            store, key = self._store_of(copied.source.bucket), copied.source.key
        now = self._upload(store, key, copied)
        if copied.source.etag and now != copied.source:
            with transaction(self._engine) as connection:
                repin_restored(connection, copied.source, now, owned=None if copied.keeps_key else True)

    def _upload(self, store: ObjectStore, key: str, copied: CopiedObject) -> StoredObject:
        try:
            there = store.head(key)
            if there.size_bytes == copied.source.size_bytes:  # by the same restore, which was broken off
                self._progress.advance(there.size_bytes)
                return there
        except ObjectMissing:
            pass
        path = file_of(self._folder, copied.source)
        if not path.is_file() or sha256_of(path) != copied.sha256:
            raise UsageError(
                f"{path}, which is s3://{copied.source.bucket}/{copied.source.key}, is missing or damaged; put it "
                "there from another copy of this backup and repeat the command, or restore another backup"
            )
        return store.put_file(path, key, self._progress.advance, "application/octet-stream")

    def _store_of(self, bucket: str) -> ObjectStore:
        """The store of a bucket, which is made if it is missing; Poseline's own may have had another name."""
        if bucket == self._manifest.bucket:
            return self._own
        if bucket not in self._stores:
            self._stores[bucket] = self._own.of_bucket(bucket)
            self._stores[bucket].ensure_bucket()
        return self._stores[bucket]
