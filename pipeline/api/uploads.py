"""Uploads: begun, sent part by part, looked at, completed, given up."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import anyio
from fastapi import APIRouter, Header, Path, Query, Request, Response, status
from starlette.concurrency import run_in_threadpool

from pipeline.api.access import CallerOf, SystemOf, TeamOfPath, allow
from pipeline.api.upload_body import SenderGone, Threads, received
from pipeline.api.upload_models import (
    BegunOut,
    CompletedOut,
    KnownVideo,
    NewUpload,
    Part,
    PartToSign,
    Room,
    SentPart,
    SignedPart,
    UploadOut,
    Uploads,
    UploadWithParts,
)
from pipeline.core.roles import Role
from pipeline.core.tags import checked_tags
from pipeline.core.upload_parts import MOST_PARTS
from pipeline.db.part_uploads import PartRow, Sent, UploadRow
from pipeline.errors import UsageError
from pipeline.services.uploads.begin import Begun, Wanted, begin_upload, room_of
from pipeline.services.uploads.complete import complete_upload
from pipeline.services.uploads.parts import (
    abandon_upload,
    expect_part,
    list_uploads,
    note_part,
    read_upload,
    sign_part,
    store_part,
)

router = APIRouter(tags=["uploads"])

_THREADS = Threads()
_DIGEST = re.compile(r"sha-256=:([A-Za-z0-9+/]{43}=):")
_Number = Annotated[int, Path(ge=1, le=MOST_PARTS + 1000)]


def _of_bytes(declared: dict[str, Any]) -> dict[str, Any]:
    """Say in the OpenAPI document that the request's body is plain bytes."""
    body = {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
    return {**declared, "openapi_extra": {**declared["openapi_extra"], "requestBody": body}}


@router.post("/teams/{team_id}/uploads", status_code=status.HTTP_201_CREATED, **allow(Role.COACH))
def post_upload(
    *,
    system: SystemOf,
    team: TeamOfPath,
    caller: CallerOf,
    given: NewUpload,
    response: Response,
    idempotency_key: Annotated[str | None, Header(max_length=128)] = None,
) -> BegunOut:
    """Begin an upload; go on with that of the same file (name, size and time); or learn that the video is here."""
    try:
        tags = checked_tags(given.tags)
    except ValueError as error:
        raise UsageError(str(error)) from error
    begun = begin_upload(system, team, Wanted(**{**given.model_dump(), "tags": tags}), caller, idempotency_key)
    if begun.status != "begun":
        response.status_code = status.HTTP_200_OK
    return _begun(begun, public=system.store.parts.is_public)


@router.get("/teams/{team_id}/uploads", **allow(Role.COACH))
def get_uploads(
    *,
    system: SystemOf,
    team: TeamOfPath,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[str | None, Query(max_length=200)] = None,
) -> Uploads:
    """The team's uploads that are not complete: each goes on where its file is picked again."""
    page = list_uploads(system, team, limit, None if after is None else _place(after))
    public = system.store.parts.is_public
    items = [UploadOut(**_fields(row, page.sent.get(row.id, Sent()), public=public)) for row in page.rows]
    last = page.rows[-1] if len(page.rows) == limit else None
    room = Room(**room_of(system, team).__dict__)
    return Uploads(items=items, next=None if last is None else _cursor(last), room=room)


@router.get("/teams/{team_id}/uploads/{upload_id}", **allow(Role.COACH))
def get_upload(*, system: SystemOf, team: TeamOfPath, upload_id: UUID) -> UploadWithParts:
    """An upload, and which of its parts are stored."""
    return _upload(*read_upload(system, team, upload_id), public=system.store.parts.is_public)


@router.delete("/teams/{team_id}/uploads/{upload_id}", status_code=status.HTTP_204_NO_CONTENT, **allow(Role.COACH))
def delete_upload(*, system: SystemOf, team: TeamOfPath, caller: CallerOf, upload_id: UUID) -> None:
    """Give an upload up. Nothing of it is left."""
    abandon_upload(system, team, caller, upload_id)


@router.put("/teams/{team_id}/uploads/{upload_id}/parts/{number}", **_of_bytes(allow(Role.COACH)))
async def put_part(
    *,
    request: Request,
    system: SystemOf,
    team: TeamOfPath,
    upload_id: UUID,
    number: _Number,
    content_digest: Annotated[str, Header(examples=["sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"])],
    content_length: Annotated[int, Header()],
) -> Part:
    """Send one part, with its SHA-256 as `Content-Digest`. Parts may come in any order, and more than once."""
    digest = _DIGEST.fullmatch(content_digest.strip())
    if digest is None:
        raise UsageError("send the part's SHA-256 as Content-Digest: sha-256=:BASE64:")
    sha256 = base64.b64decode(digest[1]).hex()
    expected = await run_in_threadpool(expect_part, system, team, upload_id, number, sha256, content_length)
    if expected.is_stored:
        return Part(number=number, size_bytes=expected.size_bytes, sha256=sha256)
    folder = system.settings.scratch_path
    try:
        async with received(request, expected.size_bytes, sha256, folder, _THREADS) as file:
            part = await anyio.to_thread.run_sync(store_part, system, expected, file, limiter=_THREADS.storing)
    except SenderGone:
        raise UsageError("the part did not arrive whole; send it again") from None
    return Part(number=part.number, size_bytes=part.size_bytes, sha256=part.sha256)


@router.post("/teams/{team_id}/uploads/{upload_id}/parts/{number}/url", **allow(Role.COACH))
def post_part_url(
    *, system: SystemOf, team: TeamOfPath, upload_id: UUID, number: _Number, given: PartToSign
) -> SignedPart:
    """Where in the object store to send a part, for an hour; only where `send_to` is `store`."""
    url, headers = sign_part(system, expect_part(system, team, upload_id, number, given.sha256))
    return SignedPart(url=url, headers=headers)


@router.post("/teams/{team_id}/uploads/{upload_id}/parts/{number}/sent", **allow(Role.COACH))
def post_part_sent(*, system: SystemOf, team: TeamOfPath, upload_id: UUID, number: _Number, given: SentPart) -> Part:
    """Say that the object store has a part, with the ETag that it answered with; only where `send_to` is `store`."""
    part = note_part(system, expect_part(system, team, upload_id, number, given.sha256), given.etag)
    return Part(number=part.number, size_bytes=part.size_bytes, sha256=part.sha256)


@router.post("/teams/{team_id}/uploads/{upload_id}/complete", **allow(Role.COACH))
def post_complete(*, system: SystemOf, team: TeamOfPath, upload_id: UUID) -> CompletedOut:
    """Complete an upload all of whose parts are stored: its video is taken in and analysed. Again, the same answer."""
    return CompletedOut(**complete_upload(system, upload_id, team.id).__dict__)


def _begun(begun: Begun, *, public: bool) -> BegunOut:
    known = begun.known
    return BegunOut(
        status=begun.status,
        upload=None if begun.upload is None else _upload(begun.upload, begun.parts, public=public),
        known=None
        if known is None
        else KnownVideo(id=known.id, name=known.name, state=known.state, certain=begun.certain),
    )


def _upload(row: UploadRow, parts: Sequence[PartRow], *, public: bool) -> UploadWithParts:
    sent = Sent(len(parts), sum(part.size_bytes for part in parts))
    shown = [Part(number=part.number, size_bytes=part.size_bytes, sha256=part.sha256) for part in parts]
    return UploadWithParts(**_fields(row, sent, public=public), parts=shown)


def _fields(row: UploadRow, sent: Sent, *, public: bool) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "size_bytes": row.size_bytes,
        "modified_ms": row.modified_ms,
        "part_bytes": row.part_bytes,
        "parts_total": row.parts,
        "parts_stored": sent.parts if row.is_open else row.parts,
        "stored_bytes": sent.size_bytes if row.is_open else row.size_bytes,
        "begun_by": row.actor,
        "begun_at": row.begun_at,
        "last_at": row.last_at,
        "complete": not row.is_open,
        "send_to": "store" if public else "server",
    }


def _cursor(row: UploadRow) -> str:
    return base64.urlsafe_b64encode(f"{row.begun_at.isoformat()} {row.id}".encode()).decode()


def _place(cursor: str) -> tuple[datetime, UUID]:
    try:
        at, _, id_ = base64.urlsafe_b64decode(cursor.encode()).decode().partition(" ")
        return datetime.fromisoformat(at), UUID(id_)
    except ValueError as error:
        raise UsageError("`after` is the `next` of another answer; leave it out to begin anew") from error
