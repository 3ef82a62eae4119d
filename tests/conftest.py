"""Real servers for every test that asks: one stack a session, a fresh database, queue and key space a test."""

from __future__ import annotations

import itertools
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from pydantic import SecretStr
from redis import Redis
from sqlalchemy import make_url

from pipeline.db.migrate import upgrade
from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.local import stack
from pipeline.services.system import System, build_system
from pipeline.settings import Settings, load_settings
from tests.support.analysis import analyse
from tests.support.harness import cut, environment, export_bytes, run_of
from tests.support.paths import DEMO_CLIP

_redis_numbers = itertools.cycle(range(1, 16))


#: Files that take long begin first, so that no process is left alone with one at the end.
_LONGEST_FIRST = (
    "tests/acceptance/test_local_system.py",
    "tests/integration/local/test_hung.py",
    "tests/acceptance",
    "tests/integration/local",
    "tests/web",
    "tests/integration",
    "tests/unit/video",
    "tests/unit/inference",
    "tests/unit/bench",
)


def _place(item: pytest.Item) -> int:
    return next((at for at, start in enumerate(_LONGEST_FIRST) if item.nodeid.startswith(start)), len(_LONGEST_FIRST))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave longer proofs to `make soak`, unless a marker or a test was asked for by name."""
    items.sort(key=_place)
    if config.option.markexpr or any("::" in each for each in config.args):
        return
    longer = [item for item in items if item.get_closest_marker("soak")]
    config.hook.pytest_deselected(items=longer)
    items[:] = [item for item in items if not item.get_closest_marker("soak")]


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A developer's own POSELINE_* must not reach a test's database, and no test the developer's own home."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("POSELINE_")]:
            patch.delenv(name)
        # XDG_DATA_HOME for tests without the other one.
        patch.setenv("POSELINE_HOME", str(tmp_path_factory.mktemp("of the tests") / "home"))
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data of the tests")))
        yield


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """SIGINT as at a terminal, here and in what the test starts: a shell's background jobs are started without it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory, _no_settings_from_outside: None) -> Iterator[Path]:
    """The home of a stack whose three servers run, with a migrated template database."""
    home = tmp_path_factory.mktemp("servers")
    stack.up(home, only=stack.SERVERS)
    with psycopg.connect(admin_url(home), autocommit=True) as connection:
        # Tests kill processes and never the machine: what Postgres wrote outlives it without waiting for the disk.
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("ALTER SYSTEM SET full_page_writes = off")
        connection.execute("SELECT pg_reload_conf()")
        # Nobody guesses these passwords, and a test makes many connections.
        connection.execute("SET scram_iterations = 1")
        made = json.loads((home / "stack.json").read_text())
        for role, name in (("postgres", "postgres_admin_password"), ("poseline", "postgres_password")):
            connection.execute(f"ALTER ROLE {role} PASSWORD '{made[name]}'".encode())
    yield home
    stack.down(home)


@cache
def stack_settings(home: Path) -> Settings:
    """The stack's own, which stay what they are."""
    return load_settings(home)


@cache
def admin_url(home: Path) -> str:
    """The stack's own superuser, who may make databases."""
    url = make_url(stack_settings(home).database_url.get_secret_value())
    password = json.loads((home / "stack.json").read_text())["postgres_admin_password"]
    return url.set(username="postgres", password=password).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def template(servers: Path) -> str:
    """A migrated database to copy."""
    name = "template_poseline"
    with psycopg.connect(admin_url(servers), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} OWNER poseline")  # type: ignore[arg-type]
    upgrade(_on_database(stack_settings(servers), name))
    return name


def _on_database(settings: Settings, name: str) -> str:
    url = make_url(settings.database_url.get_secret_value())
    return url.set(database=name).render_as_string(hide_password=False)


@contextmanager
def fresh_settings(home: Path, template: str, scratch: Path) -> Iterator[Settings]:
    """Settings with a database and a queue that nobody else sees; leases are short so that faults show soon."""
    own = stack_settings(home)
    name = f"test_{uuid4().hex[:12]}"
    with psycopg.connect(admin_url(home), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} OWNER poseline STRATEGY FILE_COPY".encode())
    broker = own.broker_url.get_secret_value().rpartition("/")[0] + f"/{next(_redis_numbers)}"
    with Redis.from_url(broker) as redis:
        redis.flushdb()
    yield own.model_copy(
        update={
            "database_url": SecretStr(_on_database(own, name)),
            "broker_url": SecretStr(broker),
            "home": scratch,
            "models_dir": None,
            "lease_s": 2.0,
            "tick_s": 0.5,
            "resend_after_s": 1.0,
            "backoff_s": 0.05,
            "stall_s": 20.0,
            "chunk_frames": 30,
            "first_chunk_frames": 0,
        }
    )
    with psycopg.connect(admin_url(home), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


@pytest.fixture
def settings(servers: Path, template: str, tmp_path: Path) -> Iterator[Settings]:
    """This test's own settings."""
    with fresh_settings(servers, template, tmp_path / "home") as settings:
        yield settings


@contextmanager
def opened(settings: Settings) -> Iterator[System]:
    """A system, closed after."""
    system = build_system(settings, pool_size=10)
    try:
        yield system
    finally:
        system.close()


@pytest.fixture
def configured(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """This process is configured by its environment, as a person's own servers are."""
    configure(settings, monkeypatch, tmp_path)
    return settings


def configure(settings: Settings, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Put settings into this process's environment, and have it work in a folder."""
    for name, value in environment(settings).items():
        if name.startswith("POSELINE_"):
            monkeypatch.setenv(name, value)
    monkeypatch.chdir(folder)


@pytest.fixture
def system(settings: Settings) -> Iterator[System]:
    """This test's own database, store and queue."""
    with opened(settings) as system:
        yield system


@pytest.fixture(scope="session")
def short_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first four seconds of the demo clip: 120 frames, four keyframes."""
    return cut(DEMO_CLIP, tmp_path_factory.mktemp("clips") / "short.mp4", 120)


@pytest.fixture(scope="session")
def reference(servers: Path, template: str, short_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The short clip's export from an undisturbed run: in this process, in one chunk."""
    folder = tmp_path_factory.mktemp("reference")
    with (
        fresh_settings(servers, template, folder / "home") as settings,
        opened(settings.model_copy(update={"chunk_frames": 100_000})) as system,
    ):
        run_id = analyse(system, short_clip, model=BUNDLED_MODEL, put=False)
        assert run_of(system, run_id).chunks_total == 1
        return export_bytes(system, run_id, folder / "reference.jsonl")
