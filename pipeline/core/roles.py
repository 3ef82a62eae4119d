"""What somebody may do in a team: each role may do all that those before it may."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """A role in a team."""

    VIEWER = "viewer"
    COACH = "coach"
    OWNER = "owner"

    def includes(self, other: Role) -> bool:
        """Whether this role may do what the other may."""
        order = tuple(Role)
        return order.index(self) >= order.index(other)
