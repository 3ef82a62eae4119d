"""Whether anybody here computes in the precision that a run asks for, in words for who waits."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Connection

from pipeline.core.precision import Precision
from pipeline.db.chunks import select_trouble
from pipeline.db.engine import transaction
from pipeline.db.runs import select_precision
from pipeline.db.workers import select_workers
from pipeline.errors import UsageError
from pipeline.services.system import System

_MENDS: dict[Precision, str] = {
    "fp32": "`poseline worker`",
    "bf16": "`poseline worker` or `up` with `--device openvino`, on a processor with bf16, or with `--device tensorrt`",
    "fp16": "`poseline worker` or `up` with `--device tensorrt`",
}


def require_able(system: System, model: str, precision: Precision) -> None:
    """Hold a wish against the workers that are there; where none is there at all, one that can may come.

    Raises:
        UsageError: none of them computes in this precision.
    """
    with transaction(system.engine) as connection:
        lack = _lack(connection, precision)
    if lack is not None:
        raise UsageError(f"{lack}, or ask for {model.rpartition('@')[0] or model}")


def trouble_of(connection: Connection, run_id: UUID) -> str | None:
    """Why a run does not get on: nobody can do it, or why a chunk was handed back."""
    lack = _lack(connection, select_precision(connection, run_id))
    if lack is not None:
        return lack
    trouble = select_trouble(connection, run_id)
    return None if trouble is None else f"{trouble} (it is tried again)"


def _lack(connection: Connection, precision: Precision) -> str | None:
    workers = select_workers(connection)
    if not workers or any(precision in worker.precisions for worker in workers):
        return None
    able = ", ".join(f"{worker.name} in {' and '.join(worker.precisions)}" for worker in workers)
    return f"no worker here computes in {precision} ({able}): start one with {_MENDS[precision]}"
