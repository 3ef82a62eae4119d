"""The scripts in docker/, run on the same versions of the servers, from their wheels."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr
from redis import Redis
from redis.exceptions import RedisError

from pipeline.local import stack
from pipeline.local.servers import postgres_binary, valkey_binary, weed_binary
from pipeline.settings import Settings
from pipeline.storage.objects import build_object_store
from tests.support.compose_file import COMPOSE, DOCKER, ROOT, SERVICES, variables


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(check: Callable[[], object], *, for_s: float = 30.0) -> None:
    until = time.monotonic() + for_s
    while True:
        try:
            if check():
                return
        except Exception:  # noqa: BLE001 - not there yet, whatever the client calls it
            pass
        assert time.monotonic() < until, "it never came up"
        time.sleep(0.05)


@contextmanager
def _running(args: list[str], env: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        process = subprocess.Popen(
            args, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _arguments(process: subprocess.Popen[bytes]) -> str:
    return Path(f"/proc/{process.pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def _path_with(tmp_path: Path, **binaries: str) -> str:
    folder = tmp_path / "bin"
    folder.mkdir(exist_ok=True)
    for name, target in binaries.items():
        (folder / name.replace("_", "-")).symlink_to(target)
    return f"{folder}:/usr/bin:/bin"


@pytest.mark.parametrize("path", sorted(DOCKER.glob("*.sh")), ids=lambda path: path.name)
def test_every_script_is_plain_sh_that_stops_at_the_first_error(path: Path) -> None:
    subprocess.run(["sh", "-n", str(path)], check=True)
    lines = path.read_text().splitlines()
    assert lines[0] == "#!/bin/sh"
    assert next(line for line in lines if not line.startswith("#")) == "set -eu"
    # Postgres's entrypoint runs what may be executed, and would source what may not.
    assert os.access(path, os.X_OK)


def test_make_env_fills_in_every_secret_once(tmp_path: Path) -> None:
    (tmp_path / "docker").mkdir()
    shutil.copy(DOCKER / "make-env.sh", tmp_path / "docker")
    shutil.copy(ROOT / ".env.example", tmp_path)
    script = ["sh", str(tmp_path / "docker" / "make-env.sh")]
    subprocess.run(script, check=True, capture_output=True)
    written = tmp_path / ".env"
    values = dict(line.split("=", 1) for line in written.read_text().splitlines() if re.match("[A-Z]", line))
    assert values.keys() == {name for name, how, _ in variables(COMPOSE) if how == ":?"}
    assert all(re.fullmatch(r"[0-9a-f]{48}", value) for value in values.values())
    assert len(set(values.values())) == len(values)
    assert written.stat().st_mode & 0o777 == 0o600
    again = subprocess.run(script, check=False, capture_output=True, text=True)
    assert again.returncode == 1
    assert "exists already" in again.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == [".env", ".env.example", "docker"]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[str]:
    """The URL of a Valkey that docker/valkey.sh started."""
    port, password = _free_port(), secrets.token_hex(12)
    for name in ("run", "data"):
        (tmp_path / name).mkdir()
    env = {
        "PATH": _path_with(tmp_path, valkey_server=valkey_binary()),
        "VALKEYCLI_AUTH": password,
        "RUN_DIR": str(tmp_path / "run"),
        "DATA_DIR": str(tmp_path / "data"),
        "BIND": "127.0.0.1",
        "PORT": str(port),
    }
    url = f"redis://default:{password}@127.0.0.1:{port}/0"
    with (
        _running(["sh", str(DOCKER / "valkey.sh")], env, tmp_path / "valkey.log"),
        Redis.from_url(url) as client,
    ):
        _wait_for(client.ping)
        yield url


def test_valkey_keeps_what_it_was_given_and_asks_for_its_password(broker: str, tmp_path: Path) -> None:
    password = broker.split(":")[2].partition("@")[0]
    assert (tmp_path / "run" / "valkey.conf").stat().st_mode & 0o777 == 0o600
    with Redis.from_url(broker) as client:
        memory: Any = client.info("memory")
        assert memory["maxmemory_policy"] == "noeviction"
        assert 0 < memory["maxmemory"] * 2 < 768 * 2**20  # twice it must fit into the container
        persistence: Any = client.info("persistence")
        assert persistence["aof_enabled"] == 1
    with Redis.from_url(broker.replace(password, "wrong")) as stranger, pytest.raises(RedisError, match="invalid"):
        stranger.ping()


@pytest.mark.parametrize(
    "command", ["FLUSHALL", "CONFIG GET dir", "SHUTDOWN NOSAVE", "SAVE", "KEYS *", "ACL LIST", "SET foreign 1"]
)
def test_valkey_refuses_administration_to_its_clients(broker: str, command: str) -> None:
    with Redis.from_url(broker) as client:
        client.set("poseline:key", 1)
        with pytest.raises(RedisError, match=r"(?i)no permissions"):
            client.execute_command(*command.split())


def test_valkey_refuses_a_password_that_does_not_fit_into_a_url(tmp_path: Path) -> None:
    env = {"PATH": "/usr/bin:/bin", "VALKEYCLI_AUTH": "a b", "RUN_DIR": str(tmp_path)}
    refused = subprocess.run(["sh", str(DOCKER / "valkey.sh")], env=env, check=False, capture_output=True, text=True)
    assert refused.returncode == 2
    assert "POSELINE_VALKEY_PASSWORD" in refused.stderr
    assert list(tmp_path.iterdir()) == []


def _settings(url: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "POSELINE_DATABASE_URL": "postgresql://nobody@nowhere.invalid/none",
        "POSELINE_BROKER_URL": url,
        "POSELINE_S3_ENDPOINT": "http://nowhere.invalid",
        "POSELINE_S3_ACCESS_KEY": "none",
        "POSELINE_S3_SECRET_KEY": "none",
        "POSELINE_HOME": "nowhere",
        "POSELINE_TICK_S": "0.3",
    }


def _probe(env: dict[str, str], *role: str) -> int:
    return subprocess.run([sys.executable, str(DOCKER / "health.py"), *role], env=env, check=False, cwd=ROOT).returncode


def test_beat_is_healthy_while_it_ticks_under_valkeys_rules(broker: str, tmp_path: Path) -> None:
    env = _settings(broker)
    with _running([sys.executable, "-m", "pipeline.cli.main", "beat"], env, tmp_path / "beat.log") as beat:
        assert _probe(env, "beat") == 0, (tmp_path / "beat.log").read_text()
        beat.send_signal(signal.SIGSTOP)
        time.sleep(0.5)
        assert _probe(env, "beat") == 1


def test_a_worker_is_healthy_while_its_consumer_answers_under_valkeys_rules(broker: str, tmp_path: Path) -> None:
    env = _settings(broker)
    # Celery's own worker without our tasks: the probe asks the transport, which needs no database.
    code = (
        "from pathlib import Path; from pipeline.queue import build_celery;"
        "from pipeline.settings import load_settings;"
        "build_celery(load_settings(Path('nowhere'))).worker_main(['worker', '--pool=threads', '--concurrency=1',"
        "'--hostname=cpu@%h', '--without-gossip', '--without-mingle'])"
    )
    with _running([sys.executable, "-c", code], env, tmp_path / "worker.log") as worker:
        _wait_for(lambda: _probe(env, "worker", "cpu") == 0)
        assert _probe(env, "worker", "gpu") == 1
        worker.send_signal(signal.SIGSTOP)
        assert _probe(env, "worker", "cpu") == 1


def test_seaweedfs_gives_the_worker_its_bucket_and_no_more(tmp_path: Path) -> None:
    for name in ("run", "data"):
        (tmp_path / name).mkdir()
    port, keys = _free_port(), {name: secrets.token_hex(12) for name in ("ADMIN_SECRET", "SECRET", "INTERNAL")}
    env = {
        "PATH": _path_with(tmp_path, weed=weed_binary()),
        "HOME": str(tmp_path),
        "S3_ADMIN_ACCESS_KEY": "admin",
        "S3_ACCESS_KEY": "worker",
        "S3_BUCKET": str(SERVICES["seaweedfs"]["environment"]["S3_BUCKET"]),
        "RUN_DIR": str(tmp_path / "run"),
        "DATA_DIR": str(tmp_path / "data"),
        "BIND": "127.0.0.1",
        "PORT": str(port),
        **{f"S3_{name}_KEY": key for name, key in keys.items()},
    }
    ports = [f"-{part}.port{kind}={_free_port()}" for part in ("master", "volume", "filer") for kind in ("", ".grpc")]
    ports.append(f"-s3.port.grpc={_free_port()}")
    script = ["sh", str(DOCKER / "seaweedfs.sh"), *ports, "-master.electionTimeout=500ms"]

    def store(access: str, secret: str, bucket: str = env["S3_BUCKET"]) -> Any:
        settings = Settings(
            database_url=SecretStr("x"),
            broker_url=SecretStr("x"),
            s3_endpoint=f"http://127.0.0.1:{port}",
            s3_access_key=SecretStr(access),
            s3_secret_key=SecretStr(secret),
            s3_bucket=bucket,
        )
        return build_object_store(settings)

    admin, worker = store("admin", keys["ADMIN_SECRET"]), store("worker", keys["SECRET"])
    with _running(script, env, tmp_path / "weed.log") as process:
        _wait_for(lambda: admin.ensure_bucket() is None)
        assert not any(key in _arguments(process) for key in keys.values())
        assert {p.stat().st_mode & 0o777 for p in (tmp_path / "run").iterdir()} == {0o600}
        (tmp_path / "clip").write_bytes(b"frames" * 1000)
        stored = worker.put_file(tmp_path / "clip", "team/clip.mp4")
        assert worker.read_range(stored, 0, 6) == b"frames"
        assert list(worker.list_keys("team/")) == ["team/clip.mp4"]
        worker.delete("team/clip.mp4")
        store("admin", keys["ADMIN_SECRET"], "foreign").ensure_bucket()
        refused: list[Callable[[], object]] = [
            store("worker", keys["SECRET"], "new").ensure_bucket,
            store("worker", keys["SECRET"], "foreign").check_bucket,
            lambda: worker.head("clip", "foreign"),
            store("worker", "wrong").check_bucket,
        ]
        for action in refused:
            with pytest.raises(Exception, match=r"Forbidden|AccessDenied"):
                action()


def test_postgres_gives_the_application_its_database_and_no_more(tmp_path: Path) -> None:
    home = tmp_path / "home"
    stack.up(home, only=("postgres",))
    try:
        made = json.loads((home / "stack.json").read_text())
        server = {"host": "127.0.0.1", "port": made["ports"]["postgres"]}
        admin_password = made["postgres_admin_password"]
        with psycopg.connect(
            **server, dbname="postgres", user="postgres", password=admin_password, autocommit=True
        ) as admin:
            admin.execute("DROP DATABASE poseline")
            admin.execute("DROP ROLE poseline")
        password = secrets.token_hex(12)
        env = {
            "PATH": _path_with(tmp_path, psql=postgres_binary("psql")),
            "POSTGRES_USER": "postgres",
            "PGHOST": server["host"],
            "PGPORT": str(server["port"]),
            "PGPASSWORD": admin_password,
            "POSELINE_POSTGRES_PASSWORD": password,
        }
        subprocess.run(["sh", str(DOCKER / "postgres-role.sh")], env=env, check=True)
        with psycopg.connect(**server, dbname="poseline", user="poseline", password=password, autocommit=True) as role:
            role.execute("CREATE TABLE mine (id int)")
            for forbidden in ("CREATE DATABASE more", "CREATE ROLE more"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    role.execute(forbidden)
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            psycopg.connect(**server, dbname="postgres", user="poseline", password=password)
        again = subprocess.run(["sh", str(DOCKER / "postgres-role.sh")], env=env, check=False, capture_output=True)
        assert again.returncode != 0, "an error must not pass for success"
        assert password not in "".join(log.read_text() for log in (home / "logs").glob("*.log"))
    finally:
        stack.down(home)
