"""What became of the frames of a live session, as its client counts them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass
class Fates:
    """What became of the frames: captured = dropped + sent, and sent = analysed + superseded + failed + lost."""

    captured: int = 0
    dropped: int = 0
    sent: int = 0
    analysed: int = 0
    superseded: int = 0
    failed: int = 0
    lost: int = 0

    def agree(self, summary: Mapping[str, Any]) -> bool:
        """Whether the server has counted the same."""
        counted = {"received": self.sent, **asdict(self)}
        return all(summary.get(name) == counted[name] for name in ("received", "analysed", "superseded", "failed"))
