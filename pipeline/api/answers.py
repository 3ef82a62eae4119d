"""Answers that a client may keep, and asks for again by their tag: 304 where nothing changed."""

from __future__ import annotations

import hashlib
import json
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response

_KEEP = {"Cache-Control": "private, no-cache"}


def tagged(request: Request, value: Any) -> Response:
    """A value as JSON with an `ETag`; without a body where the client has it already."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str).encode()
    headers = {"ETag": f'W/"{hashlib.sha256(body).hexdigest()[:32]}"', **_KEEP}
    if knows(request, headers["ETag"]):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(body, headers=headers, media_type="application/json")


def knows(request: Request, etag: str) -> bool:
    """Whether the client has what has this `ETag`."""
    known = {each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")}
    return not known.isdisjoint({etag.removeprefix("W/"), "*"})
