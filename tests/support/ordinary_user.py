"""Run Python as another, ordinary user. Only root can."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.support.paths import ROOT

#: Users that every Linux has, without rights.
NOBODY, DAEMON = 65534, 1

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@contextmanager
def folder_of(uid: int) -> Iterator[Path]:
    """A folder of that user, on a path that everybody can enter."""
    place = Path(subprocess.check_output(["mktemp", "-d", "/tmp/poseline-test-XXXXXX"], text=True).strip())
    try:
        os.chown(place, uid, uid)
        yield place
    finally:
        subprocess.run(["rm", "-rf", str(place)], check=True)


def run_python(uid: int, place: Path, script: str, *args: str) -> str:
    """What a Python script prints that runs as that user in `place`, which is theirs."""
    shim = place / "shim"
    shim.mkdir(mode=0o755, exist_ok=True)
    # Of all that Poseline needs, only this is missing where the system's Python is older than 3.11.3.
    (shim / "async_timeout.py").write_text("from asyncio import timeout\n")
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "PYTHONPATH": f"{ROOT}:{Path(psutil.__file__).parents[1]}:{shim}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    for python in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        try:
            done = subprocess.run(
                [python, "-c", script, *args],
                user=uid,
                group=uid,
                extra_groups=[],
                cwd=place,
                env=environment,
                capture_output=True,
                text=True,
                timeout=80,
                check=False,
            )
        except OSError:
            continue
        assert done.returncode == 0, done.stderr
        return done.stdout
    pytest.skip("no Python here that an ordinary user can run")
