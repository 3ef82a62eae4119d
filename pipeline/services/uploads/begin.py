"""Begin an upload, or find the one that it goes on with, or the video that it would be a double of.

What a team or the store has no room for is refused before a byte is sent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from pipeline.core.tags import Tags
from pipeline.core.upload_parts import part_bytes_for
from pipeline.db import part_uploads as db
from pipeline.db.accounts import TeamOf
from pipeline.db.engine import transaction
from pipeline.db.part_uploads import NewUpload, PartRow, UploadRow
from pipeline.db.pressure import select_pressure
from pipeline.db.teams import ensure_team, lock_team
from pipeline.db.upload_room import find_same_size, select_quota, team_bytes
from pipeline.db.uploads import NewVideo, insert_videos
from pipeline.db.video_search import find_contents
from pipeline.db.videos import VideoRow, select_video
from pipeline.errors import PoselineError, QuotaReached, StoreFull, UnknownTeam, UsageError, VideoRejected
from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.services.accounts.callers import Caller
from pipeline.services.prepared_model import prepare_model
from pipeline.services.system import System
from pipeline.services.teams import in_bytes, limits_of
from pipeline.services.upload_steps import printable

_NAME_CHARACTERS = 255
#: Videos of the same size whose beginnings are compared.
_COMPARED = 3
_READ_BYTES = 2**20


@dataclass(frozen=True)
class Wanted:
    """A file that somebody wants to upload.

    Args:
        modified_ms: when it was last written to, by its owner's clock, in ms since 1970.
        sha256: of the whole file, where it is known.
        first_sha256: of its first part.
        model: by which its run is to be; the bundled one by default.
        again: upload it even if it looks like a video that is there.
    """

    name: str
    size_bytes: int
    modified_ms: int | None = None
    sha256: str | None = None
    first_sha256: str | None = None
    tags: Tags = field(default_factory=dict)
    model: str | None = None
    again: bool = False


@dataclass(frozen=True)
class Begun:
    """What became of the wish.

    Args:
        status: begun; or it goes on with an upload of this file; or the file is here already, as `known`.
        certain: the whole content of `known` is the same; otherwise its size and beginning.
    """

    status: Literal["begun", "resumed", "known"]
    upload: UploadRow | None = None
    parts: Sequence[PartRow] = ()
    known: VideoRow | None = None
    certain: bool = False


@dataclass(frozen=True)
class UploadRoom:
    """What a team can upload.

    Args:
        max_bytes: of one file.
        left_bytes: of the quota; None without one.
        part_bytes: of each part, but of very large files.
        short_of: why nothing is taken in for now.
    """

    max_bytes: int
    quota_bytes: int | None
    left_bytes: int | None
    part_bytes: int
    short_of: str | None


def room_of(system: System, team: TeamOf) -> UploadRoom:
    """What a team can upload now."""
    most = limits_of(system, team.name).max_bytes
    with transaction(system.engine) as connection:
        quota = select_quota(connection, team.id)
        left = None if quota is None else max(0, quota - team_bytes(connection, team.id))
        short_of = next((each.reason for each in select_pressure(connection)), None)
    return UploadRoom(most, quota, left, system.settings.upload_part_bytes, short_of)


def part_bytes_of(system: System, size_bytes: int) -> int:
    """How large the parts of a file are."""
    return part_bytes_for(size_bytes, system.settings.upload_part_bytes)


def begin_upload(
    system: System, team: TeamOf, wanted: Wanted, caller: Caller, idempotency_key: str | None = None
) -> Begun:
    """Begin an upload, or find what it would be the second of.

    Raises:
        UsageError: the file has no name, or one that is too long.
        VideoRejected: it is empty, or larger than the team's videos may be.
        QuotaReached: the team may not store so much.
        StoreFull: the object store, the database or the workers' disks are nearly full.
        UnknownModel, InvalidWeights: there is no such model here.
        ServiceUnavailable: a server does not answer.
    """
    wanted = _checked(system, team, wanted)
    found = _standing(system, team, wanted, idempotency_key)
    if found is not None:
        return resumed(system, found)
    known = None if wanted.again else _known(system, team, wanted)
    if known is not None:
        return known
    spec = prepare_model(system, wanted.model or BUNDLED_MODEL)
    new = NewUpload(
        size_bytes=wanted.size_bytes,
        part_bytes=part_bytes_of(system, wanted.size_bytes),
        actor=caller.name,
        account_id=caller.account.id if caller.account else None,
        modified_ms=wanted.modified_ms,
        first_sha256=wanted.first_sha256,
        model_fingerprint=spec.fingerprint,
        idempotency_key=idempotency_key,
    )
    try:
        with transaction(system.engine) as connection:
            lock_team(connection, team.name)  # for the quota, and so that the same file is not begun twice at once
            standing = _find_standing(connection, team, wanted, idempotency_key)
            upload_id = standing.id if standing else _insert(connection, system, team, wanted, new)
            row = db.select_upload(connection, upload_id, team.id)
    except IntegrityError as error:
        raise UsageError("another upload was begun with this Idempotency-Key; use another") from error
    if standing is not None:
        return resumed(system, standing)
    return Begun("begun", open_in_store(system, row))


def resumed(system: System, row: UploadRow) -> Begun:
    """Go on with an upload."""
    with transaction(system.engine) as connection:
        db.touch(connection, row.id)
        parts = db.select_parts(connection, row.id)
    return Begun("resumed", open_in_store(system, row) if row.is_open else row, parts)


def open_in_store(system: System, row: UploadRow) -> UploadRow:
    """An upload that the object store knows; it is begun there, if it is not yet.

    Raises:
        NotFound: it was removed.
    """
    if row.store_upload_id is not None:
        return row
    store_upload_id = system.store.parts.begin(row.key)
    with transaction(system.engine) as connection:
        ours = db.set_store_upload(connection, row.id, store_upload_id)
    if not ours:  # somebody else was first, or it is gone
        system.store.parts.abort(row.key, store_upload_id)
    with transaction(system.engine) as connection:
        return db.select_upload(connection, row.id, row.team_id)


def _checked(system: System, team: TeamOf, wanted: Wanted) -> Wanted:
    # Browsers give a bare name, other programs may give a path; the name is never used as one.
    name = printable(wanted.name.replace("\\", "/").rpartition("/")[2].strip())
    if not name.strip(". ") or len(name) > _NAME_CHARACTERS:
        raise UsageError(f"a video's name has 1 to {_NAME_CHARACTERS} characters, and not dots alone")
    if wanted.size_bytes <= 0:
        raise VideoRejected(f"there is nothing in {name}: record or copy it again")
    most = limits_of(system, team.name).max_bytes
    if wanted.size_bytes > most:
        raise VideoRejected(
            f"the limit is {in_bytes(most)}, and {name} has {in_bytes(wanted.size_bytes)}: cut it, or have it raised"
        )
    return Wanted(**{**wanted.__dict__, "name": name})


def _standing(system: System, team: TeamOf, wanted: Wanted, idempotency_key: str | None) -> UploadRow | None:
    with transaction(system.engine) as connection:
        return _find_standing(connection, team, wanted, idempotency_key)


def _find_standing(
    connection: Connection, team: TeamOf, wanted: Wanted, idempotency_key: str | None
) -> UploadRow | None:
    """The open upload of this very file, or what was begun by this very request."""
    if idempotency_key is not None:
        same = db.find_by_key(connection, team.id, idempotency_key)
        if same is not None:
            if (same.size_bytes, same.name) != (wanted.size_bytes, wanted.name):
                raise UsageError("another upload was begun with this Idempotency-Key; use another")
            return same
    rows = db.find_same_file(connection, team.id, wanted.name, wanted.size_bytes, wanted.modified_ms)
    return next((row for row in rows if _may_be_same(row.first_sha256, wanted.first_sha256)), None)


def _may_be_same(one: str | None, other: str | None) -> bool:
    return one is None or other is None or one == other


def _known(system: System, team: TeamOf, wanted: Wanted) -> Begun | None:
    """The video that this file is, or seems to be."""
    part_bytes = part_bytes_of(system, wanted.size_bytes)
    whole = wanted.sha256 or (wanted.first_sha256 if wanted.size_bytes <= part_bytes else None)
    with transaction(system.engine) as connection:
        if whole is not None:
            found = find_contents(connection, {(team.id, whole)}).get((team.id, whole))
            if found is not None:
                return Begun("known", known=found, certain=True)
        if wanted.first_sha256 is None:
            return None
        similar = [
            (select_video(connection, video_id, team=team.name), sha256 if bytes_ == part_bytes else "")
            for video_id, sha256, bytes_ in find_same_size(connection, team.id, wanted.size_bytes, _COMPARED)
        ]
    for video, first in similar:
        if (first or _first_sha256(system, video, part_bytes)) == wanted.first_sha256:
            return Begun("known", known=video, certain=wanted.size_bytes <= part_bytes)
    return None


def _first_sha256(system: System, video: VideoRow, part_bytes: int) -> str:
    """Of the first part of a video that came in another way; empty where it cannot be read."""
    digest = hashlib.sha256()
    with suppress(PoselineError):
        assert video.source is not None
        for offset in range(0, part_bytes, _READ_BYTES):
            digest.update(system.store.read_range(video.source, offset, min(_READ_BYTES, part_bytes - offset)))
        return digest.hexdigest()
    return ""


def _insert(connection: Connection, system: System, team: TeamOf, wanted: Wanted, new: NewUpload) -> UUID:
    if ensure_team(connection, team.name) != team.id:
        raise UnknownTeam(f"team {team.name!r} was erased")
    short_of = next(iter(select_pressure(connection)), None)
    if short_of is not None:
        raise StoreFull(f"no more videos are taken in for now, and will be when there is room: {short_of.reason}")
    quota = select_quota(connection, team.id)
    if quota is not None:
        used = team_bytes(connection, team.id)
        if used + wanted.size_bytes > quota:
            raise QuotaReached(
                f"team {team.name} uses {in_bytes(used)} of its {in_bytes(quota)}, and {wanted.name} has "
                f"{in_bytes(wanted.size_bytes)}: delete videos, or have the quota raised"
            )
    video = NewVideo(team.id, wanted.name, None, wanted.tags)
    [(video_id, _)] = insert_videos(connection, system.store.bucket, [video])
    db.insert_upload(connection, video_id, team.id, new)
    return video_id
