"""Notifications of object stores: which objects they speak of.

Understood are the events of S3 and MinIO (as they are sent to queues, and as MinIO's Redis target writes them), and
`s3://bucket/key` as plain text. A notification is a hint: whatever is in it, only names are read from it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any
from urllib.parse import unquote_plus

_MOST_BYTES = 2**16
_MOST_OBJECTS = 1000
_MOST_KEY_BYTES = 1024


def read_event(message: bytes) -> list[tuple[str, str]]:
    """The buckets and keys of the objects that a notification names; none where it is malformed or too large."""
    if len(message) > _MOST_BYTES:
        return []
    try:
        text = message.decode()
        named = iter([_of_url(text.strip())]) if text.startswith("s3://") else _of_records(json.loads(text))
        return [each for each in islice(named, _MOST_OBJECTS) if _is_possible(*each)]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return []


def _of_url(url: str) -> tuple[str, str]:
    bucket, _, key = url.removeprefix("s3://").partition("/")
    return bucket, key


def _of_records(value: Any) -> Iterator[tuple[str, str]]:
    """Records of S3's form, wherever the known envelopes have them: `Records`, `Event`, or a list of either."""
    for one in value if isinstance(value, list) else [value]:
        if "s3" in one:
            yield str(one["s3"]["bucket"]["name"]), unquote_plus(str(one["s3"]["object"]["key"]))
            continue
        for name in ("Records", "Event"):
            yield from _of_records(one.get(name, []))


def _is_possible(bucket: str, key: str) -> bool:
    """Whether an object can have these names, and Postgres can store them."""
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        return False
    return bool(bucket) and 0 < size <= _MOST_KEY_BYTES and "\0" not in bucket + key
