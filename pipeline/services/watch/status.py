"""How far the watches are, what they found, and what keeps them from going on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.db.engine import transaction
from pipeline.db.pressure import ingest_paused
from pipeline.db.watch_hints import count_hints
from pipeline.db.watched_videos import select_gone
from pipeline.db.watches import WatchRow, select_watches
from pipeline.services.system import System
from pipeline.services.watch.manage import find_watch, to_dict

_GONE_SHOWN = 5


@dataclass(frozen=True)
class WatchStatus:
    """One watch as people see it.

    Args:
        hinted: keys that wait to be looked at before the listing comes to them.
        gone: videos whose object is not there any more; their results stay.
        gone_keys: the last of them.
        blocked: why nothing is listed now.
    """

    watch: WatchRow
    hinted: int
    gone: int
    gone_keys: Sequence[str]
    blocked: str | None

    @property
    def is_listing(self) -> bool:
        """Whether a listing is under way."""
        return self.watch.round_started_at is not None

    def to_dict(self) -> dict[str, Any]:
        """The status as JSON fields: what the last complete listing found, and the one under way so far."""
        watch = self.watch
        return {
            **to_dict(watch),
            "listed_at": watch.listed_at.isoformat() if watch.listed_at else None,
            "listed": dict(watch.listed) if watch.listed is not None else None,
            "listing_since": watch.round_started_at.isoformat() if watch.round_started_at else None,
            "listing": dict(watch.counts) if self.is_listing else None,
            "after_key": watch.after_key if self.is_listing else None,
            "next_listing_at": None if self.is_listing else watch.next_at.isoformat(),
            "hinted": self.hinted,
            "gone": self.gone,
            "gone_keys": list(self.gone_keys),
            "blocked": self.blocked,
            "error": watch.error,
            "error_at": watch.error_at.isoformat() if watch.error_at else None,
        }


def watch_status(system: System, name: str | None = None) -> list[WatchStatus]:
    """The status of every watch, or of one by its id or location.

    Raises:
        NotFound: there is no such watch, or it is not clear which is meant.
    """
    wanted = None if name is None else find_watch(system, name).id
    with transaction(system.engine) as connection:
        short_of = ingest_paused(connection)
        blocked = None if short_of is None else f"nothing is taken in until there is room: {short_of}"
        return [
            WatchStatus(
                watch,
                count_hints(connection, watch.id),
                *select_gone(connection, watch.bucket, watch.prefix, _GONE_SHOWN),
                blocked,
            )
            for watch in select_watches(connection)
            if wanted is None or watch.id == wanted
        ]
