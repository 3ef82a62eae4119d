"""The commands by topic. Each is imported when it is called: the libraries behind them take a second to load."""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple

import click


class Entry(NamedTuple):
    """A command's module and name below this package, and its line of help."""

    where: str
    line: str


SECTIONS = {
    "Videos": {
        "analyze": Entry("analyze:analyze", "Find the people in videos, wait, write their poses to files."),
        "ingest": Entry("ingest:ingest", "The same without waiting."),
        "watch": Entry("watch:watch", "Take in what other tools put into a bucket."),
        "runs": Entry("results:runs", "List the newest runs."),
        "show": Entry("results:show", "Show one run: progress, results, errors."),
        "queue": Entry("queue:queue", "Show what waits, how fast it goes, and when each run will be done."),
        "tag": Entry("tagging:tag", "Show or change a video's tags."),
        "cancel": Entry("results:cancel", "Cancel runs."),
        "retry": Entry("retry:retry", "Try again what failed, was cancelled or was given up."),
        "export": Entry("results:export", "Write a run's poses to a file."),
        "preview": Entry("results:preview", "Draw a run's skeletons on its video or a contact sheet."),
        "verify": Entry("verify:verify", "Check a run's frames against its stored video."),
        "login": Entry("login:login", "Work on another machine's Poseline, by its API and a key."),
        "logout": Entry("login:logout", "Forget that machine and the key."),
    },
    "Versions": {
        "compare": Entry("versions:compare", "Show how two runs of a video differ."),
        "promote": Entry("versions:promote", "Make a run its video's current one."),
        "rollback": Entry("versions:rollback", "Go back to the run that was current before."),
        "history": Entry("versions:history", "Show which runs were current, by whom and why."),
        "report": Entry("report:report", "Report on a schedule or pass: what changed, the worst."),
        "reprocess": Entry("reprocess:reprocess", "Analyse videos again by another model, once."),
        "schedule": Entry("schedule:schedule", "Analyse videos again at night, by the clock."),
    },
    "Models": {
        "models": Entry("models:models", "List models, fetch them, check them on this machine."),
        "eval": Entry("evaluate:evaluate", "Measure a model's accuracy on annotated images."),
        "bench": Entry("bench:bench", "Measure this machine's speed, and what limits it."),
    },
    "This machine": {
        "demo": Entry("demo:demo", "Start the local stack and analyse the bundled clip."),
        "up": Entry("local_stack:up", "Start the local stack: servers, a worker, pages."),
        "down": Entry("local_stack:down", "Stop it; its data stays."),
        "status": Entry("local_stack:status", "Show what runs: servers, workers, queues."),
        "backup": Entry("backup:backup", "Copy the database and the objects into a folder."),
        "restore": Entry("backup:restore", "Make a stack in an empty home from a backup."),
        "doctor": Entry("doctor:doctor", "Check every part; print what is wrong and the fix."),
    },
    "Your own servers": {
        "worker": Entry("processes:worker", "Run one worker, which finds people in chunks of frames."),
        "beat": Entry("processes:beat", "Run the clock that dispatches and reconciles."),
        "flower": Entry("processes:flower", "Run Flower, read-only and with a password."),
        "web": Entry("processes:web", "Run the API and the pages."),
        "live": Entry("live:live", "Run the process that analyses cameras live."),
        "db": Entry("processes:db", "Manage the database."),
        "store": Entry("processes:store", "Manage the object store."),
        "drain": Entry("drain:drain", "Have workers finish what they have in hand, for a deploy."),
        "pause": Entry("pause:pause", "Send no more work of a team or lane to workers."),
        "resume": Entry("pause:resume", "Go on with a team or lane."),
        "accounts": Entry("accounts:accounts", "List and add who can sign in, make links for them."),
        "teams": Entry("teams:teams", "List and add teams, set their weights and limits."),
        "retention": Entry("retention:retention", "Show or set how long teams keep what."),
        "erase": Entry("erase:erase", "Erase videos, a person or a team for good, with a receipt."),
    },
}
#: Where a call's arguments are in the context's `meta`.
ARGUMENTS = "poseline.arguments"
_ENTRIES = {name: entry for section in SECTIONS.values() for name, entry in section.items()}


class Commands(click.Group):
    """A group that lists its commands by name and imports only the one that is called."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[ARGUMENTS] = list(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:  # click would print an empty line, also where every line is to be an object
            if not ctx.obj.as_json:
                click.echo(err=True)
            raise click.Abort from error

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
