"""The console script: Ctrl-C is clean from the first moment, also while the libraries are loading."""

from __future__ import annotations

import sys


def run() -> None:
    """Run one command and exit with its code."""
    try:
        from pipeline.cli.main import main  # noqa: PLC0415  what may be interrupted

        code = main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.stderr.write("poseline: stopped\n")
        code = 130
    sys.exit(code)
