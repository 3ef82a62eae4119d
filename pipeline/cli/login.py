"""`poseline login` and `logout`: work on another machine's Poseline with a key, and stop doing so."""

from __future__ import annotations

import sys

import click

from pipeline.cli.console import Console, common, interactive, pass_console
from pipeline.errors import NotSignedIn, UsageError
from pipeline.local.home import Home
from pipeline.remote.http import Http
from pipeline.remote.login import Login, origin_of, remove_login, write_login
from pipeline.services.accounts.callers import KEY_MARK
from pipeline.settings import configured_by_environment


@click.command()
@click.argument("url", metavar="https://HOST")
@common
@pass_console
def login(console: Console, url: str) -> None:
    """Work on another machine's Poseline. The key is asked for, or read from standard input.

    An owner of the team makes one in the pages, below Keys. From then on `analyze`, `ingest`, `runs`, `show`, `export`,
    `preview`, `verify` and `cancel` ask that machine; nothing else has to be reachable from here. The key is kept in
    this home, in a file that only you can read.
    """
    origin = origin_of(url)
    if configured_by_environment():
        raise UsageError("POSELINE_DATABASE_URL names servers here; unset it to work on another machine's Poseline")
    if Home.at(console.home).stack_file.exists():
        raise UsageError(f"{console.home} has a local stack; name another home with --home, or set POSELINE_HOME")
    key = _read_key(console)
    if not key.startswith(KEY_MARK):
        raise UsageError(f"this is no key: it begins with {KEY_MARK}, as the page showed it once")
    http = Http(origin, key)
    try:
        me = http.get("/session")
    except NotSignedIn as error:
        raise NotSignedIn(error.message.partition("; then sign in")[0]) from error
    finally:
        http.close()
    (team,) = me["teams"]
    write_login(console.home, Login(origin, team["name"], team["id"], team["role"], key))
    facts = {"server": origin, "team": team["name"], "role": team["role"], "home": str(console.home)}
    if not console.print_json(facts):
        console.print(f"signed in at {origin}, team {team['name']}, as {team['role']}")


@click.command()
@common
@pass_console
def logout(console: Console) -> None:
    """Forget the machine that this home is signed in at, and the key. It stays valid: an owner can revoke it."""
    was = remove_login(console.home)
    if not console.print_json({"was_signed_in": was}):
        console.print("signed out; the key stays valid until an owner revokes it" if was else "was not signed in")


def _read_key(console: Console) -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().strip()
    if console.as_json or not interactive():
        raise UsageError("give the key on standard input")
    key: str = click.prompt("key", hide_input=True, err=True)
    return key.strip()
