"""Which deaths of workers count against the work that they held.

A worker may die of its work, or be taken away with its machine; from one death nobody can tell. So the first ones of a
chunk count as nothing. After `SUSPECT_DEATHS` it is a suspect and is tried alone, in a process of its own
(`services.trial`). What happens to that process is evidence: a crash always; a kill, or the death of its worker with
it, where no other worker died at that time. In a fleet that loses workers all the time a kill says little, and it takes
`MOST_DEATHS` before it counts.

A video that is ingested and a run that is finished share their worker with chunks, and what is dangerous about them
runs in the decoder's sandbox: more of their deaths are free, and they are never given up while others die.
"""

from __future__ import annotations

from sqlalchemy import Connection

from pipeline.db.leases import Lease, LeaseKind
from pipeline.db.worker_deaths import others_died, others_lived
from pipeline.db.workers import ALIVE_S
from pipeline.settings import Settings

SUSPECT_DEATHS = 2
_FREE_DEATHS: dict[LeaseKind, int] = {"chunk": SUSPECT_DEATHS, "video": 5, "run": 5, "proxy": 5}
#: A chunk that has had so many is given up after `max_expirations` more, however many other workers die.
MOST_DEATHS = 20
#: For so long after the death of another worker a death is no evidence.
_UNREST_S = 600.0


def gone_s(settings: Settings) -> float:
    """A worker that has not reported for this long is dead; it reports three times as often."""
    return min(ALIVE_S, settings.lease_s)


def is_suspect(lease: Lease, settings: Settings) -> bool:
    """Whether a chunk is to be tried alone: it may kill its worker, or its next error is the last."""
    return lease.deaths >= SUSPECT_DEATHS or lease.errors >= max(1, settings.max_errors - 1)


def is_evidence(connection: Connection, lease: Lease, settings: Settings, *, worker_lives: bool) -> bool:
    """Whether a death under this lease counts against the work. For a chunk, it was tried alone if it is a suspect.

    Args:
        worker_lives: whether only the process died in which it was tried.
    """
    if lease.deaths < _FREE_DEATHS[lease.kind]:
        return False
    if lease.kind == "chunk" and lease.deaths >= MOST_DEATHS:
        return True
    late_s = gone_s(settings) * 2 / 3
    if others_died(connection, lease, _UNREST_S, late_s):
        return False
    return worker_lives or others_lived(connection, lease, late_s)
