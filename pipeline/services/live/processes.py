"""What a live process does in Postgres: it reports, takes sessions over by their tickets, and notes how they ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from pipeline.core.tokens import token_sha256
from pipeline.db import live_processes, live_sessions
from pipeline.db.engine import transaction
from pipeline.db.live_processes import LiveProcess, LiveProcessRow
from pipeline.db.live_sessions import LiveSession
from pipeline.services.system import System


def list_processes(system: System) -> Sequence[LiveProcessRow]:
    """The live processes that reported lately, those first that have room and will be fastest."""
    with transaction(system.engine) as connection:
        return live_processes.select_processes(connection)


def report_process(system: System, process: LiveProcess, open_sessions: Sequence[UUID] = ()) -> None:
    """Report that a process is there, and that these sessions of it go on."""
    with transaction(system.engine) as connection:
        live_processes.report_process(connection, process)
        live_sessions.note_seen(connection, open_sessions)


def remove_process(system: System, name: str) -> None:
    """Report that a process takes no more sessions."""
    with transaction(system.engine) as connection:
        live_processes.remove_process(connection, name)


def take_session(system: System, process: str, ticket: str) -> LiveSession | None:
    """The session that a ticket is for, once; None where it is no ticket for this process."""
    with transaction(system.engine) as connection:
        return live_sessions.take_session(connection, process, token_sha256(ticket))


def end_session(system: System, session_id: UUID, reason: str, counts: Mapping[str, int] | None = None) -> None:
    """Note how a session ended, unless that is known."""
    with transaction(system.engine) as connection:
        live_sessions.end_session(connection, session_id, reason, counts)
