"""The entry point of `poseline`."""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import suppress

import click

import pipeline
from pipeline.cli.commands import ARGUMENTS, Commands
from pipeline.cli.console import Console, common
from pipeline.errors import PoselineError, UsageError, disk_full_line, in_one_line
from pipeline.logs import configure_logs


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(pipeline.__version__, prog_name="poseline")
@common
@click.pass_context
def poseline(context: click.Context) -> None:
    """Find every person's pose in every frame of your team's videos."""
    if context.invoked_subcommand == "doctor" or set(context.help_option_names) & set(context.meta[ARGUMENTS]):
        return  # `doctor` reports what is wrong, and goes on
    if any(name.upper().startswith("POSELINE_") for name in os.environ):  # the settings take 0.2 s to import
        from pipeline.settings import check_variables  # noqa: PLC0415

        check_variables(os.environ)


def main(args: list[str]) -> int:
    """Run one command. Returns its exit code: 0, 1 for a failure, 2 for wrong usage."""
    configure_logs("WARNING")
    console = Console()
    try:
        code = poseline.main(args=args, prog_name="poseline", standalone_mode=False, obj=console)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  printed, with its exit code
        console.as_json = console.as_json or "--json" in args  # the options may not have been read yet
        if console.debug:
            traceback.print_exc()
        return _report(console, error)
    finally:
        console.close()


def _report(console: Console, error: BaseException) -> int:
    """Print what went wrong. Returns the exit code."""
    if isinstance(error, click.ClickException):
        if console.as_json:
            console.error(UsageError(error.format_message()))
        else:
            error.show()
        return error.exit_code
    if isinstance(error, PoselineError):
        console.error(error)
        return error.exit_code
    if (line := disk_full_line(error)) is not None:
        _drop_output()
        console.error(PoselineError(line))
        return 1
    if isinstance(error, Exception) and not isinstance(error, click.Abort):
        console.error(PoselineError(f"{in_one_line(error)}; `--debug` shows where"))
        return 1
    console.error(PoselineError("stopped"))
    return 130


def _drop_output() -> None:
    """Have what is left for stdout go nowhere: Python writes it when it exits, and would fail there again."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
