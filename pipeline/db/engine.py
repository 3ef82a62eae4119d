"""Connections to Postgres, and the translation of its errors."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy import Connection, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from pipeline.errors import ServiceUnavailable, UsageError

CONNECT_TIMEOUT_S = 5
STATEMENT_TIMEOUT_MS = 60_000
LOCK_TIMEOUT_MS = 10_000


def build_engine(database_url: str, *, pool_size: int = 5, application: str = "poseline") -> Engine:
    """An engine over psycopg 3.

    Raises:
        UsageError: the URL is not one of Postgres.
    """
    try:
        url = make_url(database_url)
    except ArgumentError as error:
        raise UsageError("POSELINE_DATABASE_URL is not a URL like postgresql://user:password@host/name") from error
    if not url.drivername.startswith("postgres"):
        raise UsageError(f"POSELINE_DATABASE_URL is for {url.drivername}; Poseline needs postgresql://")
    return create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_pre_ping=True,
        pool_timeout=30,
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


@contextmanager
def database_errors() -> Iterator[None]:
    """Translate connection failures into `ServiceUnavailable`.

    Raises:
        ServiceUnavailable: Postgres does not answer, or closed the connection.
    """
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeout, psycopg.OperationalError) as error:
        cause = str(getattr(error, "orig", None) or error).strip()
        raise ServiceUnavailable(_unavailable_message(_one_line(cause))) from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise ServiceUnavailable("Postgres closed the connection; try again") from error
        raise


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """One transaction: commits at the end, rolls back on any error.

    Raises:
        ServiceUnavailable: Postgres does not answer, or closed the connection.
    """
    with database_errors(), engine.begin() as connection:
        yield connection


def violated_constraint(error: IntegrityError) -> str | None:
    """The name of the constraint or unique index that a statement violated."""
    original = error.orig
    return original.diag.constraint_name if isinstance(original, psycopg.Error) else None


def advisory_key(name: str) -> int:
    """A stable 63-bit key for an advisory lock."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 1


def _unavailable_message(cause: str) -> str:
    if "authentication failed" in cause or "does not exist" in cause:
        return f"Postgres refuses ({cause}); check POSELINE_DATABASE_URL, or start the local stack with `poseline up`"
    return f"Postgres does not answer ({cause}); start it (`poseline up` starts the local stack)"


def _one_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0].removeprefix("connection failed: ") if lines else "no reason given"
