"""What every command shares: its options, settings, connections and output."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console as Terminal
from rich.table import Table

from pipeline.cli.place import Place, find_place, naming_home, shown
from pipeline.errors import PoselineError, UsageError
from pipeline.local.discovery import find_home, finds_itself
from pipeline.local.home import Home
from pipeline.remote.login import read_login

if TYPE_CHECKING:
    from pipeline.cli.client import Client
    from pipeline.remote.login import Login
    from pipeline.services.system import System
    from pipeline.settings import Settings


@dataclass
class Console:
    """One invocation. Results go to stdout, progress to stderr."""

    named_home: Path | None = None
    as_json: bool = False
    debug: bool = False

    @cached_property
    def out(self) -> Terminal:
        # A pipe has no width; tables in it must not be cut.
        return Terminal(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else 200)

    @cached_property
    def err(self) -> Terminal:
        return Terminal(stderr=True, soft_wrap=True, highlight=False)

    @cached_property
    def home(self) -> Path:
        """The home that this invocation speaks of; absolute."""
        found = find_home(self.named_home)
        for other in found.passed_over:
            self.progress(f"passed over {other}: it belongs to another user")
        return found.path

    @cached_property
    def place(self) -> Place:
        """Where this invocation's runs are: `.line` for people, `.to_dict()` for --json."""
        return find_place(self)

    def naming_home(self, text: str) -> str:
        """A message whose `poseline …` commands name this home where they would otherwise mean another."""
        return text if self.named_home is None else naming_home(text, self.home)

    @cached_property
    def settings(self) -> Settings:
        from pipeline.settings import configured_by_environment, load_settings  # noqa: PLC0415  slow, not for --help

        if not configured_by_environment():
            self.check_not_signed_in()
            Home.at(self.home).check_own()
        return load_settings(self.home)

    def check_not_signed_in(self) -> None:
        """Raise `UsageError` where this home is signed in at another machine: a key does not reach its servers."""
        if self.login is not None:
            raise UsageError(
                f"this home is signed in at {self.login.origin}, and this command works on that machine alone: run it "
                "there, or use the pages; for this machine's own Poseline `poseline logout`, or name another --home"
            )

    @cached_property
    def login(self) -> Login | None:
        """Where this home is signed in; None where it is not, or the environment names servers."""
        from pipeline.settings import configured_by_environment  # noqa: PLC0415

        if configured_by_environment():
            return None
        return read_login(self.home)

    @cached_property
    def client(self) -> Client:
        """What commands ask that work from any machine."""
        if self.login is None:
            from pipeline.cli.local_client import LocalClient  # noqa: PLC0415

            return LocalClient(self)
        from pipeline.remote.client import RemoteClient  # noqa: PLC0415

        return RemoteClient(self.login, self.home)

    @property
    def models_path(self) -> Path:
        """Where fetched models are; works without configured servers."""
        named = os.environ.get("POSELINE_MODELS_DIR")
        return Path(named) if named else self.home / "models"

    @property
    def pins_path(self) -> Path | None:
        """The team's file of pins, if any; works without configured servers."""
        named = os.environ.get("POSELINE_MODELS_PINS")
        return Path(named) if named else None

    @cached_property
    def system(self) -> System:
        from pipeline.services.system import build_system  # noqa: PLC0415

        return build_system(self.settings)

    def close(self) -> None:
        """Close the connections."""
        if "system" in self.__dict__:
            self.system.close()

    def print(self, text: str) -> None:
        """Print a line of a result to stdout, with commands as they work from here; with --json nothing."""
        if not self.as_json:
            self.out.print(self.naming_home(text), markup=False)

    def progress(self, text: str) -> None:
        """Print a line on what happens now to stderr; with --json nothing."""
        if not self.as_json:
            self.err.print(text, markup=False, style="dim")

    def notice(self, text: str, **facts: object) -> None:
        """Print a line on work that takes long, or waits, to stderr; with --json an object that has `facts`, too."""
        if self.as_json:
            click.echo(json.dumps({"progress": text, **facts}), err=True)
        else:
            self.err.print(text, markup=False, style="dim")

    def error(self, error: PoselineError, name: str | None = None) -> None:
        """Print one line on what went wrong to stderr; with --json an object.

        Args:
            name: the video that it is about.
        """
        message = self.naming_home(error.message)
        if self.as_json:
            about = {} if name is None else {"video": name}
            click.echo(json.dumps({"error": type(error).__name__, "message": message, **about}), err=True)
        else:
            click.echo(f"poseline: {'' if name is None or name in message else f'{name}: '}{message}", err=True)

    def print_json(self, value: Any) -> bool:
        """Print a result as JSON if --json was given. Returns whether it was."""
        if self.as_json:
            click.echo(json.dumps(value, default=str))
        return self.as_json

    def table(self, headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print a table."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        for heading in headings:
            table.add_column(heading, overflow="fold")
        for row in rows:
            table.add_row(*("" if cell is None else str(cell) for cell in row))
        self.out.print(table, markup=False)

    def ensure_stack(self) -> None:
        """Start the local stack unless the environment names other servers."""
        from pipeline.local import stack  # noqa: PLC0415
        from pipeline.settings import configured_by_environment  # noqa: PLC0415

        if not configured_by_environment() and self.login is None:
            if not Home.at(self.home).stack_file.exists():
                self.progress(f"new local stack in {shown(self.home)}")
            stack.up(self.home, on_step=self.progress)


pass_console = click.make_pass_decorator(Console, ensure=True)


def _set(name: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    def callback(context: click.Context, _: click.Parameter, value: Any) -> None:
        if value == "":
            raise click.BadParameter("it names no directory")
        if value not in {None, False}:
            setattr(context.ensure_object(Console), name, Path(value) if name == "named_home" else value)

    return callback


def common(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that may stand before or after any command."""
    options = (
        click.option(
            "--home",
            type=click.Path(file_okay=False),
            expose_value=False,
            callback=_set("named_home"),
            help="Where the local stack keeps its data [default: the nearest .poseline, or this user's own]",
        ),
        click.option(
            "--json",
            "as_json",
            is_flag=True,
            expose_value=False,
            callback=_set("as_json"),
            help="Print JSON.",
        ),
        click.option("--debug", is_flag=True, expose_value=False, callback=_set("debug"), help="Show tracebacks."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def this_command(home: Path) -> str:
    """The command line of `poseline` on this home, as it works from the current directory."""
    script = Path(sys.argv[0])
    found = shutil.which("poseline")
    if found and (script.name != "poseline" or not script.exists() or os.path.samefile(found, script)):
        command = "poseline"
    elif script.name != "poseline":
        command = "python -m pipeline.cli.main"
    else:
        command = shlex.quote(str(script.relative_to(Path.cwd()) if script.is_relative_to(Path.cwd()) else script))
    return command if finds_itself(home) else f"{command} --home {shlex.quote(str(home))}"


def interactive() -> bool:
    """Whether stderr is a terminal."""
    return sys.stderr.isatty()
