"""The parts of an upload: which are stored, and one more.

Bytes go to the object store, which checks their SHA-256; then Postgres says that the part counts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import IO
from uuid import UUID

from pipeline.core.audit import Action
from pipeline.core.upload_parts import size_of_part
from pipeline.db import part_uploads as db
from pipeline.db.accounts import TeamOf
from pipeline.db.engine import transaction
from pipeline.db.part_uploads import PartRow, UploadRow
from pipeline.errors import PartsMissing, StoreFull, UploadComplete, UsageError
from pipeline.services.accounts.audit import note_done
from pipeline.services.accounts.callers import Caller
from pipeline.services.pressure import note_store_full
from pipeline.services.system import System
from pipeline.services.upload_steps import forget_upload
from pipeline.services.uploads.begin import open_in_store
from pipeline.storage.multipart import UploadGone

#: A signed URL outlives the sending of one part over a slow line.
SIGNED_S = 3600
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ETAG = re.compile(r'"?[\w-]{1,128}"?')


@dataclass(frozen=True)
class Expected:
    """A part that is to be stored now.

    Args:
        is_stored: the same bytes are stored already.
    """

    row: UploadRow
    number: int
    size_bytes: int
    sha256: str
    is_stored: bool


def read_upload(system: System, team: TeamOf, upload_id: UUID) -> tuple[UploadRow, Sequence[PartRow]]:
    """An upload and its parts that are stored.

    Raises:
        NotFound: there is no such upload in the team.
    """
    with transaction(system.engine) as connection:
        return db.select_upload(connection, upload_id, team.id), db.select_parts(connection, upload_id)


def read_parts(system: System, upload_id: UUID) -> Sequence[PartRow]:
    """The parts of an upload that count, in order."""
    with transaction(system.engine) as connection:
        return db.select_parts(connection, upload_id)


def list_uploads(system: System, team: TeamOf, limit: int, after: tuple[datetime, UUID] | None = None) -> db.Page:
    """The team's uploads that are not complete, the newest first."""
    with transaction(system.engine) as connection:
        return db.select_open_uploads(connection, team.id, limit, after)


def expect_part(
    system: System, team: TeamOf, upload_id: UUID, number: int, sha256: str, size_bytes: int | None = None
) -> Expected:
    """Check that a part is one of an open upload, before a byte of it is read.

    Raises:
        NotFound: there is no such upload in the team.
        UploadComplete: it is complete.
        UsageError: there is no part of that number, its size is another, or `sha256` is none.
    """
    with transaction(system.engine) as connection:
        row = db.select_upload(connection, upload_id, team.id)
        stored = {part.number: part.sha256 for part in db.select_parts(connection, upload_id)}
    if not row.is_open:
        raise UploadComplete("this upload is complete, and takes no more parts; complete it again to hear of its video")
    wanted = size_of_part(row.size_bytes, row.part_bytes, number)
    if not wanted:
        raise UsageError(f"there is no part {number}; this upload has parts 1 to {row.parts}")
    if size_bytes is not None and size_bytes != wanted:
        raise UsageError(f"part {number} must have {wanted} bytes, not {size_bytes}")
    if not _SHA256.fullmatch(sha256):
        raise UsageError("a part comes with its SHA-256 in 64 hexadecimal digits")
    return Expected(open_in_store(system, row), number, wanted, sha256, stored.get(number) == sha256)


def store_part(system: System, expected: Expected, file: IO[bytes]) -> PartRow:
    """Store a part, and note that it counts.

    Raises:
        PartDamaged: the store received other bytes.
        PartsMissing: the store has forgotten the upload; all parts are to be sent anew.
        NotFound: it was removed meanwhile.
        StoreFull: the store has no room for it; nothing more is taken in for a minute.
    """
    row = expected.row
    assert row.store_upload_id is not None
    try:
        etag = system.store.parts.put(
            row.key, row.store_upload_id, expected.number, file, expected.size_bytes, expected.sha256
        )
    except StoreFull as error:
        note_store_full(system, error.message)
        raise
    except UploadGone as error:
        parts = read_parts(system, row.id)
        if len(parts) == row.parts:  # it is being completed
            raise PartsMissing("this upload has all its parts; complete it") from error
        raise forgotten(system, row) from error
    return _note(system, expected, etag)


def sign_part(system: System, expected: Expected) -> tuple[str, dict[str, str]]:
    """A URL under which the object store takes this part from a browser, with the headers to send.

    Raises:
        UsageError: the store is not open to browsers.
    """
    row = expected.row
    if not system.store.parts.is_public:
        raise UsageError("the object store is not open to browsers; send parts here")
    assert row.store_upload_id is not None
    return system.store.parts.sign(
        row.key, row.store_upload_id, expected.number, expected.size_bytes, expected.sha256, SIGNED_S
    )


def note_part(system: System, expected: Expected, etag: str) -> PartRow:
    """Note that a part counts which a browser sent to the store itself, under a URL that took no other bytes.

    An ETag that is not the store's shows when the upload is completed.

    Raises:
        UsageError: the ETag is none, or the store is not open to browsers.
    """
    if not system.store.parts.is_public or not _ETAG.fullmatch(etag):
        raise UsageError("give the ETag that the object store answered with")
    return _note(system, expected, etag)


def forgotten(system: System, row: UploadRow) -> PartsMissing:
    """Begin an upload anew of which the object store has forgotten parts. Returns the error that says so."""
    with transaction(system.engine) as connection:
        db.begin_anew(connection, row.id, row.store_upload_id)
    return PartsMissing("the object store no longer has the parts of this upload; send them again")


def _note(system: System, expected: Expected, etag: str) -> PartRow:
    row = expected.row
    assert row.store_upload_id is not None
    part = PartRow(expected.number, expected.size_bytes, expected.sha256, etag)
    with transaction(system.engine) as connection:
        noted = db.put_part(connection, row.id, row.store_upload_id, part)
    if not noted:
        with transaction(system.engine) as connection:
            db.select_upload(connection, row.id, row.team_id)
        raise PartsMissing("this upload was begun anew meanwhile; send its parts again")
    return part


def abandon_upload(system: System, team: TeamOf, caller: Caller, upload_id: UUID) -> None:
    """Give an upload up: nothing of it is left.

    Raises:
        NotFound: there is no such upload in the team.
        UploadComplete: it is complete.
        ServiceUnavailable: a server does not answer; it is removed later.
    """
    row, _ = read_upload(system, team, upload_id)
    if not row.is_open:
        raise UploadComplete("this upload is complete; delete the video that it became")
    forget_upload(system, row.id, row.key)
    note_done(system, caller, Action.UPLOAD_GIVEN_UP, team_id=team.id, subject=str(row.id), size_bytes=row.size_bytes)
