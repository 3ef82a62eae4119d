"""Redis, Postgres and the object store that die, reset, fill up, or break off in mid-sentence, under a run at work."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from pydantic import SecretStr
from redis import Redis
from sqlalchemy import make_url

from pipeline.cli.main import main
from pipeline.db.engine import transaction
from pipeline.db.uploads import insert_video
from pipeline.errors import ServiceUnavailable
from pipeline.inference.engines.placement import Placement
from pipeline.services.detect import detect_chunk
from pipeline.services.finish import finish_run
from pipeline.services.model_cache import ModelCache
from pipeline.services.reconcile import tick
from pipeline.settings import Settings
from tests.acceptance.faults.rig import SLOW_S, Rig, pid_of
from tests.acceptance.faults.standard_checks import open_uploads, standard_checks
from tests.conftest import admin_url, opened
from tests.support.analysis import analyse
from tests.support.fault_proxy import FaultProxy, fault_proxy
from tests.support.harness import sql, wait_until


def through(settings: Settings, name: str, proxy: FaultProxy) -> Settings:
    """Settings of which one server is reached through a proxy."""
    secret: Any = getattr(settings, name)
    if name == "s3_endpoint":
        return settings.model_copy(update={name: f"http://127.0.0.1:{proxy.port}"})
    url = make_url(secret.get_secret_value()).set(host="127.0.0.1", port=proxy.port)
    return settings.model_copy(update={name: SecretStr(url.render_as_string(hide_password=False))})


def port_of(settings: Settings, name: str) -> int:
    value: Any = getattr(settings, name)
    port = urlsplit(value if isinstance(value, str) else value.get_secret_value()).port
    assert port is not None
    return port


@contextmanager
def administrator(servers: Path) -> Iterator[psycopg.Connection]:
    with psycopg.connect(admin_url(servers), autocommit=True) as connection:
        yield connection


def test_redis_full(rig: Rig) -> None:
    """It takes no message: what was to be sent waits in Postgres, and is sent when there is room."""
    rig.beat()
    worker = rig.worker(slow=0.01)
    wait_until(lambda: rig.said(" ready."), 60, "a worker")
    with Redis.from_url(rig.settings.broker_url.get_secret_value()) as redis:
        redis.config_set("maxmemory", 1)
        try:
            rig.ask()
            wait_until(lambda: rig.said("when used memory > 'maxmemory'"), 60, "a refused message")
            assert sql(rig.system, "SELECT state FROM video") == [("stored",)]
        finally:
            redis.config_set("maxmemory", 0)
    rig.hit()
    rig.check("redis full")
    assert worker.returncode == 0, "the worker did not survive it"


def test_a_redis_that_evicts_is_refused(rig: Rig, configured: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    with Redis.from_url(rig.settings.broker_url.get_secret_value()) as redis:
        redis.config_set("maxmemory-policy", "allkeys-lru")
        try:
            assert main(["doctor", "--json"]) == 1
        finally:
            redis.config_set("maxmemory-policy", "noeviction")
    assert "Redis may evict messages (maxmemory-policy allkeys-lru); set it to noeviction" in capsys.readouterr().out


@pytest.mark.parametrize("server", ["broker_url", "database_url"])
def test_connections_reset_in_mid_chunk(rig: Rig, server: str) -> None:
    with fault_proxy(port_of(rig.settings, server)) as proxy:
        rig.beat()
        rig.worker(settings=through(rig.settings, server, proxy), slow=SLOW_S)
        rig.ask()
        rig.mid_chunk()
        assert proxy.reset_all() > 0
        rig.hit()
        rig.check(f"reset {server}")
        assert sql(rig.system, "SELECT max(attempts) <= 2 FROM chunk") == [(True,)]


def test_postgres_restarted_at_once(rig: Rig, servers: Path) -> None:
    """As after a crash: nothing is shut down, every connection ends."""
    pid = pid_of(servers, "postgres")
    assert pid is not None
    rig.beat()
    worker = rig.worker(slow=SLOW_S)
    rig.ask()
    rig.mid_chunk()
    rig.system.engine.dispose()
    os.kill(pid, signal.SIGQUIT)
    rig.hit()
    wait_until(lambda: pid_of(servers, "postgres") not in {None, pid}, 60, "the new Postgres")
    rig.check("postgres restart")
    assert worker.returncode == 0, "the worker did not survive it"


def test_no_connection_left(rig: Rig, servers: Path) -> None:
    """The database takes no further connection, and those of the worker end: it waits, and no work is given up."""
    name = rig.system.engine.url.database
    rig.beat()
    worker = rig.worker(slow=SLOW_S)
    rig.ask()
    rig.mid_chunk()
    with administrator(servers) as connection:
        connection.execute(f"ALTER DATABASE {name} CONNECTION LIMIT 0".encode())
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        wait_until(lambda: rig.said("too many connections"), 60, "a refused connection")
        connection.execute(f"ALTER DATABASE {name} CONNECTION LIMIT -1".encode())
    rig.system.engine.dispose()
    rig.hit()
    rig.check("no connection left")
    assert worker.returncode == 0
    assert sql(rig.system, "SELECT sum(errors) FROM chunk") == [(0,)]


PAUSED_COMMIT = """
CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(4); RETURN NEW; END';
CREATE TRIGGER pause AFTER UPDATE ON chunk FOR EACH ROW
WHEN (NEW.state = 'done' AND NEW.attempts = 1 AND NEW.idx = 0) EXECUTE FUNCTION pause()
"""


def test_a_deadlock_is_no_failure(rig: Rig, servers: Path) -> None:
    """Another session holds the run and wants the chunk; the commit holds the chunk, wants the run, and is ended."""
    name = rig.system.engine.url.database
    with administrator(servers) as connection:
        connection.execute(f"ALTER DATABASE {name} SET deadlock_timeout = '10ms'".encode())
    rig.system.engine.dispose()
    for statement in PAUSED_COMMIT.split(";\n"):
        sql(rig.system, statement)
    rig.beat()
    rig.worker()
    rig.ask()
    asleep = "SELECT 1 FROM pg_stat_activity WHERE datname = :name AND wait_event = 'PgSleep'"
    wait_until(lambda: sql(rig.system, asleep, name=name), 60, "a commit that has its chunk")
    url = make_url(admin_url(servers)).set(database=name).render_as_string(hide_password=False)
    with psycopg.connect(url) as other:
        other.execute("SET LOCAL deadlock_timeout = '30s'")
        other.execute("SELECT FROM run FOR UPDATE")
        other.execute("SELECT FROM chunk WHERE idx = 0 FOR UPDATE")  # until the commit is ended
        rig.hit()
    rig.check("deadlock")
    assert rig.said("deadlock detected")
    assert sql(rig.system, "SELECT sum(errors), sum(expirations), max(attempts) FROM chunk") == [(0, 0, 2)]


def test_an_answer_to_a_commit_that_is_lost(rig: Rig) -> None:
    """The first commit that ends a chunk arrives, its answer does not: the chunk is done, and not analysed again."""
    copying: set[int] = set()
    cut: list[int] = []

    def is_first_commit(connection: int, data: bytes) -> bool:
        if b"COPY frame" in data:
            copying.add(connection)
        if cut or connection not in copying or b"COMMIT" not in data:
            return False
        cut.append(connection)
        return True

    system = rig.system
    run_id = analyse(system, rig.clip, put=False, chunks=())
    with (
        fault_proxy(port_of(rig.settings, "database_url"), is_first_commit) as proxy,
        opened(through(rig.settings, "database_url", proxy)) as cut_off,
        pytest.raises(ServiceUnavailable),
    ):
        detect_chunk(cut_off, ModelCache(cut_off, Placement("cpu")), run_id, 0, "w")
    assert cut, "no commit was cut off"
    assert sql(system, "SELECT state FROM chunk WHERE idx = 0") == [("done",)]
    models = ModelCache(system, Placement("cpu"))
    for idx in (0, 0, 1, 2, 3):  # as the message of the first comes again
        detect_chunk(system, models, run_id, idx, "w")
    finish_run(system, run_id, "w")
    assert sql(system, "SELECT DISTINCT attempts, errors FROM chunk") == [(1, 0)], "what was done was done again"
    standard_checks(system, rig.folder, {run_id: rig.expected}, messages=False)


ANSWERS = {
    "500": b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    "503": b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
}


@pytest.mark.parametrize("fault", [pytest.param("500", marks=pytest.mark.soak), "503", "cut", "slow"])
def test_an_object_store_that_fails(rig: Rig, fault: str) -> None:
    """It answers with errors, breaks off bodies or takes its time while chunks are read; nothing is half read."""
    with fault_proxy(port_of(rig.settings, "s3_endpoint")) as proxy:
        rig.ask()
        rig.beat()
        rig.worker(queues="control")
        wait_until(lambda: sql(rig.system, "SELECT 1 FROM video WHERE state = 'ready'"), 60, "the frame index")
        if fault == "slow":
            proxy.pause_s = 0.05
        elif fault == "cut":
            proxy.cut_after_bytes = 5_000
        else:
            proxy.answer = ANSWERS[fault]
        rig.worker(queues="frames", settings=through(rig.settings, "s3_endpoint", proxy))
        wait_until(lambda: proxy.hit >= 2, 60, "requests that fail")
        if fault != "slow":
            wait_until(lambda: sql(rig.system, "SELECT 1 FROM chunk WHERE last_error LIKE '%object store%'"), 60)
        proxy.heal()
        rig.hit()
        rig.check(f"store {fault}")
        assert sql(rig.system, "SELECT sum(errors), sum(expirations) FROM chunk") == [(0, 0)]


def test_an_upload_in_parts_whose_client_died(rig: Rig) -> None:
    """Its parts are aborted with its row; those of an upload under way stay."""
    with transaction(rig.system.engine) as connection:
        _, key = insert_video(connection, "team", "v.mp4", bucket=rig.system.store.bucket)
    client = rig.system.store._client
    begun = client.create_multipart_upload(Bucket=rig.system.store.bucket, Key=key)
    client.upload_part(
        Bucket=rig.system.store.bucket, Key=key, UploadId=begun["UploadId"], PartNumber=1, Body=bytes(5 << 20)
    )
    with opened(rig.settings) as system:
        tick(system)
        assert open_uploads(rig.system) == [key], "an upload under way was aborted"
        sql(rig.system, "UPDATE video SET created_at = now() - interval '8 days'")
        tick(system)
    standard_checks(rig.system, rig.folder)
    assert sql(rig.system, "SELECT count(*) FROM video") == [(0,)]
