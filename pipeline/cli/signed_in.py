"""What `status` and `doctor` say in a home that is signed in at another machine: what that one answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from importlib.metadata import version

from pipeline.cli.console import Console
from pipeline.cli.place import shown
from pipeline.errors import PoselineError, ServiceUnavailable
from pipeline.remote.login import FILE, Login
from pipeline.remote.server_report import ServerReport, ask_server

_NO_WORKER = "no worker runs there, so that runs wait; tell who runs that server"


def print_server(console: Console, login: Login) -> None:
    """Print where this home is signed in, and what that server answers.

    Raises:
        PoselineError: it does not answer, or does not know the key.
    """
    try:
        found = ask_server(login)
    except PoselineError:
        console.print(console.place.line)
        raise
    if console.print_json({**console.place.to_dict(), "team": found.team, "server": asdict(found)}):
        return
    console.print(f"server: {found.origin}, team {found.team}")
    console.print(_answers(found))
    console.print(_key(found))
    console.print("workers: there" if found.has_workers else f"workers: {_NO_WORKER}")
    for each in found.paused:
        console.print(f"{each} is paused there")


def checks_elsewhere(console: Console, login: Login) -> dict[str, Callable[[], str]]:
    """What there is to check for such a home, beside this machine itself; each raises what is wrong."""

    @cache
    def asked() -> ServerReport | PoselineError:
        try:
            return ask_server(login)
        except PoselineError as error:
            return error

    def found() -> ServerReport:
        told = asked()
        if isinstance(told, PoselineError):
            raise told
        return told

    def server() -> str:
        told = asked()
        if isinstance(told, ServiceUnavailable):
            raise told
        return f"{login.origin} answers" if isinstance(told, PoselineError) else _answers(told)

    def key() -> str:
        return "not known: see server" if isinstance(asked(), ServiceUnavailable) else _key(found())

    def workers() -> str:
        if isinstance(asked(), PoselineError):
            return "not known: see above"
        if not found().has_workers:
            raise ServiceUnavailable(_NO_WORKER)
        return "at least one runs there"

    def signed_in() -> str:
        return f"at {login.origin}, by the key in {shown(console.home / FILE)}, which only you can read"

    return {"signed in": signed_in, "server": server, "key": key, "workers": workers}


def _answers(found: ServerReport) -> str:
    here = version("poseline")
    other = "" if found.version == here else f"; this machine has {here}"
    return f"answers within {found.answer_ms:.0f} ms, Poseline {found.version}{other}"


def _key(found: ServerReport) -> str:
    return f"key {found.key!r} of team {found.team}, as {found.role}"
