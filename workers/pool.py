"""Celery's thread pool, which also says when a slot is free, and what its threads compute with.

With prefetching off, Celery asks Redis for the next message only when its event loop turns, and a thread that ends does
not turn it: on 5.7.0, tasks of 30 ms that send no events were seen to run at one a second. Waking the loop costs
microseconds.

`celery inspect stats` and Flower's page of a worker show what a pool says of itself.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC
from typing import Any

from celery.concurrency.thread import TaskPool

from pipeline.db.workers import DeviceRow

#: Where a worker keeps what it computes with, in the configuration of its Celery application.
COMPUTES = "poseline_computes"


def shown(computes: DeviceRow) -> dict[str, list[object]]:
    """The words of the row in Postgres, for people and as JSON.

    Each is a list of one: Flower 2.2 prints lists as they are and prettifies bare text, `onnxruntime-gpu` to
    `Onnxruntime gpu` (`flower/utils/template.py`, `humanize`).
    """
    facts = {name: value for name, value in asdict(computes).items() if value not in {None, ""}}
    if computes.golden_ms is not None:
        facts["golden_ms"] = round(computes.golden_ms, 2)
    if computes.checked_at is not None:
        facts["checked_at"] = computes.checked_at.astimezone(UTC).isoformat(timespec="seconds")
    return {name: [value] for name, value in facts.items()}


class WakingPool(TaskPool):
    """Threads, with the event loop woken at the end of each task."""

    _hub: Any = None

    def register_with_event_loop(self, hub: Any) -> None:
        """Remember the loop: kombu's global one is forgotten at the first reconnect."""
        self._hub = hub

    def on_apply(self, *args: Any, **kwargs: Any) -> Any:
        """Run one task in a thread."""
        result = super().on_apply(*args, **kwargs)
        result.f.add_done_callback(self._wake)
        return result

    def _get_info(self) -> Any:
        """What Celery says of its pool, and what this one computes with."""
        return {**super()._get_info(), **self.app.conf.get(COMPUTES, {})}  # type: ignore[misc]  # celery-types lacks it

    def _wake(self, _: object) -> None:
        if self._hub is not None:
            self._hub.call_soon(_nothing)


def _nothing() -> None:
    """Being called is all."""
