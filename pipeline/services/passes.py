"""Passes: open those that are due, give each the next videos within its budget, and close it.

A pass is one slot of a schedule, or what a person asked for at once. Its runs go to the lane `reprocess`, a few at a
time. When its window closes, the chunks in hand end, and what was not begun is held for the schedule's next pass. All
is decided in Postgres, by its clock: any number of ticks at once make one pass.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from pipeline.core.budget import Budget, count_fitting
from pipeline.core.cron import Cron, Due
from pipeline.db.engine import transaction
from pipeline.db.held_runs import hold_runs, lock_held_runs, lock_open_runs
from pipeline.db.pass_figures import sum_up_pass
from pipeline.db.passes import (
    Ended,
    PassRow,
    count_unfinished,
    give_run,
    insert_pass,
    lock_open_pass,
    select_candidates,
    select_open_passes,
    select_waiting_chunks,
    update_pass,
)
from pipeline.db.run_ends import mark_cancelled
from pipeline.db.runs import REPROCESS, insert_run
from pipeline.db.schedules import ScheduleRow, lock_due_schedules, update_schedule
from pipeline.db.workers import select_workers
from pipeline.inference.guide import worse_models
from pipeline.logs import get_logger
from pipeline.services.plan import plan_runs
from pipeline.services.system import System

log = get_logger(__name__)

#: Runs with work to be sent that a pass has at a time: enough that no slot waits for the next tick.
_LEAST_AT_ONCE = 32
_AT_ONCE_PER_SLOT = 4
#: The most videos that a pass takes in one transaction.
_BATCH = 64

#: Why a pass takes no more videos.
_ALL, _BUDGET = "all", "budget"


@dataclass(frozen=True)
class Change:
    """What happened to a pass, to be told."""

    name: str
    pass_id: UUID
    event: str


def advance_passes(system: System) -> None:
    """Open what is due, and go on with every pass that is open."""
    for change in _open_due(system):
        tell(system, change)
    with transaction(system.engine) as connection:
        passes = select_open_passes(connection)
    for pass_id in passes:
        advance_pass(system, pass_id)


def advance_pass(system: System, pass_id: UUID) -> None:
    """Go on with one pass: give it videos, or close it. Does nothing where it has ended, or another process does so."""
    with transaction(system.engine) as connection:
        one = lock_open_pass(connection, pass_id)
        if one is None:
            return
        now = system.clock(connection)
        ended = _next_step(connection, system, one, now)
        if ended is not None:
            close_pass(connection, one, ended, now)
    if ended is not None:
        tell(system, Change(one.name, one.id, ended))


def close_pass(connection: Connection, one: PassRow, ended: Ended, now: datetime) -> None:
    """End a pass: what runs goes on, what was not begun is held for the next."""
    lock_open_runs(connection, one.id)  # else a worker may begin a chunk after it was counted as not begun
    frames = sum_up_pass(connection, one)["frames"]
    hold_runs(connection, one.id)
    result = sum_up_pass(connection, one) | {"frames": frames}
    update_pass(connection, one.id, {"closed_at": now, "ended": ended, "result": result})
    log.info("pass_closed", name=one.name, ended=ended, **result)


def open_pass(
    connection: Connection, schedule: ScheduleRow, slot_at: datetime, now: datetime, missed: int = 0
) -> UUID | None:
    """Open a schedule's pass for a slot; None where there is one."""
    too_late = _is_over(schedule, slot_at, now)
    return insert_pass(
        connection,
        {
            "schedule_id": schedule.id,
            "schedule_name": schedule.name,
            "name": pass_name(schedule, slot_at),
            "slot_at": slot_at,
            "slots_missed": missed,
            "team_id": schedule.team_id,
            "selection": schedule.selection.to_list(),
            "model_fingerprint": schedule.model_fingerprint,
            "budget_frames": schedule.budget_frames,
            "budget_video_s": schedule.budget_video_s,
            "promotion": schedule.promotion,
            "opened_at": now,
            "closes_at": _closes_at(schedule, slot_at),
            "closed_at": now if too_late else None,
            "ended": "missed" if too_late else None,
        },
    )


def _closes_at(schedule: ScheduleRow, slot_at: datetime) -> datetime | None:
    return None if schedule.window_s is None else slot_at + timedelta(seconds=schedule.window_s)


def _is_over(schedule: ScheduleRow, slot_at: datetime, now: datetime) -> bool:
    closes_at = _closes_at(schedule, slot_at)
    return closes_at is not None and closes_at <= now


def cancel_each(system: System, run_ids: Iterable[UUID]) -> int:
    """Cancel runs. Returns how many were open.

    Each has its own transaction: who holds a run's row must not wait for its chunks, as a commit waits crosswise.
    """
    cancelled = 0
    for run_id in run_ids:
        with transaction(system.engine) as connection:
            cancelled += mark_cancelled(connection, run_id)
    return cancelled


def pass_name(schedule: ScheduleRow, slot_at: datetime) -> str:
    """What a pass is called: its schedule, and its slot in the schedule's time zone."""
    local = slot_at.astimezone(Cron(schedule.cron, schedule.timezone).zone)
    return f"{schedule.name} {local:%Y-%m-%d %H:%M}" + (f"{local::%S}" if local.second else "")


def close_open_passes(connection: Connection, schedule_id: UUID, ended: Ended, now: datetime) -> list[PassRow] | None:
    """Close what a schedule has open; None, with nothing closed, where another process is about one of them."""
    found = [lock_open_pass(connection, pass_id) for pass_id in select_open_passes(connection, schedule_id)]
    passes = [one for one in found if one is not None]
    if len(passes) < len(found):
        return None
    for one in passes:
        close_pass(connection, one, ended, now)
    return passes


def _open_due(system: System) -> list[Change]:
    changes: list[Change] = []
    with transaction(system.engine) as connection:
        now = system.clock(connection)
        for schedule in lock_due_schedules(connection, now):
            assert schedule.next_slot_at is not None
            try:
                due = Cron(schedule.cron, schedule.timezone).due(schedule.next_slot_at, now)
            except ValueError as error:  # such as a zone that this machine does not know
                log.error("schedule_invalid", schedule=schedule.name, reason=str(error))
                continue
            if due is not None:
                changes += _open_slot(connection, schedule, due, now)
    return changes


def _open_slot(connection: Connection, schedule: ScheduleRow, due: Due, now: datetime) -> list[Change]:
    closed = close_open_passes(connection, schedule.id, "next slot", now)
    if closed is None:
        return []
    update_schedule(connection, schedule.id, {"next_slot_at": due.next_slot})
    pass_id, name = open_pass(connection, schedule, due.slot, now, due.missed), pass_name(schedule, due.slot)
    changes = [Change(one.name, one.id, "next slot") for one in closed]
    if pass_id is not None:
        event = "missed" if _is_over(schedule, due.slot, now) else "opened"
        log.info("slot_due", schedule=schedule.name, slot=due.slot.isoformat(), missed=due.missed, outcome=event)
        changes.append(Change(name, pass_id, event))
    return changes


def _next_step(connection: Connection, system: System, one: PassRow, now: datetime) -> Ended | None:
    """Give a pass what it can take. Returns how it ends, None while it goes on."""
    if one.closes_at is not None and now >= one.closes_at:
        return "window closed"
    working, unfinished = count_unfinished(connection, one.id)
    no_more = one.no_more
    slots = sum(worker.slots for worker in select_workers(connection) if worker.draining_at is None)
    room = min(max(_LEAST_AT_ONCE, _AT_ONCE_PER_SLOT * slots) - working, _BATCH)
    if no_more is None and room > 0:
        no_more = _give(connection, system, one, now, room)
        working, unfinished = count_unfinished(connection, one.id)
    if no_more == _BUDGET and not working:
        return "budget used up"
    return "all done" if no_more == _ALL and not unfinished else None


def _give(connection: Connection, system: System, one: PassRow, now: datetime, room: int) -> str | None:
    """Give a pass the next videos, at most `room`: first what the one before held. Returns why it takes no more."""
    budget, after, no_more = one.budget, one.after, None
    if one.schedule_id is not None:
        for run_id, frames_per_s in lock_held_runs(connection, one.schedule_id, one.model_fingerprint, room):
            budget, fits = _give_run(connection, one, run_id, frames_per_s, budget)
            room -= 1
            if not fits:
                no_more = _BUDGET
                break
    if no_more is None and room > 0:
        candidates = select_candidates(connection, one.scope, now, worse_models(one.model), limit=room, after=after)
        for candidate in candidates:
            if budget.frames_given and budget.room_frames(candidate.frames_per_s) < 1:
                no_more = _BUDGET
                break
            after = candidate.created_at, candidate.video_id
            run_id, new = insert_run(connection, candidate.video_id, one.model_fingerprint, lane=REPROCESS)
            if not new:
                continue  # somebody asked for it meanwhile
            plan_runs(connection, system.settings, candidate.video_id)
            budget, fits = _give_run(connection, one, run_id, candidate.frames_per_s, budget)
            if not fits:
                no_more = _BUDGET
                break
        if no_more is None and len(candidates) < room:
            no_more = _ALL
    update_pass(
        connection,
        one.id,
        {
            "frames_given": budget.frames_given,
            "video_s_given": budget.video_s_given,
            "no_more": no_more,
            "after_created_at": after and after[0],
            "after_id": after and after[1],
        },
    )
    return no_more


def _give_run(
    connection: Connection, one: PassRow, run_id: UUID, frames_per_s: float, budget: Budget
) -> tuple[Budget, bool]:
    """Give a pass a run, as many of its chunks as fit. Returns what is left, and whether all of them did."""
    chunks = select_waiting_chunks(connection, run_id)
    fitting = count_fitting([frames for _, frames in chunks], budget.room_frames(frames_per_s))
    if chunks and not fitting and not budget.frames_given:
        fitting = 1  # or a budget that is smaller than a chunk would never be enough
    fits = fitting == len(chunks)
    give_run(connection, run_id, one.id, one.promotion, None if fits else chunks[fitting][0])
    return budget.less(sum(frames for _, frames in chunks[:fitting]), frames_per_s), fits


def tell(system: System, change: Change) -> None:
    """Have a worker go on with a pass, by a task that says in Flower what happened."""
    system.queue.send_pass(change.name, change.pass_id, change.event)
