"""Work under a lease: claimed, renewed, committed once, and its outcome written down.

A video that is ingested, a chunk that is analysed and a run that is finished differ in what they do and in how they end
without success; everything else is here. An attempt ends in one of these ways:

done        the block committed
lease lost  another worker owns the row, or the run was ended: dropped silently
stopping    this process shuts down: released, not counted as an attempt
outage      a server, this machine or a device failed: released with a delay, not counted as an error
error       the work failed: released with a delay; after `max_errors` of them it is given up
crashed     the process in which it was tried alone crashed: as if its lease had expired
killed      a process that worked on it was killed from outside: a death, or evidence (`services.suspects`)
fatal       trying again cannot help: the work fails for good
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from sqlalchemy import Connection

from pipeline.db.engine import transaction
from pipeline.db.leases import Counts, Lease, LeaseKind, release
from pipeline.errors import (
    DecoderKilled,
    LeaseLost,
    PoselineError,
    Stopping,
    StoreFull,
    TrialCrashed,
    TrialKilled,
    in_one_line,
    is_outage,
)
from pipeline.logs import get_logger
from pipeline.services.lease_heartbeat import LeaseHeartbeat
from pipeline.services.pressure import note_store_full
from pipeline.services.suspects import is_evidence
from pipeline.services.system import System

log = get_logger(__name__)


class Claimed(Protocol):
    """What a claim returns: a lease, or something that has one."""

    @property
    def lease(self) -> Lease: ...


C = TypeVar("C", bound=Claimed)

#: Ends leased work for good, in a transaction in which the lease is still held, with the reason; returns the run that
#: can be finished now, if any.
End = Callable[[Connection, Lease, str], UUID | None]


@dataclass(frozen=True)
class WorkKind:
    """How one kind of leased work ends without success.

    Args:
        fatal: errors after which trying again cannot help.
        fail: ends the work after a fatal error.
        give_up: ends the work after too many errors or expirations.
        errors_reason: the reason after too many errors, of `{count}` and `{error}`.
        expired_reason: the reason after too many expirations, of `{count}` and `{error}`, the last one.
    """

    name: LeaseKind
    fatal: tuple[type[PoselineError], ...]
    fail: End
    give_up: End
    errors_reason: str
    expired_reason: str

    def expired_line(self, lease: Lease, error: str) -> str:
        """The reason for giving work up whose expiration now is one too many."""
        return self.expired_reason.format(count=lease.expirations + 1, error=error)


class LeasedWork(Generic[C]):
    """One attempt, as the code that does it sees it."""

    def __init__(self, system: System, claimed: C, heartbeat: LeaseHeartbeat) -> None:
        self.claimed = claimed
        self.heartbeat = heartbeat
        self.is_committed = False
        self._system = system

    @contextmanager
    def commit(self) -> Iterator[Connection]:
        """The one transaction that ends the work; the lease is not renewed during it.

        Raises:
            LeaseLost: another worker owns the row now, or the run was ended.
        """
        self.heartbeat.stop()
        if self.heartbeat.lost:
            raise LeaseLost
        with transaction(self._system.engine) as connection:
            yield connection
        self.is_committed = True

    def renew_again(self) -> None:
        """Renew the lease again after a commit that was rolled back, so that the work can go on."""
        self.heartbeat = self.heartbeat.restarted()


@contextmanager
def leased_work(
    system: System,
    kind: WorkKind,
    claim: Callable[[Connection], C | None],
    stopping: threading.Event | None = None,
    *,
    progress_column: str | None = None,
) -> Iterator[LeasedWork[C] | None]:
    """Claim work, renew its lease while the block runs, and write its outcome down.

    Yields None where the message is stale. The block has to `commit()`; what it raises after that passes through.

    Raises:
        Exception: what the block raised, after it was written down, so that Flower shows the failure; a lost lease and
            a shutdown raise nothing.
    """
    with transaction(system.engine) as connection:
        claimed = claim(connection)
    if claimed is None:
        log.info("message_stale", kind=kind.name)
        yield None
        return
    heartbeat = LeaseHeartbeat(system, claimed.lease, stopping, column=progress_column)
    work = LeasedWork(system, claimed, heartbeat)
    heartbeat.start()
    try:
        yield work
    except Exception as error:
        work.heartbeat.stop()
        if work.is_committed:
            raise
        if isinstance(error, Stopping) and work.heartbeat.lost:  # the decoder raises Stopping for any interruption
            error = LeaseLost()
        if _write_outcome(system, kind, claimed.lease, error):
            raise
    finally:
        work.heartbeat.stop()


def _write_outcome(system: System, kind: WorkKind, lease: Lease, error: Exception) -> bool:
    """Write down how an attempt ended that did not commit. Returns whether it failed."""
    settings, reason = system.settings, in_one_line(error)
    to_finish: UUID | None = None
    try:
        if isinstance(error, LeaseLost):
            raise error
        with transaction(system.engine) as connection:
            if isinstance(error, Stopping):
                release(connection, lease)
                log.info("work_released", kind=kind.name)
                return False
            counts = _counts(connection, system, lease, error)
            if isinstance(error, kind.fatal):
                to_finish = kind.fail(connection, lease, reason)
            elif counts == "error" and lease.errors + 1 >= settings.max_errors:
                reason = kind.errors_reason.format(count=lease.errors + 1, error=reason)
                to_finish = kind.give_up(connection, lease, reason)
            elif counts == "expiration" and lease.expirations + 1 >= settings.max_expirations:
                to_finish = kind.give_up(connection, lease, kind.expired_line(lease, reason.rstrip(".")))
            else:
                release(connection, lease, error=reason, backoff_s=settings.backoff_s, counts=counts)
    except LeaseLost:
        log.warning("lease_lost", kind=kind.name)
        return not isinstance(error, LeaseLost)
    log.warning("work_failed", kind=kind.name, reason=reason, counts=counts, errors=lease.errors + (counts == "error"))
    if isinstance(error, StoreFull):
        note_store_full(system, reason)
    if to_finish is not None:
        system.queue.send_finish(to_finish)
    return True


def _counts(connection: Connection, system: System, lease: Lease, error: Exception) -> Counts:
    """As what an attempt counts that ended with this error."""
    if is_outage(error):
        return "outage"
    if isinstance(error, TrialCrashed):
        return "expiration"
    if isinstance(error, TrialKilled | DecoderKilled):
        return "expiration" if is_evidence(connection, lease, system.settings, worker_lives=True) else "death"
    return "error"
