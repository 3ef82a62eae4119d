"""Passes as people see and stop them. `team` restricts each call to one team; None is the operator."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from pipeline.db.engine import transaction
from pipeline.db.held_runs import select_held_of_pass
from pipeline.db.pass_figures import sum_up_pass
from pipeline.db.passes import PassRow, find_passes, lock_open_pass, select_passes
from pipeline.db.schedules import select_schedule_passes
from pipeline.errors import ServiceUnavailable, UsageError
from pipeline.services.passes import cancel_each, close_pass
from pipeline.services.system import System


@dataclass(frozen=True)
class PassProgress:
    """How far a pass is.

    Args:
        frames_total: of the videos that were chosen when it was opened; None where they are chosen as it goes on.
    """

    one: PassRow
    counts: dict[str, Any]
    frames_total: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """The pass as JSON fields."""
        one = self.one
        return {
            "pass_id": str(one.id),
            "name": one.name,
            "schedule": one.schedule,
            "model": one.model,
            "slot_at": one.slot_at and one.slot_at.isoformat(),
            "slots_missed": one.slots_missed,
            "opened_at": one.opened_at.isoformat(),
            "closes_at": one.closes_at and one.closes_at.isoformat(),
            "closed_at": one.closed_at and one.closed_at.isoformat(),
            "ended": one.ended,
            "promotion": one.promotion,
            "budget": asdict(one.budget),
            **self.counts,
        }


def get_pass(system: System, pass_id: UUID) -> tuple[PassRow, dict[str, Any]]:
    """A pass and what it came to so far."""
    with transaction(system.engine) as connection:
        one = select_passes(connection, pass_id=pass_id)[0]
        return one, sum_up_pass(connection, one)


def find_pass(system: System, name_or_id: str, *, team: str | None) -> PassRow:
    """A pass by its name, or by the first characters of its id; the newest where several have that name.

    Raises:
        NotFound: there is none.
    """
    with transaction(system.engine) as connection:
        return find_passes(connection, name_or_id, team_name=team)[0]


def list_passes(
    system: System, *, schedule: str | None = None, team: str | None = None, limit: int | None = None
) -> list[PassProgress]:
    """Passes, the newest first; of a schedule by its name, also of one that was removed, unless that is None.

    Raises:
        NotFound: there is no such schedule, and never was.
    """
    with transaction(system.engine) as connection:
        if schedule is None:
            passes = select_passes(connection, team_name=team, limit=limit)
        else:
            passes = select_schedule_passes(connection, schedule, team_name=team, limit=limit)
        return [PassProgress(one, sum_up_pass(connection, one)) for one in passes]


def stop_pass(system: System, pass_id: UUID) -> tuple[PassRow, int]:
    """End a pass: what runs goes on. What was not begun is cancelled where the pass was asked for by hand, otherwise it
    waits for the schedule's next. Returns the pass, and how many runs were cancelled.

    Raises:
        UsageError: it has ended.
        ServiceUnavailable: another process is about it at this moment.
    """
    with transaction(system.engine) as connection:
        one = lock_open_pass(connection, pass_id)
        if one is not None:
            close_pass(connection, one, "stopped", system.clock(connection))
        found = select_passes(connection, pass_id=pass_id)[0]
        held = select_held_of_pass(connection, pass_id) if one is not None and one.schedule_id is None else ()
    if one is not None:
        return found, cancel_each(system, held)
    if found.closed_at is not None:
        raise UsageError(f"the pass {found.name!r} has ended: {found.ended}")
    raise ServiceUnavailable(f"the pass {found.name!r} is being worked on at this moment; try again")
