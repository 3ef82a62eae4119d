"""Whether anybody here computes in the precision that a run asks for, in words for who waits."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Connection

from pipeline.core.precision import Precision
from pipeline.db.chunks import select_last_error
from pipeline.db.models import select_precision
from pipeline.db.workers import select_workers

_MENDS: dict[Precision, str] = {
    "bf16": "`poseline worker` or `up` with `--device openvino`, on a processor with bf16, or with `--device tensorrt`",
    "fp16": "`poseline worker` or `up` with `--device tensorrt`",
}


def missing_capability(connection: Connection, precision: Precision) -> str | None:
    """Why nobody who is there computes in this precision, with the mend; None where somebody does.

    fp32 is never lacked, and where no worker is there at all one that can may come.
    """
    workers = [worker for worker in select_workers(connection) if worker.precisions]
    if precision not in _MENDS or not workers or any(precision in worker.precisions for worker in workers):
        return None
    able = ", ".join(f"{worker.name} in {' and '.join(worker.precisions)}" for worker in workers)
    return (
        f"no worker here computes in {precision} ({able}): start one with {_MENDS[precision]}, or ask for the model "
        f"without @{precision}"
    )


def blocking_reason(connection: Connection, run_id: UUID) -> str | None:
    """Why a run does not get on: nobody can do it, or why a chunk was handed back."""
    lack = missing_capability(connection, select_precision(connection, run_id))
    if lack is not None:
        return lack
    trouble = select_last_error(connection, run_id)
    return None if trouble is None else f"{trouble} (it is tried again)"
