"""The window of chunks that wait in Redis: its size, and counts of the chunks that ended since it was filled up.

Whoever fills it says which ends it knew of. So an end that comes while it reads the queues is seen afterwards, and no
lock is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.client import Pipeline

from pipeline.core.precision import Precision
from pipeline.core.window import Window

_KEY = "poseline:sent:"
_KNOWN_S = 60
_FIELDS = ("size", "ended", "lone_ended", "ended_then", "lone_ended_then")


@dataclass(frozen=True)
class Seen:
    """The window as one look found it.

    Args:
        ended: chunks that ever ended.
        lone_ended: those of them whose team may have one chunk under way.
    """

    window: Window
    ended: int
    lone_ended: int


def note_end(redis: Redis, precision: Precision, lists: Sequence[str], *, lone: bool) -> Seen:
    """Count the end of a chunk, and look at the window, in one round trip.

    Args:
        lists: in which the messages wait.
        lone: whether the chunk's team may have one chunk under way.
    """
    key = _KEY + precision
    pipeline = redis.pipeline(transaction=False)
    pipeline.hincrby(key, "ended", 1)
    pipeline.hincrby(key, "lone_ended", int(lone))
    return _look(pipeline, key, lists)


def note_filled(redis: Redis, precision: Precision, lists: Sequence[str], size: int, seen: Seen | None) -> Seen:
    """Note that the window was filled up, and look at it again, in one round trip.

    Args:
        lists: in which the messages wait.
        seen: the look after which the queues were read; None keeps the ends since the last fill, to be seen later.
    """
    key = _KEY + precision
    values: dict[Any, int] = {"size": size}
    if seen is not None:
        values |= {"ended_then": seen.ended, "lone_ended_then": seen.lone_ended}
    pipeline = redis.pipeline(transaction=False)
    pipeline.hset(key, mapping=values)
    pipeline.expire(key, _KNOWN_S)
    return _look(pipeline, key, lists)


def _look(pipeline: Pipeline, key: str, lists: Sequence[str]) -> Seen:
    for each in lists:
        pipeline.llen(each)
    pipeline.hmget(key, _FIELDS)
    *lengths, fields = pipeline.execute()[2:]
    size, *counts = (None if each is None else int(each) for each in fields)
    ended, lone_ended, ended_then, lone_ended_then = (count or 0 for count in counts)
    # Redis may have forgotten what it counted and not what was noted, or the other way round.
    window = Window(size, sum(lengths) - 1, abs(ended - ended_then), abs(lone_ended - lone_ended_then))
    return Seen(window, ended, lone_ended)
