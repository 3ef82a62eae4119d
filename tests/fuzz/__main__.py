"""`python -m tests.fuzz`: a campaign on servers of its own, or one case again."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.local import stack
from pipeline.logs import configure_logs
from pipeline.services.system import System, build_system
from pipeline.settings import load_settings
from tests.fuzz.campaign import fuzz_settings, make_cases, run_cases
from tests.fuzz.journey import ANALYSED_SHARE
from tests.fuzz.mutations import Case, make_case


@contextmanager
def _system() -> Iterator[System]:
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        home = Path(folder)
        stack.up(home, only=stack.SERVERS)
        try:
            system = build_system(fuzz_settings(load_settings(home)), pool_size=10)
            yield system
            system.close()
        finally:
            stack.down(home)


def _main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("seed", nargs="?", help="a seed's name, or the path of a saved case")
    parser.add_argument("number", nargs="?", type=int, help="of the case to run again")
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--start", type=int, default=1, help="the first number; another one gives other files")
    parser.add_argument("--threads", type=int, default=2)
    folder = Path(tempfile.gettempdir()) / "poseline-fuzz"
    parser.add_argument("--folder", type=Path, default=folder, help=f"for the cases that fail; {folder} by default")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers end too
    configure_logs("CRITICAL")
    if asked.seed is None:
        cases = make_cases(asked.start, asked.files)
    elif asked.number is None:
        path = Path(asked.seed)
        cases = iter(
            [Case(path.stem, 1, "", (), path.read_bytes()), Case(path.stem, ANALYSED_SHARE, "", (), path.read_bytes())]
        )
    else:
        cases = iter([make_case(asked.seed, asked.number)])
    with _system() as system:
        tally = run_cases(system, cases, asked.folder, threads=asked.threads)
    for line in tally.problems:
        print("PROBLEM", line)  # noqa: T201
    return bool(tally.problems)


if __name__ == "__main__":
    sys.exit(_main())
