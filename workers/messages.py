"""What a worker takes from Redis: only messages that Celery can read. Others are dropped, with a line in the log.

Celery 5.7 ends its process on bytes in a queue that are no message of its own, and puts some of them back first, so
that every worker ends on them in turn. Nothing is lost with a message: it is a hint, and the reconciler sends another.
"""

from __future__ import annotations

from base64 import b64decode
from functools import partial
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis
from kombu.utils.json import loads

from pipeline.logs import get_logger
from pipeline.queue import queue_of

log = get_logger(__name__)

_SHOWN_BYTES = 200
#: Celery's own, which Poseline's messages do not use, and some values of which end a worker or hold a slot for ever.
_UNUSED = ("eta", "compression", "group", "shadow", "stamped_headers", "stamps")
_NO_LIMIT = [None, None]
#: What reading a message of any shape can raise.
_UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, RecursionError)


def fault_of(raw: bytes) -> str | None:
    """Why bytes from a queue of tasks are no message that Celery can read; None where they are one."""
    try:
        message = loads(raw)
        headers, properties = message["headers"], message["properties"]
        strings = (headers["task"], headers["id"], properties["delivery_tag"])
        args, kwargs, embed = loads(b64decode(message["body"], validate=True))
        shapes = ((strings, str), ((args,), list), ((kwargs, embed, properties["delivery_info"]), dict))
        kind = message["content-type"], message["content-encoding"], properties["body_encoding"]
    except _UNREADABLE as error:
        return f"{type(error).__name__}: {error}"
    if kind != ("application/json", "utf-8", "base64"):
        return f"its content is {', '.join(map(str, kind))}, not JSON"
    wrong = [value for values, shape in shapes for value in values if not isinstance(value, shape)]
    if wrong:
        return f"{wrong[0]!r} is of another type than Celery's"
    if used := [name for name in _UNUSED if headers.get(name)] + [name for name in embed if embed[name]]:
        return f"Poseline sends nothing with {used[0]}"
    if headers.get("timelimit", _NO_LIMIT) != _NO_LIMIT:
        return "Poseline sends nothing with a time limit"
    return None


class _Client(redis.PrefixedStrictRedis):
    def parse_response(self, connection: Any, command_name: str, **options: Any) -> Any:
        """An answer of Redis; to the channel a message that is dropped is as none."""
        answer = super().parse_response(connection, command_name, **options)
        if command_name != "BRPOP" or not answer or (queue := queue_of(answer[0])) is None:
            return answer
        if (fault := fault_of(answer[1])) is None:
            return answer
        log.error("message_dropped", queue=queue, reason=fault[:_SHOWN_BYTES], received=answer[1][:_SHOWN_BYTES])
        return None


class _Channel(redis.Channel):
    def _get_client(self) -> Any:
        return partial(_Client, global_keyprefix=self.global_keyprefix)


class CheckedTransport(redis.Transport):
    """Kombu's transport over Redis, which passes on only messages that Celery can read."""

    Channel = _Channel


def check_messages() -> None:
    """Have every connection of this process check what it receives.

    By the scheme of the URL, because kombu decides by it whether to use TLS.
    """
    TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), f"{__name__}:{CheckedTransport.__name__}"))
