"""Uploads as a program sends them, and what must be left of one when it is complete."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

import urllib3

from pipeline.core.object_keys import video_key
from pipeline.core.upload_parts import MIB
from pipeline.services.system import System
from tests.support.harness import sql
from tests.support.web import Client

#: The smallest parts that a store takes, so that short files have several.
PART = 5 * MIB


def parts_of(content: bytes, part_bytes: int = PART) -> list[bytes]:
    """The parts of a file."""
    return [content[at : at + part_bytes] for at in range(0, len(content), part_bytes)]


def sha256(content: bytes) -> str:
    """In hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def digest(content: bytes) -> dict[str, str]:
    """The header that comes with a part."""
    return {"Content-Digest": f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"}


def begin(client: Client, team: UUID, content: bytes, name: str = "a.mp4", **more: Any) -> Any:
    """Ask for an upload; the answer as JSON."""
    first = sha256(content[:PART])
    wish: Mapping[str, Any] = {
        "name": name,
        "size_bytes": len(content),
        "first_sha256": first,
        "modified_ms": 7,
        **more,
    }
    answer = client.ask("POST", f"/teams/{team}/uploads", wish)
    assert answer.status in {200, 201}, answer.data
    return answer.json()


def put(client: Client, team: UUID, upload: str, number: int, part: bytes) -> urllib3.BaseHTTPResponse:
    """Send one part."""
    return client.ask("PUT", f"/teams/{team}/uploads/{upload}/parts/{number}", part, digest(part))


def put_all(client: Client, team: UUID, upload: str, content: bytes, numbers: Iterable[int] | None = None) -> None:
    """Send parts, all of them by default."""
    parts = parts_of(content)
    for number in numbers or range(1, len(parts) + 1):
        answer = put(client, team, upload, number, parts[number - 1])
        assert answer.status == 200, answer.data


def complete(client: Client, team: UUID, upload: str) -> urllib3.BaseHTTPResponse:
    """Ask for an upload to be completed."""
    return client.ask("POST", f"/teams/{team}/uploads/{upload}/complete")


def stored_bytes(system: System, team: UUID, upload: str) -> bytes:
    """The object that an upload became."""
    return b"".join(system.store.iter_whole(system.store.head(video_key(team, UUID(upload)))))


def assert_no_upload_left(system: System, team: UUID) -> None:
    """Nothing of the team's is under way, in Postgres or in the store."""
    assert sql(system, "SELECT id FROM video WHERE state = 'uploading'") == []
    assert sql(system, "SELECT video_id FROM upload_part") == []
    open_keys = [found for found in _open_uploads(system) if found.startswith(f"teams/{team}/")]
    assert open_keys == []


def _open_uploads(system: System) -> list[str]:
    pages = system.store._client.get_paginator("list_multipart_uploads").paginate(Bucket=system.store.bucket)
    return [upload["Key"] for page in pages for upload in page.get("Uploads", [])]
