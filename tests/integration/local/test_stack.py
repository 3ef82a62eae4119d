"""The local stack's servers, started: credentials, permissions, crashes, restarts. One home for all tests here."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import boto3
import psutil
import psycopg
import pytest
import redis
from botocore.config import Config
from botocore.exceptions import ClientError
from dotenv import dotenv_values
from mypy_boto3_s3 import S3Client

from pipeline.errors import StackError, UsageError
from pipeline.local.stack import PROCESSES, SERVERS, StackStatus, down, status, up
from pipeline.settings import Settings
from tests.support.harness import wait_until
from tests.support.ordinary_user import NOBODY, person

pytestmark = pytest.mark.timeout(90)


def ignore(_: Settings) -> None:
    """No set-up: these tests are about the servers."""


def start(home: Path) -> StackStatus:
    return up(home, only=SERVERS, prepare=ignore)


def env_of(home: Path) -> dict[str, str]:
    return {name: value or "" for name, value in dotenv_values(home / "poseline.env").items()}


def s3_of(env: dict[str, str], secret_key: str | None = None) -> S3Client:
    return boto3.client(
        "s3",
        endpoint_url=env["POSELINE_S3_ENDPOINT"],
        region_name="us-east-1",
        aws_access_key_id=env["POSELINE_S3_ACCESS_KEY"],
        aws_secret_access_key=secret_key or env["POSELINE_S3_SECRET_KEY"],
        config=Config(signature_version="s3v4", retries={"total_max_attempts": 1}),
    )


def pids_of(found: StackStatus) -> dict[str, int]:
    return {service.name: service.pid for service in found.services if service.pid is not None}


def family(home: Path) -> list[psutil.Process]:
    """The supervisor of a home and its descendants."""
    supervisor = psutil.Process(json.loads((home / "run" / "state.json").read_text())["supervisor"]["pid"])
    return [supervisor, *supervisor.children(recursive=True)]


def still_alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with a blank and a comma in its path, under a directory that only its owner can enter."""
    private = tmp_path_factory.mktemp("private")
    private.chmod(0o700)
    home = private / "a home, with blanks" / ".poseline"
    yield home
    down(home)


def test_the_servers_take_their_credentials_and_no_others(home: Path) -> None:
    steps: list[str] = []
    found = up(home, only=SERVERS, prepare=ignore, on_step=steps.append)
    assert found.running
    assert {s.name: s.state for s in found.services} == {
        **dict.fromkeys(SERVERS, "running"),
        **dict.fromkeys(PROCESSES, "stopped"),
    }
    assert {"starting Postgres", "starting Valkey", "starting SeaweedFS"} <= set(steps)
    env = env_of(home)

    url = env["POSELINE_DATABASE_URL"]
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT version(), current_setting('is_superuser'), current_setting('synchronous_commit'),"
            " rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
        assert row is not None
        assert row[0].startswith("PostgreSQL 18.")
        assert row[1:] == ("off", "on", False, False)
        connection.execute("CREATE TABLE owned (x int)")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url.replace("poseline:", "poseline:not"))

    with closing(redis.Redis.from_url(env["POSELINE_BROKER_URL"])) as client:
        assert client.info()["valkey_version"].startswith("9.")
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("append*")["appendonly"] == "yes"
    wrong = env["POSELINE_BROKER_URL"].replace("default:", "default:not")
    with closing(redis.Redis.from_url(wrong)) as client, pytest.raises(redis.AuthenticationError):
        client.ping()

    with closing(s3_of(env)) as s3:
        s3.create_bucket(Bucket="poseline")
        s3.put_object(Bucket="poseline", Key="a", Body=b"kept")
        with pytest.raises(ClientError, match="NoSuchBucket"):
            s3.put_object(Bucket="misspelt", Key="a", Body=b"")
    with closing(s3_of(env, secret_key="not it")) as s3, pytest.raises(ClientError, match=r"403|SignatureDoesNotMatch"):
        s3.list_buckets()


def test_every_socket_is_on_loopback(home: Path) -> None:
    start(home)
    listening: dict[str, set[str]] = {}
    for process in family(home):
        for found in process.net_connections(kind="inet"):
            if found.status == psutil.CONN_LISTEN or found.type == socket.SOCK_DGRAM:
                listening.setdefault(process.name(), set()).add(found.laddr.ip)
    assert listening == {"postgres": {"127.0.0.1"}, "valkey-server": {"127.0.0.1"}, "weed": {"127.0.0.1"}}


def test_the_object_store_s_internal_ports_refuse_requests_without_credentials(home: Path) -> None:
    start(home)
    ports = json.loads((home / "stack.json").read_text())["ports"]
    for name, path in (("filer", "/buckets/poseline/a"), ("master", "/dir/assign"), ("volume", "/1,01")):
        with closing(socket.create_connection(("127.0.0.1", ports[name]), timeout=5)) as stranger:
            stranger.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            assert stranger.recv(64).split()[1] in {b"401", b"404"}, name


def test_secrets_are_private_and_in_no_argument(home: Path) -> None:
    start(home)
    stack = json.loads((home / "stack.json").read_text())
    secrets = [value for name, value in stack.items() if name.endswith(("password", "key"))]
    assert len(set(secrets)) == 8
    assert all(len(value) >= 20 for value in secrets)
    assert not any(secret in part for process in family(home) for part in process.cmdline() for secret in secrets)
    assert stack["postgres_admin_password"] not in (home / "poseline.env").read_text()
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    # SeaweedFS makes some of its files readable, but their directory is private.
    for path in (*home.iterdir(), *(home / "seaweedfs").iterdir(), *(home / "run").iterdir()):
        assert path.name == ".gitignore" or not path.stat().st_mode & 0o077, path
    for log in (home / "logs").iterdir():
        assert not any(secret in log.read_text() for secret in secrets), log


def test_a_stack_of_an_earlier_version_gets_its_reader_at_the_next_up(home: Path) -> None:
    start(home)
    earlier = json.loads((home / "stack.json").read_text())
    before = earlier.pop("postgres_reader_password")
    (home / "stack.json").write_text(json.dumps(earlier))
    assert status(home).running
    start(home)
    after = json.loads((home / "stack.json").read_text())["postgres_reader_password"]
    assert after not in {"", before}
    url = env_of(home)["POSELINE_DATABASE_READER_URL"]
    assert after in url
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("poseline_reader",)
    start(home)
    assert json.loads((home / "stack.json").read_text())["postgres_reader_password"] == after


def test_up_twice_keeps_everything(home: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        found = [pids_of(each) for each in pool.map(start, [home] * 3)]
    assert found[0] == found[1] == found[2] == pids_of(status(home))
    assert len(found[0]) == 3


@pytest.mark.parametrize("server", SERVERS)
def test_a_killed_server_comes_back(home: Path, server: str) -> None:
    before = pids_of(start(home))
    os.kill(before[server], signal.SIGKILL)
    wait_until(lambda: pids_of(status(home)).get(server, before[server]) != before[server], 10, "a new process")
    wait_until(lambda: status(home).running, 30, "it to answer")
    others = set(SERVERS) - {server}
    assert {name: pids_of(status(home))[name] for name in others} == {name: before[name] for name in others}


def test_data_outlives_down_and_a_port_taken_by_another_program(home: Path) -> None:
    start(home)
    env = env_of(home)
    with psycopg.connect(env["POSELINE_DATABASE_URL"]) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS x")
    with closing(redis.Redis.from_url(env["POSELINE_BROKER_URL"])) as client:
        client.set("kept", "7")
    with closing(s3_of(env)) as s3:
        s3.put_object(Bucket="poseline", Key="last", Body=b"x" * 9_000_000)
    everyone = family(home)
    assert not down(home).running
    assert still_alive(everyone) == []
    before = json.loads((home / "stack.json").read_text())["ports"]
    assert not [path for port in before.values() for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock")]

    stolen = {name: socket.create_server(("127.0.0.1", before[name])) for name in ("postgres", "s3", "master")}
    try:
        assert start(home).running
    finally:
        for taken in stolen.values():
            taken.close()
    after = json.loads((home / "stack.json").read_text())["ports"]
    changed = {name for name in after if after[name] != before[name]}
    # Another stack on this machine may have taken one more of them meanwhile.
    assert set(stolen) <= changed < set(after)
    env = env_of(home)
    with psycopg.connect(env["POSELINE_DATABASE_URL"]) as connection:
        assert connection.execute("SELECT x FROM kept").fetchone() == (7,)
    with closing(redis.Redis.from_url(env["POSELINE_BROKER_URL"])) as client:
        assert client.get("kept") == b"7"
    with closing(s3_of(env)) as s3:
        assert s3.get_object(Bucket="poseline", Key="a")["Body"].read() == b"kept"
        assert s3.get_object(Bucket="poseline", Key="last")["Body"].read() == b"x" * 9_000_000


def test_pids_reused_by_another_process_harm_neither_side(home: Path) -> None:
    start(home)
    state = json.loads((home / "run" / "state.json").read_text())
    down(home)
    with subprocess.Popen(["sleep", "60"]) as stranger:
        for process in (state["supervisor"], *state["services"].values()):
            process["pid"] = stranger.pid
        (home / "run" / "state.json").write_text(json.dumps(state))
        (home / "run" / "wanted.json").write_text('{"services": ["postgres"], "slots": 1}')
        (home / "postgres" / "postmaster.pid").write_text(f"{stranger.pid}\n/elsewhere\n0\n1\n")
        assert {s.state for s in status(home).services} == {"stopped"}
        assert start(home).running
        assert stranger.poll() is None
        stranger.kill()


def test_down_after_the_supervisor_was_killed_leaves_nothing(home: Path) -> None:
    start(home)
    everyone = family(home)
    everyone[0].kill()
    assert not down(home).running
    assert still_alive(everyone) == []
    assert [s.state for s in down(home).services] == ["stopped"] * len(SERVERS + PROCESSES)


def test_two_homes_run_side_by_side(home: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(start, [home, tmp_path / "other"])
    try:
        assert one.running
        assert two.running
        mine, other = env_of(home), env_of(tmp_path / "other")
        ports = [{s.port for s in status.services if s.port and s.state == "running"} for status in (one, two)]
        assert not ports[0] & ports[1]
        mixed = {**mine, "POSELINE_S3_ENDPOINT": other["POSELINE_S3_ENDPOINT"]}
        with closing(s3_of(mixed)) as s3, pytest.raises(ClientError):
            s3.list_buckets()
    finally:
        down(tmp_path / "other")
    assert pids_of(status(home)) == pids_of(one)


def test_poseline_s_own_processes_are_kept_running_and_stopped(home: Path) -> None:
    found = up(home, slots=1)
    assert {s.state for s in found.services} == {"running"}
    before = pids_of(found)
    assert "--concurrency=1" in psutil.Process(before["worker"]).cmdline()
    assert psutil.Process(before["worker"]).environ()["POSELINE_DEVICE"] == "auto"
    port = env_of(home)["POSELINE_FLOWER_PORT"]
    with pytest.raises(HTTPError, match="401"):
        urlopen(f"http://127.0.0.1:{port}/")

    os.kill(before["beat"], signal.SIGKILL)
    after = pids_of(up(home, slots=2, device="cpu"))
    assert "--concurrency=2" in psutil.Process(after["worker"]).cmdline()
    assert psutil.Process(after["worker"]).environ()["POSELINE_DEVICE"] == "cpu"
    assert {name for name in before if after[name] != before[name]} == {"beat", "worker", "live"}

    everyone = family(home)
    assert not down(home).running
    assert still_alive(everyone) == []


def test_removing_a_home_stops_its_servers(tmp_path: Path) -> None:
    up(tmp_path / "home", only=["valkey"], prepare=ignore)
    everyone = family(tmp_path / "home")
    (tmp_path / "home").rename(tmp_path / "away")
    wait_until(lambda: not still_alive(everyone), 10, "the end of all processes")


def test_a_named_port_that_is_taken_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StackError, match=rf"port {port} is taken: .*--flower-port"):
            up(tmp_path / "home", only=SERVERS, wanted_ports={"flower": port}, prepare=ignore)
    assert not status(tmp_path / "home").running


def test_a_server_that_cannot_start_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    up(home, only=["valkey"], prepare=ignore)
    down(home)
    (home / "valkey" / "appendonlydir" / "appendonly.aof.manifest").write_text("nonsense\n")
    with pytest.raises(StackError, match=r"Valkey did not start .*see .*valkey\.log"):
        up(home, only=["valkey"], prepare=ignore)
    assert not (home / "run" / "state.json").exists()


def test_a_failing_set_up_step_leaves_nothing(tmp_path: Path) -> None:
    everyone: list[psutil.Process] = []

    def fail(settings: Settings) -> None:
        everyone.extend(family(settings.home))
        raise RuntimeError("no tables today")

    with pytest.raises(RuntimeError, match="no tables today"):
        up(tmp_path, only=SERVERS, prepare=fail)
    assert len(everyone) > 3
    assert still_alive(everyone) == []


def test_impossible_requests_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no service mysql"):
        up(tmp_path, only=["mysql"])
    with pytest.raises(StackError, match="too long"):
        up(tmp_path.joinpath(*["d" * 200] * 5), only=SERVERS)
    assert {s.state for s in down(tmp_path / "never").services} == {"stopped"}
    assert not (tmp_path / "never").exists()


def test_an_ordinary_user_needs_nothing_from_root() -> None:
    script = (
        "import sys; from pathlib import Path; from pipeline.local.stack import up, down, SERVERS\n"
        "home = Path(sys.argv[1])\n"
        "try: print('running', up(home, only=SERVERS, prepare=lambda s: None).running)\n"
        "finally: print('left', down(home).running)\n"
    )
    with person(NOBODY) as somebody:
        done = somebody.run("-c", script, "named", timeout_s=60)
        assert done.stdout.split() == ["running", "True", "left", "False"], done.stderr
