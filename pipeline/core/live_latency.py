"""Where the time of a live frame goes, from the camera to its poses. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.core.live_results import Result

#: In the order in which a frame passes them. `render` is the page's alone.
STAGES: Final = ("capture", "encode", "upload", "wait", "decode", "process", "download", "render")
TOTAL: Final = "total"
#: What each stage may take; the rest of the sum is left for the others.
BUDGET_MS: Final[Mapping[str, float]] = {
    "capture": 3.0,
    "upload": 20.0,
    "process": 25.0,
    "download": 20.0,
    "render": 5.0,
    TOTAL: 78.0,
}


@dataclass(frozen=True)
class Sent:
    """A frame on its way; times by the client's clock, in ms.

    Args:
        captured_ms, sent_ms: when it was.
        capture_ms, encode_ms: what these took. In between it is held until there is credit for it.
    """

    captured_ms: float
    capture_ms: float
    encode_ms: float
    sent_ms: float


def trip_of(sent: Sent, result: Result, came_ms: float, offset_ms: float) -> dict[str, float]:
    """The milliseconds that an analysed frame took, by stage, and in `total`, from its capture until its result came.

    What the stages do not name, such as the making of the result, is in `wait`, so that they add up to the total.

    Args:
        came_ms: when the result came, by the client's clock.
        offset_ms: from the client's clock to the server's.
    """
    total_ms = came_ms - sent.captured_ms
    named = {
        "capture": sent.capture_ms,
        "encode": sent.encode_ms,
        "upload": result.received_at_ms - offset_ms - sent.sent_ms,
        "decode": result.decode_ms,
        "process": result.process_ms,
        "download": came_ms - (result.sent_at_ms - offset_ms),
    }
    waited_ms = total_ms - sum(named.values())
    return {stage: (named | {"wait": waited_ms})[stage] for stage in STAGES if stage != "render"} | {TOTAL: total_ms}


@dataclass(frozen=True)
class Spread:
    """The middle and the upper end of some milliseconds."""

    median: float
    p95: float


def spread_of(values: Sequence[float]) -> Spread | None:
    """The median and the 95th percentile, by the nearest rank; None of nothing."""
    ordered = sorted(values)
    if not ordered:
        return None

    def at(share: float) -> float:
        return ordered[max(0, math.ceil(share * len(ordered)) - 1)]

    return Spread(at(0.5), at(0.95))


def spreads_of(trips: Iterable[Mapping[str, float]]) -> dict[str, Spread]:
    """The spread of each stage, and of the total."""
    columns: dict[str, list[float]] = {}
    for trip in trips:
        for stage, ms in trip.items():
            columns.setdefault(stage, []).append(ms)
    return {stage: spread for stage, values in columns.items() if (spread := spread_of(values)) is not None}
