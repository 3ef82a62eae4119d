"""When a schedule is due: cron expressions in a time zone, as Debian's cron reads them.

A time of the day that a change of the clock leaves out is due right after it; one that comes twice is due the first
time. Expressions such as `*/10 * * * *` go by the time that passes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

_FIELDS = 5
#: Files among the zones that mean another one on every machine.
_OF_THIS_MACHINE = {"localtime", "posixrules", "Factory"}
#: More missed slots than these are not counted.
_MOST_COUNTED = 1000


class Due(NamedTuple):
    """The last slot that has come.

    Args:
        missed: slots before it that nobody was there for; at most 1,000 are counted.
        next_slot: the first one to come; None where none will.
    """

    slot: datetime
    missed: int
    next_slot: datetime | None


@dataclass(frozen=True)
class Cron:
    """Points of time, from a cron expression of five fields and a time zone.

    Raises:
        ValueError: the expression or the zone is none, or no time fits the expression.
    """

    text: str
    timezone: str

    def __post_init__(self) -> None:
        if len(self.text.split()) != _FIELDS:
            raise ValueError(
                f"{self.text!r} is no cron expression: write five fields, minute, hour, day, month and weekday, as in "
                "'0 22 * * *' for every night at 22:00"
            )
        try:
            if next(CronSim(self.text, datetime.now(UTC)), None) is None:
                raise ValueError(f"no time fits the cron expression {self.text!r}")
        except CronSimError as error:
            why = str(error).lower()
            if "day-of-month" in why:
                why += ", or one that its months do not have"
            raise ValueError(f"{self.text!r} is no cron expression: {why}") from error
        self.zone  # noqa: B018  raises where there is none

    def next_after(self, moment: datetime) -> datetime | None:
        """The first slot after `moment`, in UTC; None where there is none within fifty years."""
        for slot in CronSim(self.text, moment.astimezone(self.zone)):
            found = slot.astimezone(UTC)
            if found > moment:  # what comes twice may lie before, when the clock was set back just now
                return found
        return None

    def due(self, slot: datetime, now: datetime) -> Due | None:
        """What is due at `now` where `slot` was the next one; None while that is still to come."""
        if slot > now:
            return None
        last = slot
        for earlier in CronSim(self.text, now.astimezone(self.zone), reverse=True):
            if now >= earlier.astimezone(UTC) > slot:
                last = earlier.astimezone(UTC)
            if earlier.astimezone(UTC) <= now:
                break
        exact = self.next_after(last)
        while exact is not None and exact <= now:  # `reverse` leaves out the slot at `now` itself
            last, exact = exact, self.next_after(exact)
        missed, at = 0, slot
        while at < last and missed < _MOST_COUNTED:
            missed += 1
            following = self.next_after(at)
            if following is None:
                break
            at = following
        return Due(last, missed, exact)

    @property
    def zone(self) -> ZoneInfo:
        """The time zone."""
        try:
            if self.timezone in _OF_THIS_MACHINE:
                raise ValueError
            return ZoneInfo(self.timezone)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(
                f"there is no time zone {self.timezone!r}; write one such as Europe/Berlin or UTC"
            ) from error
