"""Each server refused, half open, full or slow for a while: no busy loop meanwhile, and recovery within 60 s."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import pytest

from tests.acceptance.faults.rig import SLOW_S, Rig
from tests.acceptance.faults.test_servers import ANSWERS, port_of, through
from tests.support.fault_proxy import FaultProxy, fault_proxy
from tests.support.harness import sql, wait_until

OUTAGE_S = 15.0
#: Of one processor. A loop without a pause takes all of it.
BUSY = 0.3

SERVERS = ("broker_url", "database_url", "s3_endpoint")
#: What each server says when it is full.
FULL = {
    "broker_url": b"-OOM command not allowed when used memory > 'maxmemory'.\r\n",
    "s3_endpoint": ANSWERS["503"].replace(b"503 Slow Down", b"507 Insufficient Storage"),
}


def refuse(proxy: FaultProxy, server: str) -> None:
    proxy.refusing = True
    proxy.reset_all()


def freeze(proxy: FaultProxy, server: str) -> None:
    proxy.frozen = True


def fill(proxy: FaultProxy, server: str) -> None:
    proxy.answer = FULL[server]


def slow(proxy: FaultProxy, server: str) -> None:
    proxy.pause_s = 0.5


FAULTS: dict[str, Callable[[FaultProxy, str], None]] = {"refused": refuse, "frozen": freeze, "full": fill, "slow": slow}


@contextmanager
def processor_share(pid: int) -> Iterator[list[float]]:
    """The share of one processor that a process uses during a block."""
    process, share = psutil.Process(pid), [0.0]
    before, begun_s = process.cpu_times(), time.monotonic()
    yield share
    after = process.cpu_times()
    share[0] = (after.user + after.system - before.user - before.system) / (time.monotonic() - begun_s)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("fault", FAULTS)
def test_recovery_from_an_outage(rig: Rig, server: str, fault: str) -> None:
    if fault == "full" and server == "database_url":
        pytest.skip("a Postgres without room refuses single statements: fault 16 has one that takes no connection")
    with fault_proxy(port_of(rig.settings, server)) as proxy:
        settings = through(rig.settings, server, proxy)
        rig.beat(settings=settings)
        worker = rig.worker(settings=settings, slow=SLOW_S)
        rig.ask()
        rig.mid_chunk()
        FAULTS[fault](proxy, server)
        with processor_share(worker.pid) as share:
            over_s = time.monotonic() + OUTAGE_S
            wait_until(lambda: time.monotonic() > over_s, OUTAGE_S + 5, "the end of the outage")
        proxy.heal()
        rig.hit()
        rig.check(f"{server} {fault}", timeout_s=60)
        assert worker.returncode == 0, "the worker did not survive it"
        assert share[0] < BUSY, f"it used {share[0]:.0%} of a processor while {server} was {fault}"
        assert sql(rig.system, "SELECT sum(errors) FROM chunk") == [(0,)]
