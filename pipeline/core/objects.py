"""An object in the object store."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StoredObject:
    """One object, pinned: a read that finds another ETag is refused, so a video never changes under a run."""

    bucket: str
    key: str
    size_bytes: int
    etag: str
    version_id: str | None = None
