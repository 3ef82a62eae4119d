"""Whether this worker takes messages: it stops to consume its queues, and takes them up again.

What it has received it finishes. A message that Redis gives out just then goes back into its queue: kombu rejects what
nobody consumes (`virtual.Connection._deliver`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from celery.worker import state


class Intake:
    """The queues of one worker process; safe to call from any thread.

    Args:
        queues: those that it was started for.
    """

    def __init__(self, queues: Sequence[str]) -> None:
        self._queues = tuple(queues)
        self._wanted = True
        self._is_shut = False
        self._consumer: Any = None

    def use(self, consumer: Any) -> None:
        """Control this consumer; the process has one, which outlives its connections."""
        self._consumer = consumer
        if not self._wanted:
            consumer.call_soon(self._shut)

    def follow(self, *, draining: bool) -> None:
        """Take nothing more, or take up work again."""
        if draining is not self._wanted:
            return
        self._wanted = not draining
        if self._consumer is not None:
            self._consumer.call_soon(self._shut if draining else self._open)

    @property
    def is_shutting(self) -> bool:
        """Whether it is to take nothing more and still has something in hand."""
        return not self._wanted and not self.is_drained

    @property
    def is_drained(self) -> bool:
        """Whether it takes nothing more and has nothing in hand."""
        return not self._wanted and self._is_shut and not state.reserved_requests

    def _shut(self) -> None:
        for queue in self._queues:
            self._consumer.cancel_task_queue(queue)
        self._is_shut = True

    def _open(self) -> None:
        self._is_shut = False
        for queue in self._queues:
            self._consumer.add_task_queue(queue)
