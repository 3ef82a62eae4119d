"""Begin a live session: under its team's limit, at a process that has room."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from pipeline.core.live_protocol import Hello
from pipeline.core.tokens import new_token, token_sha256
from pipeline.db import live_sessions
from pipeline.db.engine import transaction
from pipeline.db.live_processes import LiveProcessRow
from pipeline.errors import TooManySessions
from pipeline.services.accounts.callers import Caller
from pipeline.services.live.processes import list_processes
from pipeline.services.system import System

#: Processes that are asked before a client is told that there is no room.
_ASKED = 5


def begin_session(system: System, caller: Caller, team_id: UUID, hello: Hello) -> UUID:
    """Begin a session of a team. It counts until it has ended.

    Raises:
        TooManySessions: the team has as many as it may have.
    """
    at_most = system.settings.live_sessions_per_team
    with transaction(system.engine) as connection:
        session_id = live_sessions.begin_session(
            connection,
            team_id,
            account_id=None if caller.account is None else caller.account.id,
            api_key_id=None if caller.key is None else caller.key.id,
            mode=hello.mode,
            name=hello.name,
            keep=hello.keep,
            at_most=at_most,
        )
    if session_id is None:
        sessions = "1 live session" if at_most == 1 else f"{at_most} live sessions"
        raise TooManySessions(f"this team has {sessions}, as many as it may have at once; end one first")
    return session_id


def processes_to_ask(system: System) -> Sequence[LiveProcessRow]:
    """The few of them that a session asks for room. What they reported may have changed since, so that none is left
    out for having had none."""
    return list_processes(system)[:_ASKED]


def give_ticket(system: System, session_id: UUID, process: str) -> str:
    """A ticket with which a session goes to a process; it is valid once, for half a minute."""
    ticket = new_token()
    with transaction(system.engine) as connection:
        live_sessions.give_ticket(connection, session_id, process, token_sha256(ticket))
    return ticket
