"""The commands by what they are for, each loaded when it is asked for: the libraries behind them take a second."""

from __future__ import annotations

import importlib
from typing import NamedTuple

import click


class Entry(NamedTuple):
    """Where a command is, below this package, and its line in the list of them."""

    where: str
    line: str


SECTIONS = {
    "Videos": {
        "analyze": Entry("analyze:analyze", "Find the people in videos, wait, write their poses to files."),
        "ingest": Entry("analyze:ingest", "The same without waiting."),
        "runs": Entry("results:runs", "List the newest runs."),
        "show": Entry("results:show", "Show one run: how far it is, what it found, what went wrong."),
        "cancel": Entry("results:cancel", "End runs that nobody wants any more."),
        "export": Entry("results:export", "Write a run's poses to a file."),
        "preview": Entry("results:preview", "Draw a run's skeletons on its video or a contact sheet."),
        "verify": Entry("results:verify", "Hold a run's frames against its stored video."),
    },
    "Models": {
        "models": Entry("models:models", "List models, fetch them, check them on this machine."),
        "eval": Entry("evaluate:evaluate", "Measure how good a model is."),
        "bench": Entry("bench:bench", "Measure how fast this machine is, and what limits it."),
    },
    "This machine": {
        "demo": Entry("demo:demo", "Start the local stack and analyse the bundled clip."),
        "up": Entry("local_stack:up", "Start the local stack: servers, a worker, Flower."),
        "down": Entry("local_stack:down", "Stop it; its data stays."),
        "status": Entry("local_stack:status", "Say what runs: servers, workers, queues."),
        "doctor": Entry("doctor:doctor", "Check every part; say what is wrong and the mend."),
    },
    "Your own servers": {
        "worker": Entry("processes:worker", "Run one worker, which finds people in chunks of frames."),
        "beat": Entry("processes:beat", "Run the clock that dispatches and mends."),
        "flower": Entry("processes:flower", "Run Flower, read-only and behind a password."),
        "db": Entry("processes:db", "Look after the database."),
        "store": Entry("processes:store", "Look after the object store."),
        "teams": Entry("teams:teams", "List teams, set their weights and limits."),
    },
}
_ENTRIES = {name: entry for section in SECTIONS.values() for name, entry in section.items()}


class Commands(click.Group):
    """A group that knows its commands by name and imports the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        return list(_ENTRIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _ENTRIES:
            return None
        module, _, name = _ENTRIES[cmd_name].where.partition(":")
        command: click.Command = getattr(importlib.import_module(f"{__package__}.{module}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        widest = max(map(len, _ENTRIES))
        for title, entries in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(widest), entry.line) for name, entry in entries.items()])
