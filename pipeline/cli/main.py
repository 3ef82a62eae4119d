"""The entry point of `poseline`."""

from __future__ import annotations

import os
import sys
import traceback

import click

import pipeline
from pipeline.cli.commands import ARGUMENTS, Commands
from pipeline.cli.console import Console, common
from pipeline.errors import PoselineError, in_one_line
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
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  printed, with its exit code
        if console.debug:
            traceback.print_exc()
        message, exit_code = _describe(error)
        click.echo(f"poseline: {message}", err=True)
        return exit_code
    finally:
        console.close()
    return code if isinstance(code, int) else 0


def _describe(error: BaseException) -> tuple[str, int]:
    """The message to print, and the exit code."""
    if isinstance(error, PoselineError):
        return error.message, error.exit_code
    if isinstance(error, Exception) and not isinstance(error, click.Abort):
        return f"{in_one_line(error)}; `--debug` shows where", 1
    return "stopped", 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
