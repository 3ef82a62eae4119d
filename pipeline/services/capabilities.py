"""Whether a worker computes in the precision that a run asks for, and what blocks a run, as messages."""

from __future__ import annotations

import shlex
from uuid import UUID

from sqlalchemy import Connection

from pipeline.core.precision import Precision
from pipeline.db.chunks import select_last_error
from pipeline.db.engine import transaction
from pipeline.db.held_runs import Hold, select_hold
from pipeline.db.models import select_precision
from pipeline.db.pauses import select_pauses_of
from pipeline.db.pressure import ingest_paused, waits_for_ingest
from pipeline.db.workers import select_workers
from pipeline.services.pause import pause_line
from pipeline.services.system import System

_FIXES: dict[Precision, str] = {
    "bf16": "`poseline worker` or `up` with `--device openvino`, on a processor with bf16, or with `--device tensorrt`",
    "fp16": "`poseline worker` or `up` with `--device tensorrt`",
}


def missing_capability(connection: Connection, precision: Precision) -> str | None:
    """Why no worker computes in this precision, with the fix; None where one does.

    Every worker computes in fp32. Where no worker is online, one that can may still start: None, too.
    """
    workers = [worker for worker in select_workers(connection) if worker.precisions]
    if precision not in _FIXES or not workers or any(precision in worker.precisions for worker in workers):
        return None
    able = ", ".join(f"{worker.name} in {' and '.join(worker.precisions)}" for worker in workers)
    return (
        f"no worker here computes in {precision} ({able}): start one with {_FIXES[precision]}, or ask for the model "
        f"without @{precision}"
    )


def blocking_reason(connection: Connection, run_id: UUID) -> str | None:
    """Why a run makes no progress: it is paused, its video is not taken in yet for want of room, no worker computes in
    its precision, it waits for the next pass of its schedule, or the latest error of an open chunk."""
    pauses = select_pauses_of(connection, run_id)
    if pauses:
        return "; ".join(pause_line(each) for each in pauses)
    short = ingest_paused(connection) if waits_for_ingest(connection, run_id) else None
    if short is not None:
        return f"videos wait to be taken in until there is room: {short}"
    missing = missing_capability(connection, select_precision(connection, run_id))
    if missing is not None:
        return missing
    hold = select_hold(connection, run_id)
    if hold is not None:
        return hold_line(hold)
    error = select_last_error(connection, run_id)
    return None if error is None else f"{error} (it is tried again)"


def hold_line(hold: Hold) -> str:
    """Why a run that waits for a pass makes no progress."""
    next_pass = "" if hold.next_slot_at is None else f", at {hold.next_slot_at.astimezone():%Y-%m-%d %H:%M}"
    if hold.schedule is None:
        return "its pass was stopped; ask for it with `poseline analyze`"
    if not hold.enabled:
        fix = f"`poseline schedule enable {shlex.quote(hold.schedule)}` goes on with it"
        return f"its schedule {hold.schedule} is disabled; {fix}"
    return f"it waits for the next pass of the schedule {hold.schedule}{next_pass}"


def check_capability(system: System, precision: Precision) -> str | None:
    """As `missing_capability`, in a transaction of its own."""
    with transaction(system.engine) as connection:
        return missing_capability(connection, precision)
