"""The receipt of an erasure: numbers by kind, and the SHA-256 of every id and object key that it erased.

So the names themselves are gone, and whoever knows one can still find it here.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.db.erasures import ErasureRow, Item

#: What is counted of objects, not of rows.
_OF_OBJECTS = ("versions", "markers", "uploads", "size_bytes")
_LEFT = "registered_objects_left"


def sha256_of(text: str) -> str:
    """The SHA-256 of an id or a key, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def build_receipt(items: Iterable[tuple[Item, Mapping[str, int]]]) -> dict[str, Any]:
    """The receipt of what was done, in an order that does not depend on how."""
    rows: Counter[str] = Counter()
    hashes: dict[str, set[str]] = {}
    buckets: set[str] = set()
    for item, found in items:
        rows.update(found)
        hashes.setdefault(f"{item.kind}s", set()).add(sha256_of(item.key))
        if item.bucket:
            buckets.add(item.bucket)
    objects = {name: rows.pop(name, 0) for name in _OF_OBJECTS}
    left = rows.pop(_LEFT, 0)
    return {
        "rows": {name: rows[name] for name in sorted(rows) if rows[name]},
        "objects": objects,
        _LEFT: left,
        "buckets": sorted(buckets),
        "sha256": {name: sorted(each) for name, each in sorted(hashes.items())},
    }


def to_dict(erasure: ErasureRow, *, hashes: bool = False) -> dict[str, object]:
    """An erasure as JSON fields.

    Args:
        hashes: with those of ids and keys.
    """
    receipt = dict(erasure.receipt)
    if not hashes:
        receipt.pop("sha256", None)
    return {
        "erasure_id": str(erasure.id),
        "scope": erasure.scope,
        "asked_sha256": erasure.asked_sha256,
        "by": erasure.by,
        "requested_at": erasure.requested_at.isoformat(),
        "finished_at": erasure.finished_at and erasure.finished_at.isoformat(),
        **receipt,
    }
