"""Whether a service answers, checked with this stack's credentials.

A server of another stack that listens on the port is thus not mistaken for ours.
"""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING

import psutil

from pipeline.core.beat_report import BEAT_KEY, read_beat_report
from pipeline.local.home import Stack
from pipeline.local.ports import LOOPBACK, MAIN_PORT

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PROBE_BUCKET = "poseline-health"
_TIMEOUT_S = 2
#: A worker reports every 5 s; see `pipeline.db.workers`, which takes longer to import than to ask.
_REPORTS_WITHIN_S = 15.0
_SAMPLE_S = 0.25
_SAMPLE_CPU_S = 0.02


class Health(StrEnum):
    """How a live process answers.

    `REFUSES`: not as it should, as while it recovers. `COMPUTES`: not at all, but it is at work, as a worker that loads
    a large model. `SILENT`: not at all. `UNKNOWN`: it would answer through a server that does not answer itself.
    """

    ANSWERS = "answers"
    REFUSES = "refuses"
    COMPUTES = "computes"
    SILENT = "silent"
    UNKNOWN = "unknown"


def is_healthy(name: str, stack: Stack, pid: int) -> bool:
    """Whether one service answers."""
    return check_health(name, stack, pid) is Health.ANSWERS


def check_health(name: str, stack: Stack, pid: int) -> Health:
    """How one service answers. Client libraries are imported on first use: they are slow."""
    if is_stopped(pid):
        return Health.SILENT
    if name in MAIN_PORT and not _listens(stack.ports[MAIN_PORT[name]]):
        return Health.COMPUTES if name == "live" and _computes(pid) else Health.SILENT  # it loads its model
    return {
        "postgres": lambda: _postgres(stack),
        "valkey": lambda: _valkey(stack),
        "seaweedfs": lambda: _seaweedfs(stack),
        "worker": lambda: _worker(stack, pid),
        "beat": lambda: _beat(stack, pid),
        "flower": lambda: _page(stack.ports["flower"], "/healthcheck", pid),
        "web": lambda: _page(stack.ports["web"], "/api/v1/health", pid),
        "live": lambda: _page(stack.ports["live"], "/health", pid),
    }[name]()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(_TIMEOUT_S)
        return probe.connect_ex((LOOPBACK, port)) == 0


def _postgres(stack: Stack) -> Health:
    return _query(stack, "postgres", "SELECT 1")[0]


def _query(stack: Stack, database: str, statement: str, *values: object) -> tuple[Health, object]:
    """How Postgres answers a query, and the first column of the first row."""
    import psycopg  # noqa: PLC0415
    from psycopg.errors import ConnectionTimeout  # noqa: PLC0415

    try:
        with psycopg.connect(
            host=LOOPBACK,
            port=stack.ports["postgres"],
            dbname=database,
            user="postgres",
            password=stack.postgres_admin_password,
            connect_timeout=_TIMEOUT_S,
            sslmode="disable",
            options=f"-c statement_timeout={_TIMEOUT_S * 1000}",
        ) as connection:
            row = connection.execute(statement.encode(), values).fetchone()
            return Health.ANSWERS, row and row[0]
    except ConnectionTimeout:
        return Health.SILENT, None
    except psycopg.Error:
        return Health.REFUSES, None


def _valkey(stack: Stack) -> Health:
    return _ask_valkey(stack)[0]


def _ask_valkey(stack: Stack) -> tuple[Health, bytes | None, int]:
    """How Valkey answers, and beat's report there with the milliseconds until it expires."""
    import redis  # noqa: PLC0415
    from redis.backoff import NoBackoff  # noqa: PLC0415
    from redis.retry import Retry  # noqa: PLC0415

    client = redis.Redis(
        host=LOOPBACK,
        port=stack.ports["valkey"],
        password=stack.valkey_password,
        socket_timeout=_TIMEOUT_S,
        socket_connect_timeout=_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        pipeline = client.pipeline()
        pipeline.get(BEAT_KEY)
        pipeline.pttl(BEAT_KEY)
        value, expires_in_ms = pipeline.execute()
    except (redis.TimeoutError, redis.ConnectionError) as error:
        known = isinstance(error, redis.AuthenticationError | redis.BusyLoadingError)
        return Health.REFUSES if known else Health.SILENT, None, 0
    except redis.RedisError:
        return Health.REFUSES, None, 0
    finally:
        client.close()
    return Health.ANSWERS, value, expires_in_ms


def _worker(stack: Stack, pid: int) -> Health:
    """A worker that waits for messages holds a connection to the broker; a hung one does, too, but does not report."""
    if _valkey(stack) is not Health.ANSWERS:
        return Health.UNKNOWN
    if stack.ports["valkey"] in _ports(pid, psutil.CONN_ESTABLISHED):
        reported = "SELECT clock_timestamp() - seen_at < make_interval(secs => %s) FROM worker WHERE pid = %s"
        asked, recently = _query(stack, "poseline", f"{reported} ORDER BY seen_at DESC LIMIT 1", _REPORTS_WITHIN_S, pid)
        if asked is not Health.ANSWERS:
            return Health.UNKNOWN
        if recently:
            return Health.ANSWERS
    return Health.COMPUTES if _computes(pid) else Health.SILENT


def _beat(stack: Stack, pid: int) -> Health:
    asked, value, expires_in_ms = _ask_valkey(stack)
    if asked is not Health.ANSWERS:
        return Health.UNKNOWN
    report = read_beat_report(value, expires_in_ms)
    return Health.ANSWERS if report is not None and report.pid == pid else Health.SILENT


def _seaweedfs(stack: Stack) -> Health:
    return _request_store(stack, lambda s3: s3.list_buckets())


def accepts_objects(stack: Stack) -> bool:
    """Whether the object store writes and reads. It lists buckets before its volumes are ready."""

    def write_and_read(s3: S3Client) -> None:
        # In a bucket of its own: in a user's it would leave versions.
        with suppress(s3.exceptions.BucketAlreadyOwnedByYou, s3.exceptions.BucketAlreadyExists):
            s3.create_bucket(Bucket=PROBE_BUCKET)
        s3.put_object(Bucket=PROBE_BUCKET, Key="probe", Body=b"?")
        s3.get_object(Bucket=PROBE_BUCKET, Key="probe")["Body"].read()

    return _request_store(stack, write_and_read) is Health.ANSWERS


def _request_store(stack: Stack, request: Callable[[S3Client], object]) -> Health:
    import boto3  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    client = boto3.client(
        "s3",
        endpoint_url=f"http://{LOOPBACK}:{stack.ports['s3']}",
        region_name="us-east-1",
        aws_access_key_id=stack.s3_access_key,
        aws_secret_access_key=stack.s3_secret_key,
        config=Config(
            signature_version="s3v4",
            connect_timeout=_TIMEOUT_S,
            read_timeout=_TIMEOUT_S,
            retries={"total_max_attempts": 1},
            proxies={},
        ),
    )
    try:
        request(client)
    except BotoCoreError:
        return Health.SILENT
    except ClientError:
        return Health.REFUSES
    finally:
        client.close()
    return Health.ANSWERS


def _page(port: int, path: str, pid: int) -> Health:
    """Whether this very process answers there: the page needs no password, so that any would."""
    if port not in _ports(pid, psutil.CONN_LISTEN):
        return Health.SILENT
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", path)
        return Health.ANSWERS if connection.getresponse().status == 200 else Health.REFUSES
    except (OSError, http.client.HTTPException):
        return Health.SILENT
    finally:
        connection.close()


def is_stopped(pid: int) -> bool:
    """Whether a process was stopped by a signal: its kernel buffers answer for a while, it cannot."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_STOPPED
    except psutil.Error:
        return False


def _computes(pid: int) -> bool:
    """Whether a process uses the processor."""
    try:
        process = psutil.Process(pid)
        before = process.cpu_times()
        time.sleep(_SAMPLE_S)
        after = process.cpu_times()
    except psutil.Error:
        return False
    return after.user + after.system - before.user - before.system >= _SAMPLE_CPU_S


def _ports(pid: int, status: str) -> set[int]:
    """The ports that a process listens on, or the remote ones that it is connected to."""
    try:
        found = [c for c in psutil.Process(pid).net_connections(kind="tcp") if c.status == status]
    except psutil.Error:
        return set()
    ends = [c.laddr if status == psutil.CONN_LISTEN else c.raddr for c in found]
    return {end.port for end in ends if end}
