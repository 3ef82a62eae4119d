"""Where a page of a list ended: the time and the id of its last row, as text that a client sends back unread."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True)
class Cursor:
    """The last row of a page of a list that is ordered by time and id, the newest first."""

    at: datetime
    id: UUID

    def __str__(self) -> str:
        text = f"{self.at.isoformat()} {self.id}"
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """A cursor from its text.

        Raises:
            ValueError: it is not the text of one.
        """
        try:
            at, _, row = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().partition(" ")
            when = datetime.fromisoformat(at)
            if when.tzinfo is None:
                raise ValueError("without a time zone")
            return cls(when, UUID(row))
        except (ValueError, binascii.Error) as error:
            raise ValueError("it is not the `next` of a page") from error
