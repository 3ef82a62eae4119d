"""A backup: the database at one moment, and the objects that it names at that moment.

Objects never change, and sweeps remove none meanwhile, so those of the snapshot are all there to be copied. The
manifest is written last; without it a folder is no backup. A repeated call on a folder that a broken-off one left makes
a new dump and copies only what is not there yet.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pipeline
from pipeline.core.backup import DUMP, FOLDER, MANIFEST, OBJECTS, UNFINISHED, CopiedObject, Manifest, file_of
from pipeline.core.files import replacing, write_atomically
from pipeline.core.progress import Progress
from pipeline.db.backups import Snapshot, check_kept, iter_objects, keeping_objects, snapshot
from pipeline.db.engine import build_engine, client_environment
from pipeline.errors import PoselineError, SourceGone, UsageError
from pipeline.local.servers import postgres_binary
from pipeline.settings import Settings
from pipeline.storage.objects import ObjectStore, build_object_store
from pipeline.storage.store_errors import ObjectMissing

#: Of this process's environment: the caller's `PG*` would change where the tools go.
_KEPT = ("PATH", "TMPDIR", "LD_LIBRARY_PATH")


def make_backup(settings: Settings, folder: Path, progress: Progress) -> Manifest:
    """Back up the database and the objects into a folder that is new, empty, or what a broken-off backup left.

    Args:
        progress: counts bytes of objects.

    Raises:
        UsageError: the folder holds something else, a backup already, or another backup is being made.
        ServiceUnavailable: a server does not answer; the same call goes on.
        PoselineError: the database cannot be dumped.
    """
    _prepare(folder)
    with _alone_in(folder):
        for left in folder.rglob(".*.part"):  # of one that was killed
            left.unlink()
        return _make(settings, folder, progress)


def _make(settings: Settings, folder: Path, progress: Progress) -> Manifest:
    url = settings.database_url.get_secret_value()
    engine, store = build_engine(url, pool_size=2, application="poseline-backup"), build_object_store(settings)
    try:
        with keeping_objects(engine) as lock:
            with snapshot(engine) as taken:
                progress.step("dumping the database")
                dump(url, taken, folder / DUMP)
                wanted = _list(taken, store.bucket, folder)
            taken_at, revision = taken.taken_at, taken.revision
            progress.total(sum(one.source.size_bytes for one in iter_list(wanted)))
            counts = _copy_all(store, iter_list(wanted), folder, progress)
            check_kept(lock)
        wanted.unlink()
        manifest = Manifest(
            version=pipeline.__version__,
            revision=revision,
            bucket=store.bucket,
            taken_at=taken_at.isoformat(),
            dump_bytes=(folder / DUMP).stat().st_size,
            dump_sha256=sha256_of(folder / DUMP),
            objects_sha256=sha256_of(folder / OBJECTS),
            **counts,
        )
        write_atomically(folder / MANIFEST, json.dumps(manifest.to_dict(), indent=1) + "\n", private=True, durable=True)
        (folder / UNFINISHED).unlink()
    finally:
        engine.dispose()
        store.close()
    return manifest


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def run_tool(name: str, arguments: list[str], url: str) -> None:
    """Run one of Postgres's tools.

    Raises:
        PoselineError: it failed; the message is its last line.
    """
    done = subprocess.run(
        [postgres_binary(name), "--no-password", *arguments],
        env={**{name: os.environ[name] for name in _KEPT if name in os.environ}, **client_environment(url)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise PoselineError(f"{name} failed ({lines[-1] if lines else done.returncode}); `poseline doctor` may say why")


def dump(url: str, taken: Snapshot, to: Path) -> None:
    """Dump the database as of a snapshot."""
    with replacing(to) as [part]:
        _private(part)
        arguments = ["--format=custom", "--no-owner", "--no-privileges", f"--snapshot={taken.id}", f"--file={part}"]
        run_tool("pg_dump", arguments, url)
        _sync(part)


def _prepare(folder: Path) -> None:
    _check_is_none(folder)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()) and not (folder / UNFINISHED).exists():
            raise UsageError(f"{folder} is not empty; name a new folder")
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror}") from error


def _check_is_none(folder: Path) -> None:
    if (folder / MANIFEST).exists():
        raise UsageError(f"{folder} holds a backup already; name another folder")


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keep other backups out of a folder, which would replace each other's files, where its file system can."""
    try:
        mark = (folder / UNFINISHED).open("a")
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror}") from error
    with mark:
        try:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"another backup is being made into {folder}; name another folder") from None
        except OSError:  # a file system without locks
            pass
        _check_is_none(folder)  # one that ended just now
        yield


def _list(taken: Snapshot, bucket: str, folder: Path) -> Path:
    """Write down what has to be copied, so that the transaction need not stay open for it."""
    to = folder / "wanted.jsonl"
    _private(to)
    with to.open("w") as file:
        file.writelines(one.to_line() for one in iter_objects(taken, bucket))
    return to


def iter_list(path: Path) -> Iterator[CopiedObject]:
    """The objects of a list, in its order."""
    with path.open() as file:
        for line in file:
            yield CopiedObject.from_line(line)


def _copy_all(store: ObjectStore, wanted: Iterable[CopiedObject], folder: Path, progress: Progress) -> dict[str, int]:
    counts = {"objects": 0, "object_bytes": 0, "missing": 0}
    (folder / FOLDER).mkdir(mode=0o700, exist_ok=True)
    with replacing(folder / OBJECTS) as [part]:
        _private(part)
        with part.open("w") as list_:
            for one in wanted:
                copied = _copy(store, one, folder, progress)
                if copied is None:
                    continue
                list_.write(copied.to_line())
                counts["missing"] += copied.missing
                counts["objects"] += not copied.missing
                counts["object_bytes"] += 0 if copied.missing else copied.source.size_bytes
        _sync(part)
    return counts


def _copy(store: ObjectStore, wanted: CopiedObject, folder: Path, progress: Progress) -> CopiedObject | None:
    """Copy one object, unless it was copied before. None for weights that never were in the store: bundled ones."""
    known_bytes, source = wanted.source.size_bytes, wanted.source
    try:
        source = source if source.etag else store.head(source.key, source.bucket)
    except ObjectMissing:
        return None
    to, digest = file_of(folder, source), hashlib.sha256()
    if to.exists() and to.stat().st_size == source.size_bytes:
        progress.advance(known_bytes)
        return replace(wanted, source=source, sha256=sha256_of(to))
    to.parent.mkdir(parents=True, exist_ok=True)
    try:
        with replacing(to) as [part], part.open("wb") as file:
            for piece in store.iter_whole(source):
                digest.update(piece)
                file.write(piece)
                progress.advance(len(piece) if known_bytes else 0)
            file.flush()
            os.fsync(file.fileno())
    except SourceGone:  # before this backup: its owner removed it
        return replace(wanted, source=source, missing=True)
    return replace(wanted, source=source, sha256=digest.hexdigest())


def _private(path: Path) -> None:
    """Make a file that only its owner can read, also where others can look into the backup's folder."""
    path.touch(0o600)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
