"""Servers that answer but were not prepared: every command says in one line what is missing and how to mend it."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from redis import Redis
from sqlalchemy import make_url

from pipeline.cli.main import main
from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.services.system import System
from pipeline.settings import Settings
from tests.conftest import admin_url, configure, fresh_settings
from tests.support.harness import processes, wait_until
from tests.support.paths import DEMO_CLIP

RUN = "0123abcd"
#: Every command that asks Postgres for something.
ON_POSTGRES = (
    ("analyze", str(DEMO_CLIP)),
    ("ingest", str(DEMO_CLIP)),
    ("runs",),
    ("show", RUN),
    ("queue",),
    ("queue", "share", "fresh", "0.2"),
    ("tag", RUN, "season=2026"),
    ("cancel", RUN),
    ("retry", RUN),
    ("pause", "--lane", "fresh"),
    ("resume", "--lane", "fresh"),
    ("drain", "worker-1@host"),
    ("export", RUN, "--out", "x.jsonl"),
    ("preview", RUN, "--out", "x.png"),
    ("verify", RUN),
    ("status",),
    ("accounts", "list"),
    ("accounts", "link"),
    ("teams",),
    ("teams", "add", "a"),
    ("teams", "set", "a", "--weight", "2"),
    ("compare", RUN),
    ("promote", RUN),
    ("rollback", RUN),
    ("history", RUN),
    ("report", "nightly"),
    ("reprocess", "--model", BUNDLED_MODEL),
    ("schedule", "list"),
    ("watch", "list"),
    ("retention", "show"),
    ("erase", "--list"),
    ("worker",),
    ("beat",),
    ("web", "--port", "49173"),
    ("live", "--port", "49174"),
    ("live", "--camera", str(DEMO_CLIP)),
)
ON_STORE = (("analyze", str(DEMO_CLIP)), ("ingest", str(DEMO_CLIP)), ("worker",))
#: Every other command, but for those that only print help.
OTHERS = (
    ("up",),
    ("down",),
    ("demo",),
    ("models",),
    ("models", "check"),
    ("eval", "coco", "a.json", "images"),
    ("bench",),
    ("flower",),
    ("db", "upgrade"),
    ("db", "url"),
    ("store", "init"),
    ("backup", "x.backup"),
    ("restore", "x.backup"),
    ("login", "http://127.0.0.1:9"),
    ("logout",),
)


def name_of(args: object) -> str:
    return " ".join(args[:2])[:20] if isinstance(args, tuple) else str(args)


def administrator(servers: Path) -> psycopg.Connection:
    """A connection as the superuser, whatever database the environment names."""
    url = make_url(admin_url(servers)).set(database="postgres")
    return psycopg.connect(url.render_as_string(hide_password=False), autocommit=True)


def make_database(servers: Path, options: str) -> Iterator[str]:
    """The URL of an empty database."""
    name = f"broken_{uuid4().hex[:12]}"
    with administrator(servers) as connection:
        connection.execute(f"CREATE DATABASE {name} OWNER poseline {options}".encode())
    yield name
    with administrator(servers) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture(scope="module")
def empty_database(servers: Path) -> Iterator[str]:
    yield from make_database(servers, "")


@pytest.fixture(scope="module")
def ascii_database(servers: Path) -> Iterator[str]:
    yield from make_database(servers, "ENCODING 'SQL_ASCII' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0")


@pytest.fixture(scope="module")
def standing(servers: Path, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings whose database and queue no command here gets as far as to change."""
    with fresh_settings(servers, template, tmp_path_factory.mktemp("standing") / "home") as settings:
        yield settings


@pytest.fixture
def refused(standing: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """This process is configured by them."""
    configure(standing, monkeypatch, tmp_path)
    return standing


def use_database(settings: Settings, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    url = make_url(settings.database_url.get_secret_value()).set(database=name)
    monkeypatch.setenv("POSELINE_DATABASE_URL", url.render_as_string(hide_password=False))


def refusal(capsys: pytest.CaptureFixture[str], args: tuple[str, ...]) -> str:
    """The one line on standard error of a command that fails."""
    assert main(list(args)) in {1, 2}
    captured = capsys.readouterr()
    [line] = captured.err.strip().splitlines()
    assert line.startswith("poseline: ")
    assert "unexpected" not in line
    assert captured.out == ""
    return line


def wrong_parts(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """What `doctor` finds wrong; it reports every part, whatever is wrong with others."""
    assert main(["doctor", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    parts = [line["part"] for line in found]
    assert parts[-10:-5] == ["variables", "settings", "postgres", "redis", "store"]
    assert parts[-5:] == ["workers", "beat", "room", "watches", "live"]
    return {line["part"]: line["message"] for line in found if not line["ok"]}


@pytest.mark.parametrize("args", ON_POSTGRES, ids=name_of)
def test_a_database_without_the_tables(
    refused: Settings,
    empty_database: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    args: tuple[str, ...],
) -> None:
    use_database(refused, monkeypatch, empty_database)
    assert "run `poseline db upgrade`" in refusal(capsys, args)


def test_doctor_on_a_database_without_the_tables(
    configured: Settings, empty_database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use_database(configured, monkeypatch, empty_database)
    found = wrong_parts(capsys)
    assert found.keys() == {"postgres", "workers", "beat"}
    assert "the database is at schema none" in found["postgres"]
    assert all("`poseline db upgrade`" in found[part] for part in ("postgres", "workers"))


def test_beat_starts_where_it_cannot_reach_the_database(configured: Settings, system: System, tmp_path: Path) -> None:
    """As in docker-compose.yml: it needs only Redis."""
    with processes(configured, tmp_path / "logs") as running:
        running.start("beat", POSELINE_DATABASE_URL="postgresql://nobody@nowhere.invalid/none")
        wait_until(system.queue.last_beat, 60, "its first tick")


def test_an_old_schema(
    configured: Settings, servers: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with psycopg.connect(configured.database_url.get_secret_value()) as connection:
        connection.execute("ALTER TABLE run DROP COLUMN frames_to_decode CASCADE")
    assert "run `poseline db upgrade`" in refusal(capsys, ("runs",))


def test_the_schema_of_a_later_version(configured: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    with psycopg.connect(configured.database_url.get_secret_value()) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    for args in (("worker",), ("db", "upgrade")):
        assert "schema 9999, which this Poseline does not know" in refusal(capsys, args)
    assert "install the version that made it" in wrong_parts(capsys)["postgres"]


@pytest.mark.parametrize("args", [*ON_POSTGRES, ("db", "upgrade")], ids=name_of)
def test_a_database_in_another_encoding(
    refused: Settings,
    ascii_database: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    args: tuple[str, ...],
) -> None:
    use_database(refused, monkeypatch, ascii_database)
    assert "is in SQL_ASCII, Poseline needs UTF8: make another with `CREATE DATABASE" in refusal(capsys, args)


def test_doctor_s_fix_for_an_encoding_works(
    configured: Settings,
    servers: Path,
    ascii_database: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    use_database(configured, monkeypatch, ascii_database)
    found = wrong_parts(capsys)
    assert found.keys() == {"postgres", "workers", "beat"}
    fix = re.search(r"`(CREATE DATABASE (\w+) [^`]*)`", found["postgres"])
    assert fix is not None
    with administrator(servers) as connection:
        connection.execute(fix[1].encode())
        connection.execute(f"ALTER DATABASE {fix[2]} OWNER TO poseline".encode())
    use_database(configured, monkeypatch, fix[2])
    assert main(["db", "upgrade"]) == 0
    assert main(["runs"]) == 0
    with administrator(servers) as connection:
        connection.execute(f"DROP DATABASE {fix[2]} WITH (FORCE)".encode())


def test_a_role_without_rights(
    configured: Settings, servers: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with administrator(servers) as connection:
        connection.execute("CREATE ROLE somebody LOGIN PASSWORD 'only for this test'")
    url = make_url(configured.database_url.get_secret_value()).set(username="somebody", password="only for this test")
    monkeypatch.setenv("POSELINE_DATABASE_URL", url.render_as_string(hide_password=False))
    try:
        line = refusal(capsys, ("runs",))
    finally:
        with administrator(servers) as connection:
            connection.execute("DROP ROLE somebody")
    assert "Postgres refuses (permission denied for table" in line
    assert "connect as the owner of Poseline's tables" in line


@pytest.mark.parametrize("args", ON_STORE, ids=name_of)
def test_a_missing_bucket(
    refused: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], args: tuple[str, ...]
) -> None:
    bucket = f"missing-{uuid4().hex[:12]}"
    monkeypatch.setenv("POSELINE_S3_BUCKET", bucket)
    assert f"there is no bucket {bucket} in the object store: make it with `poseline store init`" in refusal(
        capsys, args
    )


def test_doctor_s_fix_for_a_missing_bucket_works(
    configured: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POSELINE_S3_BUCKET", f"missing-{uuid4().hex[:12]}")
    found = wrong_parts(capsys)
    assert found.keys() == {"store", "workers", "beat"}
    assert "`poseline store init`" in found["store"]
    assert main(["store", "init"]) == 0
    capsys.readouterr()
    assert "store" not in wrong_parts(capsys)


WRONG_STORES = pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("POSELINE_S3_SECRET_KEY", "wrong", "check POSELINE_S3_ACCESS_KEY and POSELINE_S3_SECRET_KEY"),
        ("POSELINE_S3_ACCESS_KEY", "WRONG", "check POSELINE_S3_ACCESS_KEY and POSELINE_S3_SECRET_KEY"),
        ("POSELINE_S3_ENDPOINT", "localhost:9000", "not a URL like http://host:port"),
        ("POSELINE_S3_BUCKET", "Not a bucket", "check the bucket's name"),
    ],
)


@WRONG_STORES
@pytest.mark.parametrize("args", [*ON_STORE, ("store", "init")], ids=name_of)
def test_wrong_settings_of_the_store(
    refused: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    value: str,
    words: str,
    args: tuple[str, ...],
) -> None:
    monkeypatch.setenv(name, value)
    line = refusal(capsys, args)
    assert words in line
    assert len(line) < 250


@WRONG_STORES
def test_doctor_on_wrong_settings_of_the_store(
    refused: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    value: str,
    words: str,
) -> None:
    monkeypatch.setenv(name, value)
    assert words in wrong_parts(capsys)["store"]


def test_wrong_settings_of_redis(
    configured: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broker = configured.broker_url.get_secret_value()
    for value, words in (
        (re.sub(r":[^:@]+@", ":wrong@", broker), "check POSELINE_BROKER_URL"),
        ("localhost", "POSELINE_BROKER_URL is not a URL like redis://"),
    ):
        monkeypatch.setenv("POSELINE_BROKER_URL", value)
        for args in (("status",), ("beat",)):
            assert words in refusal(capsys, args)
        assert words in wrong_parts(capsys)["redis"]


def test_servers_that_accept_and_say_nothing_do_not_stop_doctor(
    configured: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begun_at = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        silent = f"127.0.0.1:{listening.getsockname()[1]}"
        monkeypatch.setenv("POSELINE_DATABASE_URL", f"postgresql://a:b@{silent}/x")
        monkeypatch.setenv("POSELINE_BROKER_URL", f"redis://{silent}/0")
        monkeypatch.setenv("POSELINE_S3_ENDPOINT", f"http://{silent}")
        found = wrong_parts(capsys)
    assert "Postgres does not answer" in found["postgres"]
    assert "Redis does not answer" in found["redis"]
    assert "object store does not answer" in found["store"]
    assert found.keys() == {"postgres", "redis", "store", "workers", "beat"}
    assert time.monotonic() - begun_at < 80


@pytest.mark.parametrize("args", [*ON_POSTGRES, *OTHERS], ids=name_of)
def test_an_unknown_variable_is_refused_by_every_command(
    refused: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], args: tuple[str, ...]
) -> None:
    monkeypatch.setenv("POSELINE_CHUNK_FRAME", "60")
    words = "there is no setting POSELINE_CHUNK_FRAME; did you mean POSELINE_CHUNK_FRAMES?"
    assert words in refusal(capsys, args)


def test_help_and_doctor_go_on_with_an_unknown_variable(
    configured: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POSELINE_VIDEO__MAX_BYTE", "60")
    for args in (["--help"], ["runs", "--help"], ["teams", "add", "-h"]):
        assert main(args) == 0
    capsys.readouterr()
    found = wrong_parts(capsys)
    assert found.keys() == {"variables", "workers", "beat"}
    assert "did you mean POSELINE_VIDEO__MAX_BYTES?" in found["variables"]


def test_doctor_says_that_a_database_in_use_has_no_worker_and_no_beat(
    configured: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = wrong_parts(capsys)
    assert "no worker is alive; start one with `poseline worker`" in found["workers"]
    assert "start one with `poseline beat`" in found["beat"]
    with Redis.from_url(configured.broker_url.get_secret_value()) as redis:
        assert redis.keys("*beat*") == []


def test_every_command_is_walked() -> None:
    from pipeline.cli.commands import SECTIONS  # noqa: PLC0415

    walked = {args[0] for args in (*ON_POSTGRES, *OTHERS)}
    assert {name for section in SECTIONS.values() for name in section} == walked | {"doctor"}
