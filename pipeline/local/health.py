"""Whether a service answers, checked with this stack's credentials.

A server of another stack that listens on the port is thus not mistaken for ours.
"""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil

from pipeline.local.home import Stack
from pipeline.local.ports import LOOPBACK, MAIN_PORT

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PROBE_BUCKET = "poseline-health"
_TIMEOUT_S = 2
_BEAT_STARTED_S = 2.0


def is_healthy(name: str, stack: Stack, pid: int) -> bool:
    """Whether one service answers. Client libraries are imported on first use: they are slow."""
    if name in MAIN_PORT and not _listens(stack.ports[MAIN_PORT[name]]):
        return False
    return {
        "postgres": lambda: _postgres(stack),
        "valkey": lambda: _valkey(stack),
        "seaweedfs": lambda: _seaweedfs(stack),
        # A worker holds a connection to the broker once it waits for messages.
        "worker": lambda: stack.ports["valkey"] in _ports(pid, psutil.CONN_ESTABLISHED),
        "beat": lambda: _age_s(pid) > _BEAT_STARTED_S,
        # Its health page needs no password, so check that this very process listens.
        "flower": lambda: stack.ports["flower"] in _ports(pid, psutil.CONN_LISTEN) and _flower(stack),
    }[name]()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(_TIMEOUT_S)
        return probe.connect_ex((LOOPBACK, port)) == 0


def _postgres(stack: Stack) -> bool:
    import psycopg  # noqa: PLC0415

    try:
        with psycopg.connect(
            host=LOOPBACK,
            port=stack.ports["postgres"],
            dbname="postgres",
            user="postgres",
            password=stack.postgres_admin_password,
            connect_timeout=_TIMEOUT_S,
            sslmode="disable",
        ) as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
    except psycopg.Error:
        return False


def _valkey(stack: Stack) -> bool:
    import redis  # noqa: PLC0415

    client = redis.Redis(
        host=LOOPBACK, port=stack.ports["valkey"], password=stack.valkey_password, socket_timeout=_TIMEOUT_S
    )
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()


def _seaweedfs(stack: Stack) -> bool:
    return _request_store(stack, lambda s3: s3.list_buckets())


def accepts_objects(stack: Stack) -> bool:
    """Whether the object store writes and reads. It lists buckets before its volumes are ready."""

    def write_and_read(s3: S3Client) -> None:
        # In a bucket of its own: in a user's it would leave versions.
        with suppress(s3.exceptions.BucketAlreadyOwnedByYou, s3.exceptions.BucketAlreadyExists):
            s3.create_bucket(Bucket=PROBE_BUCKET)
        s3.put_object(Bucket=PROBE_BUCKET, Key="probe", Body=b"?")
        s3.get_object(Bucket=PROBE_BUCKET, Key="probe")["Body"].read()

    return _request_store(stack, write_and_read)


def _request_store(stack: Stack, request: Callable[[S3Client], object]) -> bool:
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
    except (BotoCoreError, ClientError):
        return False
    finally:
        client.close()
    return True


def _flower(stack: Stack) -> bool:
    connection = http.client.HTTPConnection(LOOPBACK, stack.ports["flower"], timeout=_TIMEOUT_S)
    try:
        connection.request("GET", "/healthcheck")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _age_s(pid: int) -> float:
    """Seconds since a process started; 0 if there is none."""
    try:
        return time.time() - psutil.Process(pid).create_time()
    except psutil.Error:
        return 0.0


def _ports(pid: int, status: str) -> set[int]:
    """The ports that a process listens on, or the remote ones that it is connected to."""
    try:
        found = [c for c in psutil.Process(pid).net_connections(kind="tcp") if c.status == status]
    except psutil.Error:
        return set()
    ends = [c.laddr if status == psutil.CONN_LISTEN else c.raddr for c in found]
    return {end.port for end in ends if end}
