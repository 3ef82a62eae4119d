"""Each server refused, half open, full or slow for a while: what tries it meanwhile, and how soon all is well again.

Nobody may ask a server that is away in a loop, so the processor's share, the connections made and the lines logged
during the outage are counted. Nothing may be lost or counted as an error, and the run ends within 60 s.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable

import psutil
import pytest

from pipeline.settings import Settings
from tests.acceptance.faults.rig import SLOW_S, Rig
from tests.acceptance.faults.test_servers import ANSWERS, port_of, through
from tests.support.fault_proxy import FaultProxy, fault_proxy
from tests.support.harness import sql, wait_until

OUTAGE_S, LONG_OUTAGE_S = 15.0, 150.0
PACE = ("lease_s", "tick_s", "resend_after_s", "backoff_s", "stall_s")
#: Of one processor, for each process. A loop without a pause takes all of it.
BUSY = 0.3
#: Three processes with a handful of connections each, all lost and tried again a few times; a loop makes thousands.
MOST_CONNECTIONS, MOST_EVENTS = 200, 300

SERVERS = ("broker_url", "database_url", "s3_endpoint")
#: What Redis and the object store say when they are full.
FULL = {
    "broker_url": b"-OOM command not allowed when used memory > 'maxmemory'.\r\n",
    "s3_endpoint": ANSWERS["503"].replace(b"503 Slow Down", b"507 Insufficient Storage"),
}
#: What Postgres says when it has no room for a row, from every table.
FULL_POSTGRES = """
CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full';
END $$;
DO $$ DECLARE name text; BEGIN FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
    EXECUTE format('CREATE TRIGGER no_room BEFORE INSERT OR UPDATE ON %I EXECUTE FUNCTION no_room()', name);
END LOOP; END $$
"""


def refuse(rig: Rig, proxy: FaultProxy, server: str) -> None:
    proxy.refusing = True
    proxy.reset_all()


def freeze(rig: Rig, proxy: FaultProxy, server: str) -> None:
    proxy.frozen = True


def fill(rig: Rig, proxy: FaultProxy, server: str) -> None:
    if server == "database_url":
        sql(rig.system, FULL_POSTGRES)
    else:
        proxy.answer = FULL[server]


def slow(rig: Rig, proxy: FaultProxy, server: str) -> None:
    proxy.pause_s = 0.5


FAULTS: dict[str, Callable[[Rig, FaultProxy, str], None]] = {
    "refused": refuse,
    "frozen": freeze,
    "full": fill,
    "slow": slow,
}


def end(rig: Rig, proxy: FaultProxy) -> None:
    """End the outage."""
    proxy.heal()
    sql(rig.system, "DROP FUNCTION IF EXISTS no_room CASCADE")


def processor_s(process: subprocess.Popen[bytes]) -> float:
    used = psutil.Process(process.pid).cpu_times()
    return used.user + used.system


def events(rig: Rig) -> int:
    """The lines that were logged, without those of tracebacks."""
    return rig.running.count("Z [")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("fault", FAULTS)
def test_recovery_from_an_outage(rig: Rig, server: str, fault: str) -> None:
    with fault_proxy(port_of(rig.settings, server)) as proxy:
        settings = through(rig.settings, server, proxy)
        beat = rig.beat(settings=settings)
        workers = [rig.worker(settings=settings, slow=SLOW_S) for _ in range(2)]
        rig.ask()
        rig.mid_chunk()
        processes = (beat, *workers)
        used_before_s = [processor_s(each) for each in processes]
        logged_before, connected_before = events(rig), proxy.connections
        FAULTS[fault](rig, proxy, server)
        begun_s = time.monotonic()
        wait_until(lambda: time.monotonic() > begun_s + OUTAGE_S, OUTAGE_S + 5, "the end of the outage")
        lasted_s = time.monotonic() - begun_s
        shares = [
            (processor_s(each) - before) / lasted_s for each, before in zip(processes, used_before_s, strict=True)
        ]
        logged, connected = events(rig) - logged_before, proxy.connections - connected_before
        end(rig, proxy)
        rig.hit()
        rig.check(f"{server} {fault}", timeout_s=60)
    assert [each.returncode for each in workers] == [0, 0], "a worker did not survive it"
    assert max(shares) < BUSY, f"{max(shares):.0%} of a processor while {server} was {fault}"
    assert connected <= MOST_CONNECTIONS, "tried in a loop"
    assert logged <= MOST_EVENTS, "logged in a loop"
    assert sql(rig.system, "SELECT sum(errors) FROM chunk") == [(0,)]


@pytest.mark.timeout(500)
@pytest.mark.parametrize("server", SERVERS)
def test_recovery_from_a_long_outage_with_the_settings_of_production(rig: Rig, server: str) -> None:
    """Long enough for every pause to have grown as long as it may; leases expire, too."""
    usual = {name: Settings.model_fields[name].default for name in PACE}
    with fault_proxy(port_of(rig.settings, server)) as proxy:
        settings = through(rig.settings, server, proxy).model_copy(update=usual)
        rig.beat(settings=settings)
        worker = rig.worker(settings=settings, slow=SLOW_S)
        rig.ask()
        rig.mid_chunk()
        refuse(rig, proxy, server)
        begun_s = time.monotonic()
        wait_until(lambda: time.monotonic() > begun_s + LONG_OUTAGE_S, LONG_OUTAGE_S + 5, "the end of the outage")
        proxy.heal()
        rig.hit()
        rig.check(f"{server} long", timeout_s=60)
    assert worker.returncode == 0, "the worker did not survive it"
    assert sql(rig.system, "SELECT sum(errors), sum(expirations) FROM chunk") == [(0, 0)]


def test_workers_come_back_to_redis_at_different_times(rig: Rig) -> None:
    """So that a thousand that lost the same Redis do not connect together, again and again."""
    with fault_proxy(port_of(rig.settings, "broker_url")) as proxy:
        for _ in range(2):
            rig.worker(settings=through(rig.settings, "broker_url", proxy))
        wait_until(lambda: rig.running.count(" ready.") == 2, 60, "two workers")
        refuse(rig, proxy, "broker_url")

        def pauses() -> list[list[str]]:
            logs = [path.read_text(errors="replace") for path in sorted((rig.folder / "logs").glob("worker-*.log"))]
            return [re.findall(r"Trying again in ([\d.]+) seconds", log)[:3] for log in logs]

        wait_until(lambda: all(len(each) == 3 for each in pauses()), 60, "three tries of each")
        proxy.heal()
        first, second = pauses()
    assert all(one != other for one, other in zip(first, second, strict=True))
