"""What a frame of each open run costs, from the chunks that ended lately."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from pipeline.db.queue_state import Pace, QueuedRun

#: Slots that were idle for longer than they worked had nothing to do, and say nothing of what is to come.
_MOST_OVERHEAD = 2.0


class Costs:
    """Seconds of a slot for one frame, from the chunks that ended lately: of a run, else of its model.

    A team's footage is alike, so of the model's chunks those of the run's own team come first. What the slots spent
    between chunks is laid on these.

    Args:
        slots: of all workers.
    """

    def __init__(self, paces: Sequence[Pace], slots: int) -> None:
        overhead = slots * paces[0].steady_s / paces[0].busy_s if paces and paces[0].busy_s else 1.0
        self._overhead = overhead if 1 <= overhead <= _MOST_OVERHEAD else 1.0
        self._spent: dict[object, tuple[float, int]] = defaultdict(lambda: (0.0, 0))
        for pace in paces:
            for key in (pace.run_id, (pace.model_fingerprint, pace.team_id), pace.model_fingerprint, None):
                slot_s, frames = self._spent[key]
                self._spent[key] = slot_s + pace.slot_s, frames + pace.frames

    def of(self, run: QueuedRun) -> float | None:
        """Seconds of a slot for one frame of this run; None where nothing was measured."""
        for key in (run.id, (run.model_fingerprint, run.team_id), run.model_fingerprint, None):
            slot_s, frames = self._spent.get(key, (0.0, 0))
            if frames:
                return self._overhead * slot_s / frames
        return None
