"""What beat leaves in Redis at each tick, so that a missing or hung one is seen. It expires by Redis's clock."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

#: The key in Redis.
BEAT_KEY = "poseline:beat"


@dataclass(frozen=True)
class BeatReport:
    """The last tick.

    Args:
        host, pid: the process that sent it.
        alive_s: how long it counts.
        age_s: how long ago it was.
    """

    host: str
    pid: int
    alive_s: float
    age_s: float = 0.0

    def to_json(self) -> str:
        """The value of the key, which is to expire after `alive_s`."""
        return json.dumps({name: value for name, value in asdict(self).items() if name != "age_s"})


def alive_after_tick_s(tick_s: float) -> float:
    """How long a tick counts. Generous: a slow Redis delays ticks, and restarting beat would not help."""
    return max(30.0, 5 * tick_s)


def read_beat_report(value: bytes | None, expires_in_ms: int) -> BeatReport | None:
    """The report from its key's value and the time left to it; None if there is none."""
    if value is None:
        return None
    found = json.loads(value)
    age_s = max(0.0, found["alive_s"] - expires_in_ms / 1000)
    return BeatReport(found["host"], found["pid"], found["alive_s"], age_s)
