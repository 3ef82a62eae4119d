"""Connections to Postgres, and the translation of its errors."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

import psycopg
from psycopg.errors import DeadlockDetected, InsufficientPrivilege, UndefinedColumn, UndefinedTable
from sqlalchemy import Connection, Engine, Select, column, create_engine, event, func, make_url, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from pipeline.errors import (
    Deadlock,
    PoselineError,
    SchemaOutdated,
    ServerAway,
    ServiceUnavailable,
    UsageError,
    WrongEncoding,
)

CONNECT_TIMEOUT_S = 5
STATEMENT_TIMEOUT_MS = 60_000
LOCK_TIMEOUT_MS = 10_000
#: Calls of what ended in a deadlock, and the pause before the second, which doubles.
_CALLS, _PAUSE_S = 5, 0.05

T = TypeVar("T")


def build_engine(database_url: str, *, pool_size: int = 5, application: str = "poseline") -> Engine:
    """An engine over psycopg 3. Its connections raise `WrongEncoding` where the database is not in UTF8.

    Raises:
        UsageError: the URL is not one of Postgres.
    """
    try:
        url = make_url(database_url)
    except ArgumentError as error:
        raise UsageError("POSELINE_DATABASE_URL is not a URL like postgresql://user:password@host/name") from error
    if not url.drivername.startswith("postgres"):
        raise UsageError(f"POSELINE_DATABASE_URL is for {url.drivername}; Poseline needs postgresql://")
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_pre_ping=True,
        pool_timeout=30,
        # Parameters are people's addresses and hashes of secrets, and errors go to logs.
        hide_parameters=True,
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_S,
            "application_name": application,
            "options": f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c lock_timeout={LOCK_TIMEOUT_MS}",
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            # Keepalives do not end a wait for the acknowledgement of data that was sent; this does.
            "tcp_user_timeout": 20_000,
        },
    )
    # First of all: what SQLAlchemy asks on its own first connection fails in other encodings.
    event.listen(engine.pool, "connect", _check_encoding, insert=True)
    return engine


def _check_encoding(connection: psycopg.Connection, _: object) -> None:
    encoding = (connection.pgconn.parameter_status(b"server_encoding") or b"UTF8").decode()
    if encoding == "UTF8":
        return
    name = connection.info.dbname
    connection.close()
    raise WrongEncoding(
        f"the database {name} is in {encoding}, Poseline needs UTF8: make another with "
        f"`CREATE DATABASE {name}_utf8 ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0` and name it in "
        "POSELINE_DATABASE_URL"
    )


def database_time(connection: Connection) -> datetime:
    """What time it is by the database's clock, which all of Poseline goes by."""
    now: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return now


def oldest_writer(connection: Connection) -> datetime:
    """When the oldest transaction began that is not committed and has written something; now, where there is none.

    Whatever was written before then, by the database's clock, can be seen from now on.
    """
    began: Select[Any] = (
        select(func.min(column("xact_start")))
        .select_from(text("pg_stat_activity"))
        .where(column("backend_xid").is_not(None), column("datname") == func.current_database())
    )
    found: datetime = connection.execute(
        select(func.least(func.clock_timestamp(), began.scalar_subquery()))
    ).scalar_one()
    return found.astimezone(UTC)


@contextmanager
def database_errors() -> Iterator[None]:
    """Translate failures of the connection, the schema and the rights into `ServiceUnavailable`.

    Raises:
        ServiceUnavailable: Postgres does not answer, closed the connection, or denies access.
        Deadlock: another session and this one waited for each other.
        SchemaOutdated: a table or a column is missing.
    """
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeout, psycopg.OperationalError) as error:
        if isinstance(getattr(error, "orig", error), DeadlockDetected):
            raise Deadlock("Postgres is busy (deadlock detected): another session was in the way; try again") from error
        cause = str(getattr(error, "orig", None) or error).strip()
        raise ServerAway(_unavailable_message(_one_line(cause))) from error
    except (DBAPIError, psycopg.ProgrammingError) as error:
        unfit = _unfit(error.orig if isinstance(error, DBAPIError) else error)
        if unfit is not None:
            raise unfit from error
        if isinstance(error, DBAPIError) and error.connection_invalidated:
            raise ServiceUnavailable("Postgres closed the connection; try again") from error
        raise


def _unfit(error: BaseException | None) -> PoselineError | None:
    """What is wrong with the database or with a text, where that is the cause of a statement's error."""
    if isinstance(error, UndefinedTable | UndefinedColumn):
        cause = _one_line(str(error))
        return SchemaOutdated(f"the database lacks tables of this Poseline ({cause}): run `poseline db upgrade`")
    if isinstance(error, psycopg.DataError) and "NUL" in str(error):
        return UsageError("a text holds the character NUL (\\0), which cannot be kept; leave it out")
    if isinstance(error, InsufficientPrivilege):
        cause = _one_line(str(error))
        return ServerAway(f"Postgres refuses ({cause}): connect as the owner of Poseline's tables")
    return None


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """One transaction: commits at the end, rolls back on any error.

    Raises:
        ServiceUnavailable: Postgres does not answer, or closed the connection.
        Deadlock: another session and this one waited for each other.
    """
    with database_errors(), engine.begin() as connection:
        yield connection


def retried(call: Callable[[], T]) -> T:
    """The result of a call that makes its transactions anew each time; a deadlock is a reason to call again.

    Raises:
        Deadlock: each of a few calls ended in one.
    """
    for number in range(1, _CALLS):
        try:
            return call()
        except Deadlock:
            time.sleep(_PAUSE_S * 2**number)
    return call()


def violated_constraint(error: IntegrityError) -> str | None:
    """The name of the constraint or unique index that a statement violated."""
    original = error.orig
    return original.diag.constraint_name if isinstance(original, psycopg.Error) else None


def client_environment(database_url: str) -> dict[str, str]:
    """The environment with which Postgres's own tools connect; a password among arguments every user could read."""
    url = make_url(database_url)
    values = {"PGHOST": url.host, "PGPORT": url.port, "PGUSER": url.username, "PGDATABASE": url.database}
    given = {name: str(value) for name, value in values.items() if value is not None}
    options = {f"PG{name.upper()}": str(value) for name, value in url.query.items() if name.startswith("ssl")}
    return {**given, **options, "PGPASSWORD": url.password or "", "PGCONNECT_TIMEOUT": "10"}


def advisory_key(name: str) -> int:
    """A stable 63-bit key for an advisory lock."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 1


def _unavailable_message(cause: str) -> str:
    if "authentication failed" in cause or "does not exist" in cause:
        return f"Postgres refuses ({cause}); check POSELINE_DATABASE_URL, or start the local stack with `poseline up`"
    if "No space left" in cause or "disk quota" in cause.lower():
        return f"Postgres has no room ({cause}): make room on its disk; what waits goes on by itself"
    if "lock timeout" in cause or "statement timeout" in cause:
        return f"Postgres is busy ({cause}): another session may hold a lock; try again, or end that session"
    return f"Postgres does not answer ({cause}); start it (`poseline up` starts the local stack)"


def _one_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0].removeprefix("connection failed: ") if lines else "no reason given"
