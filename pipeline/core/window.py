"""When the small window of chunks that are sent is filled up again: a rule for the dispatcher and for its forecast."""

from __future__ import annotations

from dataclasses import dataclass

#: In a large window a team that may have one chunk under way waits for its next one for so small a part of it.
_PARTS = 25


@dataclass(frozen=True)
class Window:
    """What was sent and waits for a slot, and what has happened since it was filled up.

    Args:
        size: how many chunks may wait; None where that is not known.
        waiting: those that do, beside the one that a free slot takes next.
        ended: chunks that ended since.
        lone_ended: those of them whose team may have one chunk under way, so that it has none now.
    """

    size: int | None
    waiting: int
    ended: int = 0
    lone_ended: int = 0

    @property
    def wants_more(self) -> bool:
        """Whether more is to be sent now: less than half of it waits, or a team has nothing under way for its cap."""
        return self.size is None or 2 * self.waiting < self.size or self.keeps_one_idle

    @property
    def keeps_one_idle(self) -> bool:
        """Whether a team that may have one chunk under way waits for its next one; in a large window this is seen
        after several ends, so that not each of them asks for more."""
        return self.lone_ended > 0 and self.ended >= (self.size or 0) // _PARTS
