"""The video's bytes: as it was uploaded, and the copy that a worker makes for browsers that cannot play that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Response, status
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from pipeline.api.access import SystemOf, TeamOfPath, allow
from pipeline.api.problems import range_outside
from pipeline.core.byte_range import RangeOutside, parse_byte_range
from pipeline.core.roles import Role
from pipeline.core.states import ProxyState
from pipeline.db.proxies import ProxyRow
from pipeline.errors import NotFound
from pipeline.services.proxy_request import find_proxy, request_proxy
from pipeline.services.viewing.media import Media, open_media, open_proxy

router = APIRouter(tags=["viewer"], prefix="/teams/{team_id}/videos/{video_id}")

_RANGES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"video/mp4": {}}, "description": "The whole video."},
    206: {"content": {"video/mp4": {}}, "description": "The bytes that `Range` asks for."},
    304: {"description": "The browser has it."},
    416: {"description": "There are no such bytes."},
}


class ProxyOut(BaseModel):
    """The copy of a video for browsers.

    `frames_done` counts while it is made; `reason` says why it failed.
    """

    state: ProxyState
    frames_done: int
    reason: str | None


@dataclass(frozen=True)
class Wanted:
    """Which bytes a browser wants, and what it has."""

    byte_range: str | None
    if_range: str | None
    if_none_match: str | None


def _wanted(
    byte_range: Annotated[str | None, Header(alias="range")] = None,
    if_range: Annotated[str | None, Header()] = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Wanted:
    return Wanted(byte_range, if_range, if_none_match)


WantedOf = Annotated[Wanted, Depends(_wanted)]


@router.get("/media", response_class=Response, responses=_RANGES, **allow(Role.VIEWER, shared=True))
def get_media(system: SystemOf, team: TeamOfPath, video_id: UUID, wanted: WantedOf) -> Response:
    """The video as it was uploaded, whole or in ranges."""
    return _answer(open_media(system, video_id, team=team.name), wanted)


@router.post("/proxy", status_code=status.HTTP_202_ACCEPTED, **allow(Role.VIEWER, shared=True))
def post_proxy(system: SystemOf, team: TeamOfPath, video_id: UUID) -> ProxyOut:
    """Have a worker make a copy that every browser plays. It is made once, whoever asks."""
    return _proxy(request_proxy(system, video_id, team=team.name))


@router.get("/proxy", **allow(Role.VIEWER, shared=True))
def get_proxy(system: SystemOf, team: TeamOfPath, video_id: UUID) -> ProxyOut:
    """How far the copy is."""
    found = find_proxy(system, video_id, team=team.name)
    if found is None:
        raise NotFound("nobody asked for a copy of this video for browsers; POST to this address to have one made")
    return _proxy(found)


@router.get("/proxy/media", response_class=Response, responses=_RANGES, **allow(Role.VIEWER, shared=True))
def get_proxy_media(system: SystemOf, team: TeamOfPath, video_id: UUID, wanted: WantedOf) -> Response:
    """The copy for browsers, whole or in ranges."""
    return _answer(open_proxy(system, video_id, team=team.name), wanted)


def _proxy(row: ProxyRow) -> ProxyOut:
    return ProxyOut(state=row.state, frames_done=row.frames_done, reason=row.reason)


def _answer(media: Media, wanted: Wanted) -> Response:
    tag = f'"{media.tag}"'
    headers = {"ETag": tag, "Accept-Ranges": "bytes", "Cache-Control": "private, max-age=3600"}
    has = wanted.if_none_match
    if has is not None and (tag in has or has.strip() == "*"):
        return Response(status_code=304, headers=headers)
    try:
        span = wanted.byte_range if wanted.if_range in {None, tag} else None
        asked = parse_byte_range(span, media.size_bytes)
    except RangeOutside:
        return range_outside(media.size_bytes, headers)
    first, stop = asked or (0, media.size_bytes)
    if asked is not None:
        headers["Content-Range"] = f"bytes {first}-{stop - 1}/{media.size_bytes}"
    headers["Content-Length"] = str(stop - first)
    return StreamingResponse(
        _begun(media, first, stop), 200 if asked is None else 206, headers, media_type=media.content_type
    )


def _begun(media: Media, first: int, stop: int) -> Iterator[bytes]:
    """The bytes, of which the first were read: what is wrong with them is known before the answer begins."""
    pieces = media.read(first, stop)
    return chain([next(pieces, b"")], pieces)
