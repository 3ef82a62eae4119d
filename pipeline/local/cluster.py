"""Set up Postgres: the data directory, the application's role and its database."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import psutil

from pipeline.core.files import write_atomically
from pipeline.errors import StackError
from pipeline.local import rootless
from pipeline.local.home import Home, Stack
from pipeline.local.ports import LOOPBACK
from pipeline.local.servers import postgres_binary, server_env

_FIX = "run `poseline up` as an ordinary user"
APPLICATION = "poseline"  # its role and its database
#: The start in `postmaster.pid` is of the wall clock, which may have been set since.
_CLOCK_TOLERANCE_S = 60.0


def make_cluster(home: Home, stack: Stack) -> bool:
    """Make the data directory if there is none. Returns whether it was made.

    It is made under another name and then renamed: Postgres would not start on an incomplete one.

    Raises:
        StackError: initdb failed, or root cannot change to another user here.
    """
    data = home.data("postgres")
    if (data / "PG_VERSION").exists():
        return False
    draft = home.path / "postgres.new"
    password = home.path / "run" / "postgres-password"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    write_atomically(password, stack.postgres_admin_password, private=True)
    if rootless.needed():
        try:
            os.chown(draft, *rootless.user())
        except PermissionError as error:
            raise StackError(
                f"root cannot give Postgres's data to another user here ({error.strerror}); {_FIX}"
            ) from error
    # The builtin locale gives the same order of strings on every machine.
    options = [
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--username=postgres",
        f"--pwfile={password}",
        "-D",
        ".",
    ]
    try:
        made = subprocess.run(
            rootless.wrapped([postgres_binary("initdb"), *options]),
            cwd=draft,
            env=server_env(home, stack),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        password.unlink()
    write_atomically(home.log("initdb"), made.stdout + made.stderr, private=True)
    if made.returncode == rootless.EXIT_IMPOSSIBLE:
        raise StackError(f"{made.stderr.strip()}; {_FIX}")
    if made.returncode:
        errors = [line for line in made.stderr.splitlines() if line.strip()] or ["no reason given"]
        reason = next((line for line in errors if "error:" in line or "FATAL" in line), errors[-1])
        raise StackError(f"Postgres's data could not be made: {reason}; see {home.log('initdb')}")
    draft.rename(data)
    return True


def remove_stale_pid_file(home: Home) -> None:
    """Remove a `postmaster.pid` whose pid is now that of another process, or which holds none, as after a full disk.

    Postgres refuses to start while that pid is alive, which after a reboot may be any process, and on a file without
    a pid. If the pid is not alive, Postgres decides itself (it also checks shared memory).
    """
    data = home.data("postgres")
    try:
        lines = (data / "postmaster.pid").read_text(errors="replace").splitlines()
        owner = data.stat().st_uid
    except OSError:
        return
    pid, _, started_at = (_number(line) for line in (*lines[:3], "", "", "")[:3])
    if pid and not psutil.pid_exists(pid):
        return
    if not any(_serves(process, data, owner, pid, started_at) for process in psutil.process_iter()):
        (data / "postmaster.pid").unlink(missing_ok=True)


def _number(line: str) -> int:
    """The positive number of a line, 0 where it has none that a pid or a time can be."""
    try:
        return number if 0 < (number := int(line)) < 2**40 else 0
    except ValueError:
        return 0


def _serves(process: psutil.Process, data: Path, owner: int, pid: int, started_at: int) -> bool:
    """Whether a process is a Postgres on this data, of which `postmaster.pid` says `pid` and `started_at`.

    Postgres runs only as the owner of its data. Another process's directory may be unreadable, even of the same
    user (as root, Postgres keeps a capability); then its pid and its start decide, and if `pid` is 0 it counts.
    """
    try:
        if process.name() != "postgres" or process.uids().effective != owner:
            return False
        try:
            return process.cwd() == str(data)
        except psutil.AccessDenied:
            return not pid or (process.pid == pid and abs(process.create_time() - started_at) <= _CLOCK_TOLERANCE_S)
    except (psutil.Error, OSError):
        return False


def make_database(stack: Stack) -> None:
    """Make the application's role and database and the read-only user, if missing.

    The application's role can make neither roles nor databases; the read-only user can make nothing at all.
    """
    import psycopg  # noqa: PLC0415 - only for `up`
    from psycopg import sql  # noqa: PLC0415

    from pipeline.db.readers import READER, RESTRICTIONS  # noqa: PLC0415

    def connect(database: str) -> psycopg.Connection:
        return psycopg.connect(
            host=LOOPBACK,
            port=stack.ports["postgres"],
            dbname=database,
            user="postgres",
            password=stack.postgres_admin_password,
            connect_timeout=5,
            sslmode="disable",
            autocommit=True,
        )

    def make_role(connection: psycopg.Connection, role: str, password: str) -> None:
        if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone() is None:
            connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
        # Sent as a hash: Postgres logs the text of a statement that fails.
        hashed = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
        connection.execute(sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(role), sql.Literal(hashed)))

    with connect("postgres") as connection:
        make_role(connection, APPLICATION, stack.postgres_password)
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (APPLICATION,)).fetchone() is None:
            name = sql.Identifier(APPLICATION)
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, name))
        connection.execute("REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC")
    with connect(APPLICATION) as connection:
        make_role(connection, READER, stack.postgres_reader_password)
        for statement in RESTRICTIONS:
            connection.execute(statement)
