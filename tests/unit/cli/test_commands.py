"""The list of commands: each is where it says, and showing it loads none of them."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from pipeline.cli.commands import SECTIONS
from pipeline.cli.main import poseline

NAMES = [name for section in SECTIONS.values() for name in section]

_LOADED = """
import sys
from pipeline.cli.main import main
try:
    main(["--help"])
finally:
    heavy = {"numpy", "cv2", "onnxruntime", "sqlalchemy", "boto3", "celery", "pydantic"} & set(sys.modules)
    print("loaded", sorted(heavy), file=sys.stderr)
"""


@pytest.mark.parametrize("name", NAMES)
def test_a_command_is_called_what_it_is_listed_as(name: str) -> None:
    command = poseline.get_command(click.Context(poseline), name)
    assert command is not None
    assert command.name == name
    assert CliRunner().invoke(poseline, [name, "--help"]).exit_code == 0


def test_no_command_is_listed_twice() -> None:
    assert len(NAMES) == len(set(NAMES))


def test_the_list_names_every_command_and_cuts_no_line() -> None:
    shown = CliRunner().invoke(poseline, ["--help"], terminal_width=80).output
    for section, entries in SECTIONS.items():
        assert f"{section}:" in shown
        assert all(f"  {name} " in shown and entry.line in shown for name, entry in entries.items())


def test_the_list_comes_before_any_library_is_loaded() -> None:
    done = subprocess.run([sys.executable, "-c", _LOADED], capture_output=True, text=True, timeout=60, check=True)
    assert "Videos:" in done.stdout
    assert done.stderr.strip() == "loaded []"


_STARTED = """
import signal, sys
from pipeline.cli import entry
sys.argv[1:] = ["models"]
try:
    entry.run()
finally:
    print(signal.getsignal(signal.SIGINT).name, file=sys.stderr)
"""


def test_in_the_background_ctrl_c_stays_ignored() -> None:
    """As in every Unix tool: a shell starts `poseline … &` so, and its Ctrl-C is meant for something else."""
    background = ["sh", "-c", 'trap "" INT; exec "$0" -c "$1"', sys.executable, _STARTED]
    done = subprocess.run(background, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr.strip() == "SIG_IGN"
