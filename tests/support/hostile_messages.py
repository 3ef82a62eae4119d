"""Bytes in a queue of tasks that are no message of Poseline, by what is wrong with them.

Celery 5.7 by itself ends on most of them, often with the message put back, and holds a slot for ever on others.
"""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any
from uuid import uuid4

from pipeline.queue import DETECT, FRAMES

_GONE = object()


def encoded(content: object) -> str:
    """A message's body that holds this."""
    return b64encode(content if isinstance(content, bytes) else json.dumps(content).encode()).decode()


def message(**changes: object) -> bytes:
    """A message as Celery sends it, with changes: `headers__task` is the task in the headers."""
    nothing = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    whole: dict[str, Any] = {
        "body": encoded([[str(uuid4()), 0], {}, nothing]),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "task": DETECT, "id": str(uuid4()), "timelimit": [None, None], "retries": 0},
        "properties": {
            "delivery_mode": 2,
            "delivery_tag": str(uuid4()),
            "body_encoding": "base64",
            "delivery_info": {"exchange": "", "routing_key": FRAMES},
        },
    }
    for name, value in changes.items():
        part, _, key = name.rpartition("__")
        where = whole[part] if part else whole
        key = key if part else key.replace("_", "-")
        if value is _GONE:
            del where[key]
        else:
            where[key] = value
    return json.dumps(whole).encode()


UNREADABLE: dict[str, bytes] = {
    "text": b"no json at all",
    "a pickle": b"\x80\x04.",
    "nothing": b"",
    "a number": b"5",
    "null": b"null",
    "a list": b"[1, 2]",
    "an empty object": b"{}",
    "deep": b"[" * 200_000,
    "a number of many digits": b"1" * 6_000,
    "a type of kombu's with another value": b'{"__type__": "datetime", "__value__": "x"}',
    "no properties": message(properties=_GONE),
    "a list for properties": message(properties=[]),
    "no tag": message(properties__delivery_tag=_GONE),
    "a list for a tag": message(properties__delivery_tag=[1]),
    "text for the delivery": message(properties__delivery_info="x"),
    "another encoding of the body": message(properties__body_encoding="rot13"),
    "a body that is not base64": message(body="a"),
    "a number for a body": message(body=5),
    "no body": message(body=_GONE),
    "a body of another shape": message(body=encoded(5)),
    "a body that is not JSON": message(body=encoded(b"no json")),
    "a body of other bytes": message(body=encoded(b"\xff\xfe\x00")),
    "arguments that are none": message(body=encoded([None, {}, {}])),
    "other tasks after it": message(body=encoded([[1, 2], {}, {"errbacks": 7}])),
    "no headers": message(headers=_GONE),
    "text for headers": message(headers="x"),
    "no task": message(headers__task=_GONE),
    "a list for a task": message(headers__task=[1]),
    "no id": message(headers__id=_GONE),
    "an object for an id": message(headers__id={}),
    "a time limit": message(headers__timelimit="x"),
    "a time to begin": message(headers__eta="9999-12-31T23:59:59"),
    "compressed": message(headers__compression="zz"),
    "stamps": message(headers__stamped_headers=5),
    "a pickle for a body": message(content_type="application/x-python-serialize"),
    "an unknown type": message(content_type="application/x-unknown"),
    "a list for a type": message(content_type=["application/json"]),
    "an unknown character set": message(content_encoding="x-unknown"),
}
