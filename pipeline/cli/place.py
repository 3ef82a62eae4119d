"""Where a command's runs are: the home and its local stack, or servers that the environment names."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.local.discovery import finds_itself

if TYPE_CHECKING:
    from pipeline.cli.console import Console


@dataclass(frozen=True)
class Place:
    """What a command speaks of.

    Args:
        home: of this invocation; absolute.
        database: `host:port/name` of servers that the environment names; None for the local stack of that home.
        server: that the home is signed in at, with a key of `team`.
    """

    home: Path
    database: str | None = None
    server: str | None = None
    team: str | None = None

    @property
    def line(self) -> str:
        """One line for people, without a password."""
        if self.server is not None:
            return f"server: {self.server}, team {self.team}"
        if self.database is None:
            return f"home: {shown(self.home)} (local stack)"
        return f"servers: Postgres {self.database}, from the environment"

    def to_dict(self) -> dict[str, str | None]:
        """The same as JSON."""
        if self.server is not None:
            return {"home": str(self.home), "servers": self.server, "team": self.team, "database": None}
        servers = "local" if self.database is None else "environment"
        return {"home": str(self.home), "servers": servers, "database": self.database}


def find_place(console: Console) -> Place:
    """Where this invocation's runs are.

    Raises:
        UsageError: there is no home, or the environment's settings cannot be read.
    """
    from pipeline.settings import configured_by_environment  # noqa: PLC0415  slow, and not needed for --help

    if console.login is not None:
        return Place(console.home, server=console.login.origin, team=console.login.team)
    if not configured_by_environment():
        return Place(console.home)
    url = console.system.engine.url
    host = "" if url.host is None else f"[{url.host}]" if ":" in url.host else url.host
    return Place(console.home, f"{host}{f':{url.port}' if url.port else ''}/{url.database}")


def shown(path: Path) -> str:
    """A path as people write it, with `~` for their home directory."""
    start = Path(os.path.realpath(os.path.expanduser("~")))
    return f"~/{path.relative_to(start)}" if start != Path("/") and start in path.parents else str(path)


def naming_home(text: str, home: Path) -> str:
    """A message whose commands work as they stand: `poseline up` with `--home` where it would mean another home."""
    from pipeline.settings import configured_by_environment  # noqa: PLC0415

    if "`poseline " not in text or configured_by_environment() or finds_itself(home):
        return text
    return re.sub("`poseline (?!--home)", lambda _: f"`poseline --home {shlex.quote(str(home))} ", text)
