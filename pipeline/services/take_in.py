"""Take in one video: a file of this machine, or an object that is in the object store already.

A small file is hashed first, so that content that the team has is neither probed nor uploaded again. A large one whose
size no video of the team has is read once: it is probed, hashed and uploaded at the same time, and what was uploaded of
it is removed if it turns out not to be a video that can be analysed.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from uuid import UUID

from pipeline.core.objects import StoredObject
from pipeline.core.video_limits import VideoLimits
from pipeline.db.uploads import upload_removed
from pipeline.errors import OwnPreview, ServiceUnavailable, Stopping, StoreFull, UsageError, VideoRejected
from pipeline.services.checked_reader import CheckedReader
from pipeline.services.known_files import KnownFiles, is_unchanged
from pipeline.services.pressure import Room, note_store_full
from pipeline.services.registration import Arrival, Arrived, Entry, NoRoom, Registration
from pipeline.services.system import System
from pipeline.services.teams import in_bytes, limits_of
from pipeline.services.to_take_in import Item, OnBytes, TakenIn
from pipeline.services.upload_steps import (
    check_readable,
    check_servers,
    find_object_at,
    forget_upload,
    has_size_of,
    is_removed,
    printable,
    restore,
)
from pipeline.storage.s3_client import PART_BYTES
from pipeline.video.reader import check
from pipeline.video.source import FileSource

_HASH_BYTES = 2**20


class Intake:
    """What the videos of one command share. `take_in` may be called from many threads.

    Args:
        known_files: the hashes of files that were read before.
        on_wait: called with the reason when videos wait, for room or for a server, once for each.
    """

    def __init__(
        self,
        system: System,
        registration: Registration,
        known_files: KnownFiles | None = None,
        on_wait: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.system = system
        self.stopping = threading.Event()
        self._rows, self._known_files, self.on_wait = registration, known_files, on_wait
        self._room = Room(system, on_wait)
        self._left: list[tuple[UUID, str]] = []
        self._limits: dict[str, VideoLimits] = {}
        self._guard = threading.Lock()
        self._turns: defaultdict[tuple[str, str], threading.Lock] = defaultdict(threading.Lock)
        self._sizes: set[tuple[str, int]] = set()

    def take_in(self, item: Item, on_bytes: OnBytes = lambda _: None) -> TakenIn:
        """Take in a video and request its run. `on_bytes` is called with numbers of bytes that were uploaded.

        A file that cannot be analysed leaves a rejected video and a failed run, both with the reason. Any other error,
        and a preview that Poseline drew, leaves neither.

        Raises:
            VideoRejected: it is not a video that can be analysed.
            OwnPreview: Poseline drew it.
            UsageError: it cannot be read, changed meanwhile, is one of Poseline's own, or would have too many tags.
            ObjectMissing, ServiceUnavailable: as the object store and the database say.
            NotFound: it was erased while it was uploaded; nothing of it is left.
            Stopping: `stopping` was set.
        """
        self._check_going_on()
        if item.is_object:
            return self._take_in_object(item)
        return self._take_in_file(item, Path(item.location), on_bytes)

    def check_servers(self) -> None:
        """Raise `ServiceUnavailable` where Postgres or the object store does not answer."""
        check_servers(self.system)

    def close(self) -> None:
        """Close the hashes of files."""
        if self._known_files is not None:
            self._known_files.close()

    def forget_left(self) -> None:
        """Remove what is left of uploads that were broken off while no server answered who could remove it."""
        while self._left:
            forget_upload(self.system, *self._left.pop())

    def _take_in_object(self, item: Item) -> TakenIn:
        source = find_object_at(self.system, item.location)
        entry = self._rows.enter(Arrival(item.team, item.shown_name, item.tags, source=source))
        if entry.short_of is not None:
            self._room.tell(entry.short_of)
        return self._completed(entry, Arrived(entry.video_id, known=entry.known is not None))

    def _take_in_file(self, item: Item, path: Path, on_bytes: OnBytes) -> TakenIn:
        with self._recording_refusal(item, path):
            check_readable(path)
        with path.open("rb") as file:
            begun_ns, before = time.time_ns(), os.fstat(file.fileno())
            limits = self._limits_of(item.team)
            with self._recording_refusal(item, path):
                if before.st_size > limits.max_bytes:
                    size, limit = in_bytes(before.st_size), in_bytes(limits.max_bytes)
                    shown = printable(path.name)
                    raise VideoRejected(f"{shown} has {size}, the limit is {limit}; cut it, or have the limit raised")
            sha256 = None if self._known_files is None else self._known_files.sha256_of(path, before)
            if sha256 is None and (before.st_size <= PART_BYTES or self._may_be_known(item.team, before.st_size)):
                sha256 = self._hash(file)
                self._note(path, before, file, sha256, begun_ns)
            with self._alone_with(item.team, sha256):
                while True:
                    self._check_going_on()
                    try:
                        entry = self._rows.enter(Arrival(item.team, item.shown_name, item.tags, sha256))
                        if entry.known is not None:
                            restore(self.system, path, entry.known, on_bytes)
                            return self._completed(entry, Arrived(entry.video_id, known=True))
                        with self._leaving_nothing(entry):
                            with self._recording_refusal(item, path):
                                stored, sha256 = self._upload(file, before.st_size, limits, entry.key, sha256, on_bytes)
                                self._note(path, before, file, sha256, begun_ns)
                            arrived = Arrived(entry.video_id, known=False, stored=stored, sha256=sha256)
                            return self._completed(entry, arrived)
                    except NoRoom:
                        self._room.wait(self.stopping)
                    except StoreFull as error:
                        note_store_full(self.system, error.message)
                        self._room.wait(self.stopping)

    @contextmanager
    def _recording_refusal(self, item: Item, path: Path) -> Iterator[None]:
        try:
            yield
        except OwnPreview as error:  # nobody wants to find those among the runs
            what = "is a preview that Poseline drew; name the video that it was made from"
            raise OwnPreview(f"{printable(path.name)} {what}") from error
        except VideoRejected as error:
            self._rows.refuse(item.team, item.shown_name, path.stat().st_size, error.message)
            raise

    @contextmanager
    def _leaving_nothing(self, entry: Entry) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            removed = isinstance(error, ServiceUnavailable) and is_removed(self.system, entry.video_id)
            if not forget_upload(self.system, entry.video_id, entry.key):  # one that is complete stays
                self._left.append((entry.video_id, entry.key))
            if removed:  # its parts with it, which is no outage after which it is uploaded again
                raise upload_removed() from error
            raise

    def _completed(self, entry: Entry, arrived: Arrived) -> TakenIn:
        run = self._rows.complete(arrived)
        known_as = None if entry.known is None else entry.known.name
        return TakenIn(run.video_id if run else entry.video_id, run, known_as, entry.replaced)

    def _upload(
        self, file: IO[bytes], size_bytes: int, limits: VideoLimits, key: str, sha256: str | None, on_bytes: OnBytes
    ) -> tuple[StoredObject, str]:
        """Check a file and upload it, a large one at the same time. Returns its object and SHA-256."""
        file.seek(0)
        if size_bytes <= PART_BYTES:
            check(FileSource(file), limits, interrupted=self.stopping)
            self._check_going_on()
            return self.system.store.put_stream(file, size_bytes, key, on_bytes), sha256 or ""
        given_up = threading.Event()
        with ThreadPoolExecutor(1) as beside:
            checking = beside.submit(check, FileSource(file), limits, interrupted=given_up)

            def go_on() -> None:
                self._check_going_on()
                if checking.done():
                    checking.result()

            reader = CheckedReader(file, go_on, hashlib.sha256() if sha256 is None else None)
            try:
                stored = self.system.store.put_stream(reader, size_bytes, key, on_bytes)
                while not checking.done():
                    self._check_going_on()
                    self.stopping.wait(0.05)
                checking.result()
            finally:
                given_up.set()
        return stored, sha256 or reader.sha256

    def _hash(self, file: IO[bytes]) -> str:
        digest = hashlib.sha256()
        while piece := file.read(_HASH_BYTES):
            self._check_going_on()
            digest.update(piece)
        return digest.hexdigest()

    def _note(self, path: Path, before: os.stat_result, file: IO[bytes], sha256: str, begun_ns: int) -> None:
        """Check that a file was not written to while it was read, and keep its hash.

        Raises:
            UsageError: it was.
        """
        if not is_unchanged(before, os.fstat(file.fileno())):
            raise UsageError(f"{path} changed while it was read; repeat the command once it is complete")
        if self._known_files is not None:
            self._known_files.note(path, before, sha256, begun_ns=begun_ns)

    def _may_be_known(self, team: str, size_bytes: int) -> bool:
        """Whether the team has a video of that size, or another file of it is under way."""
        with self._guard:
            if (team, size_bytes) in self._sizes:
                return True
            self._sizes.add((team, size_bytes))
        return has_size_of(self.system, team, size_bytes)

    @contextmanager
    def _alone_with(self, team: str, sha256: str | None) -> Iterator[None]:
        """No other thread takes in the same content meanwhile: the second finds what the first has uploaded."""
        if sha256 is None:
            yield
            return
        with self._guard:
            turn = self._turns[team, sha256]
        with turn:
            self._check_going_on()
            yield

    def _limits_of(self, team: str) -> VideoLimits:
        with self._guard:
            if team not in self._limits:
                self._limits[team] = limits_of(self.system, team)
            return self._limits[team]

    def _check_going_on(self) -> None:
        if self.stopping.is_set():
            raise Stopping
