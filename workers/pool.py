"""Celery's thread pool, which also wakes the event loop when a slot is free and reports what the worker computes with.

With prefetching off, Celery asks Redis for the next message only when its event loop runs, and a thread that ends does
not wake it: on 5.7.0, tasks of 30 ms that send no events were seen to run at one per second. Waking the loop takes
microseconds.

`celery inspect stats` and Flower's page of a worker show what a pool reports.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC
from typing import Any

from celery.concurrency.thread import TaskPool

from pipeline.db.workers import DeviceRow

#: The key of the Celery application's configuration under which a worker keeps what it computes with.
COMPUTES = "poseline_computes"


def pool_stats(computes: DeviceRow) -> dict[str, list[object]]:
    """A worker's device as entries of its pool statistics.

    Each is a list of one: Flower 2.2 prints lists as they are and prettifies bare text, `onnxruntime-gpu` to
    `Onnxruntime gpu` (`flower/utils/template.py`, `humanize`).
    """
    stats = {name: value for name, value in asdict(computes).items() if value not in {None, ""}}
    if computes.golden_ms is not None:
        stats["golden_ms"] = round(computes.golden_ms, 2)
    if computes.checked_at is not None:
        stats["checked_at"] = computes.checked_at.astimezone(UTC).isoformat(timespec="seconds")
    return {name: [value] for name, value in stats.items()}


class WakingPool(TaskPool):
    """Threads, with the event loop woken at the end of each task."""

    _hub: Any = None

    def register_with_event_loop(self, hub: Any) -> None:
        """Keep the loop: kombu loses its global one at the first reconnect."""
        self._hub = hub

    def on_apply(self, *args: Any, **kwargs: Any) -> Any:
        """Run one task in a thread."""
        result = super().on_apply(*args, **kwargs)
        result.f.add_done_callback(self._wake)
        return result

    def _get_info(self) -> Any:
        """Celery's own pool statistics, and what this worker computes with."""
        return {**super()._get_info(), **self.app.conf.get(COMPUTES, {})}  # type: ignore[misc]  # celery-types lacks it

    def _wake(self, _: object) -> None:
        if self._hub is not None:
            self._hub.call_soon(_nothing)


def _nothing() -> None:
    """Called only to wake the loop."""
