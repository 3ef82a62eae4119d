"""A random fault every few seconds while runs are asked for, by a seed that is printed; then the standard checks.

`make soak` takes 30 minutes; CHAOS_MINUTES takes another length, CHAOS_SEED repeats an order, CHAOS_JSON names a file
for the figures that docs/faults.md shows.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import psutil
import pytest
from redis import Redis
from sqlalchemy.exc import DBAPIError

from pipeline.errors import ServiceUnavailable
from pipeline.queue import FRAMES, keys_of
from tests.acceptance.faults.rig import Rig, pid_of
from tests.acceptance.faults.standard_checks import standard_checks
from tests.acceptance.faults.test_servers import port_of, through
from tests.soak.test_outages import FULL
from tests.support.analysis import MODEL
from tests.support.fault_proxy import FaultProxy, fault_proxy
from tests.support.harness import ask, export_bytes, kill, sql, wait_until
from tests.support.hostile_messages import UNREADABLE

SOAK_MINUTES = 30
MINUTES = float(os.environ.get("CHAOS_MINUTES", SOAK_MINUTES))
SEED = int(os.environ.get("CHAOS_SEED", random.SystemRandom().randrange(10**6)))
WORKERS = 2
#: Open runs at a time; each is the same clip of another team.
OPEN_RUNS = 6
SERVERS = ("broker_url", "database_url", "s3_endpoint")


class Chaos:
    """The system under faults: workers and a beat behind proxies, all started again when they end."""

    def __init__(self, rig: Rig, servers: Path, proxies: dict[str, FaultProxy]) -> None:
        self.rig, self.servers, self.proxies = rig, servers, proxies
        self.rng = random.Random(SEED)
        self.done: Counter[str] = Counter()
        self.kills = 0
        self.runs: list[UUID] = []
        self.settings = rig.settings
        for server, proxy in proxies.items():
            self.settings = through(self.settings, server, proxy)
        self.workers = [self._worker() for _ in range(WORKERS)]
        self.beat = rig.beat(settings=self.settings)

    def _worker(self):
        return self.rig.worker(slots=2, settings=self.settings, slow=0.02)

    def supervise(self) -> None:
        """Start again what has ended, as `poseline up` does."""
        self.workers = [each if each.poll() is None else self._worker() for each in self.workers]
        if self.beat.poll() is not None:
            self.beat = self.rig.beat(settings=self.settings)

    def ask(self) -> None:
        """Keep some runs open; a server that is just down is asked later."""
        open_runs = "SELECT count(*) FROM run WHERE state NOT IN ('done', 'failed')"
        try:
            for _ in range(OPEN_RUNS - int(str(sql(self.rig.system, open_runs)[0][0]))):
                self.runs.append(ask(self.rig.system, self.rig.clip, f"team {len(self.runs)}", MODEL))
        except (ServiceUnavailable, DBAPIError):
            self.rig.system.engine.dispose()

    # Each returns how many processes it killed.

    def kill_worker(self) -> int:
        kill(self.rng.choice(self.workers))
        return 1

    def kill_decoder(self) -> int:
        return self._kill(lambda zygote: zygote.children())

    def kill_zygote(self) -> int:
        return self._kill(lambda zygote: [zygote])

    def _kill(self, which: Callable[[psutil.Process], list[psutil.Process]]) -> int:
        killed = 0
        try:
            for zygote in psutil.Process(self.rng.choice(self.workers).pid).children():
                for process in which(zygote):
                    process.kill()
                    killed += 1
        except psutil.NoSuchProcess:
            pass
        return killed

    def deploy(self) -> int:
        """As a deploy does it: the next `supervise` starts another."""
        worker = self.rng.choice(self.workers)
        if worker.poll() is None:
            worker.send_signal(signal.SIGTERM)
            worker.wait(60)
        return 0

    def kill_beat(self) -> int:
        kill(self.beat)
        return 1

    def stop_worker_for_long(self) -> int:
        worker = self.rng.choice(self.workers)
        if worker.poll() is None:
            worker.send_signal(signal.SIGSTOP)
            self.pause(self.settings.lease_s * 2)
            worker.send_signal(signal.SIGCONT)
        return 0

    def kill_redis(self) -> int:
        return self._kill_server("valkey", signal.SIGKILL)

    def restart_postgres(self) -> int:
        return self._kill_server("postgres", signal.SIGQUIT)

    def _kill_server(self, name: str, number: int) -> int:
        if (pid := pid_of(self.servers, name)) is None:
            return 0
        os.kill(pid, number)
        wait_until(lambda: pid_of(self.servers, name) not in {None, pid}, 90, f"the new {name}")
        self.rig.system.engine.dispose()
        return 1

    def empty_redis(self) -> int:
        with Redis.from_url(self.rig.settings.broker_url.get_secret_value()) as redis:
            redis.flushdb()
        return 0

    def fill_redis(self) -> int:
        with Redis.from_url(self.rig.settings.broker_url.get_secret_value()) as redis:
            redis.config_set("maxmemory", 1)
            self.pause(self.rng.uniform(1, 6))
            redis.config_set("maxmemory", 0)
        return 0

    def send_hostile_messages(self) -> int:
        with Redis.from_url(self.rig.settings.broker_url.get_secret_value()) as redis:
            redis.lpush(keys_of(FRAMES)[0], *UNREADABLE.values())
        return 0

    def double_messages(self) -> int:
        for run_id, idx in sql(self.rig.system, "SELECT run_id, idx FROM chunk ORDER BY random() LIMIT 10"):
            self.rig.system.queue.send_detect(UUID(str(run_id)), int(str(idx)))
        return 0

    def reset_connections(self) -> int:
        self.proxies[self.rng.choice(SERVERS)].reset_all()
        return 0

    def freeze_server(self) -> int:
        return self._during(self.rng.choice(SERVERS), "frozen", True)

    def refuse_server(self) -> int:
        return self._during(self.rng.choice(SERVERS), "refusing", True)

    def slow_server(self) -> int:
        return self._during(self.rng.choice(SERVERS), "pause_s", 0.2)

    def fill_store(self) -> int:
        return self._during("s3_endpoint", "answer", FULL["s3_endpoint"])

    def _during(self, server: str, what: str, value: object) -> int:
        proxy = self.proxies[server]
        setattr(proxy, what, value)
        self.pause(self.rng.uniform(1, 6))
        proxy.heal()
        return 0

    def pause(self, seconds: float) -> None:
        """Let them work."""
        until_s = time.monotonic() + seconds
        wait_until(lambda: time.monotonic() > until_s, seconds + 10)

    FAULTS = (
        *(kill_worker, kill_decoder, kill_zygote, kill_beat, stop_worker_for_long, kill_redis, restart_postgres),
        *(empty_redis, double_messages, reset_connections, freeze_server, refuse_server, slow_server),
        *(deploy, fill_redis, fill_store, send_hostile_messages),
    )

    def go_on(self, minutes: float) -> None:
        """Do faults until the time is over, then leave everything in peace."""
        until_s = time.monotonic() + minutes * 60
        while time.monotonic() < until_s:
            self.ask()
            fault = self.rng.choice(self.FAULTS)
            try:
                self.kills += fault(self)
                self.done[fault.__name__] += 1
            except (ServiceUnavailable, DBAPIError):  # the fault itself needs a server that the last one took away
                self.rig.system.engine.dispose()
            self.supervise()
            self.pause(self.rng.uniform(0.5, 4))


@pytest.mark.timeout(int(MINUTES * 60) + 900)
def test_random_faults_lose_and_double_nothing(rig: Rig, servers: Path, tmp_path: Path) -> None:
    print(f"CHAOS_SEED={SEED}")  # noqa: T201  to repeat it
    system = rig.system
    opened = {server: fault_proxy(port_of(rig.settings, server)) for server in SERVERS}
    proxies = {server: proxy.__enter__() for server, proxy in opened.items()}
    try:
        chaos = Chaos(rig, servers, proxies)
        chaos.go_on(MINUTES)
        calm_at_s = time.monotonic()
        open_runs = "SELECT count(*) FROM run WHERE state NOT IN ('done', 'failed', 'cancelled')"

        def ended() -> bool:
            chaos.supervise()
            return sql(system, open_runs) == [(0,)]

        wait_until(ended, 300, "the end of every run")
        settled_s = time.monotonic() - calm_at_s
        rig.stop()
    finally:
        for proxy in opened.values():
            proxy.__exit__(None, None, None)
    wanted = len(rig.expected.splitlines()) * len(chaos.runs)
    [(frames, distinct)] = sql(system, "SELECT count(*), count(DISTINCT (run_id, frame)) FROM frame")
    done = [UUID(str(run_id)) for (run_id,) in sql(system, "SELECT id FROM run WHERE state = 'done'")]
    failed = sql(system, "SELECT reason FROM run WHERE state <> 'done'")
    differ = [each for each in done if export_bytes(system, each, tmp_path / f"{each}.jsonl") != rig.expected]
    figures = {
        "seed": SEED,
        "minutes": MINUTES,
        "soak_minutes": SOAK_MINUTES,
        "faults": sum(chaos.done.values()),
        "by_kind": {name.replace("_", " "): count for name, count in chaos.done.items()},
        "kills": chaos.kills,
        "runs": len(chaos.runs),
        "frames": frames,
        "lost": wanted - int(str(distinct)),
        "doubled": int(str(frames)) - int(str(distinct)),
        "given_up": sql(system, "SELECT count(*) FROM chunk WHERE state = 'quarantined'")[0][0],
        "settled_s": round(settled_s, 1),
    }
    print(json.dumps(figures, indent=1))  # noqa: T201
    if to := os.environ.get("CHAOS_JSON"):
        Path(to).write_text(json.dumps(figures, indent=1) + "\n")
    assert failed == []
    assert differ == []
    assert (figures["lost"], figures["doubled"]) == (0, 0)
    standard_checks(system, tmp_path)
