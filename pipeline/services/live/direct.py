"""Begin a live session from this machine itself, without `poseline web`: by who may read the database anyway."""

from __future__ import annotations

from collections.abc import Generator, Mapping

from pipeline.core.live_protocol import Hello
from pipeline.db.engine import transaction
from pipeline.db.teams import ensure_team
from pipeline.services.accounts.callers import Caller
from pipeline.services.live.begin import begin_session, give_ticket, processes_to_ask
from pipeline.services.live.processes import end_session
from pipeline.services.system import System
from pipeline.services.teams import require_team


def iter_processes(system: System, team: str, hello: Hello) -> Generator[tuple[str, Mapping[str, str]], None, None]:
    """Where a session of a team can be opened: addresses of live processes, each with the headers that let it in.

    The next one is for where the one before had no room. Closing the iterator notes the end of the session.

    Raises:
        UnknownTeam: there is no such team.
        TooManySessions: it has as many as it may have.
    """
    require_team(system, team)
    with transaction(system.engine) as connection:
        team_id = ensure_team(connection, team)
    session_id = begin_session(system, Caller(), team_id, hello)
    try:
        for process in processes_to_ask(system):
            ticket = give_ticket(system, session_id, process.name)
            yield f"{process.url}/live", {"Authorization": f"Ticket {ticket}"}
    finally:
        end_session(system, session_id, "no live process had room, or the client left")
