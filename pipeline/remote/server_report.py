"""What the server says at which a home is signed in: whether it answers, its version, and whose key this is."""

from __future__ import annotations

import time
from dataclasses import dataclass

from pipeline.errors import NotSignedIn
from pipeline.remote.http import Http
from pipeline.remote.login import Login


@dataclass(frozen=True)
class ServerReport:
    """What it said.

    Args:
        answer_ms: how long the shortest answer took.
        key: what the key is called.
        team: of the key, as it is called now; so is its role.
        has_workers: whether a worker is there that analyses.
        paused: what is held back, such as `team club`.
    """

    origin: str
    version: str
    answer_ms: float
    key: str
    team: str
    role: str
    has_workers: bool
    paused: tuple[str, ...]


def ask_server(login: Login) -> ServerReport:
    """Ask the server about itself and about the key.

    Raises:
        ServiceUnavailable: it does not answer.
        NotSignedIn: the key is not valid, or no longer.
        PoselineError: it answers otherwise than a Poseline server.
    """
    http = Http(login.origin, login.key)
    try:
        begun = time.monotonic()
        http.get("/health")
        answer_ms = 1000 * (time.monotonic() - begun)
        me = http.get("/session")
        if me["kind"] != "key" or not me["teams"]:
            raise NotSignedIn(f"the key is of no team any more; sign in again with `poseline login {login.origin}`")
        (team,) = me["teams"]
        poll = http.post(f"{login.team_path}/runs/poll", {"run_ids": []})
        pauses = http.get(f"{login.team_path}/pauses")["items"]
        return ServerReport(
            login.origin,
            str(http.get("/openapi.json")["info"]["version"]),
            round(answer_ms, 1),
            str(me["name"]).removeprefix("key "),
            str(team["name"]),
            str(team["role"]),
            bool(poll["has_workers"]),
            tuple(f"{pause['kind']} {pause['name']}".strip() for pause in pauses),
        )
    finally:
        http.close()
