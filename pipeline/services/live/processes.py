"""What a live process does in Postgres: it reports, takes sessions over by their tickets, and notes how they ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
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


def register_process(system: System, process: LiveProcess) -> datetime:
    """Report that a process begins. The time tells it from others of its name, before and after it."""
    with transaction(system.engine) as connection:
        return live_processes.register_process(connection, process)


def report_process(
    system: System, process: LiveProcess, registered: datetime, open_sessions: Sequence[UUID] = ()
) -> bool:
    """Report that a process is there, and that these sessions of it go on. False where its name is another's now."""
    with transaction(system.engine) as connection:
        has_name = live_processes.report_process(connection, process, registered)
        live_sessions.note_seen(connection, open_sessions)
        return has_name


def remove_process(system: System, name: str, registered: datetime) -> None:
    """Report that a process takes no more sessions."""
    with transaction(system.engine) as connection:
        live_processes.remove_process(connection, name, registered)


def take_session(system: System, process: str, ticket: str) -> LiveSession | None:
    """The session that a ticket is for, once; None where it is no ticket for this process."""
    with transaction(system.engine) as connection:
        return live_sessions.take_session(connection, process, token_sha256(ticket))


def end_session(system: System, session_id: UUID, reason: str, counts: Mapping[str, int] | None = None) -> None:
    """Note how a session ended, unless that is known."""
    with transaction(system.engine) as connection:
        live_sessions.end_session(connection, session_id, reason, counts)
