"""Poseline as another person runs it: with a directory of their own, without anything of root's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.support.paths import ROOT

NOBODY = 65534


@dataclass(frozen=True)
class Person:
    """Somebody with a home directory in `place`, in which they may write.

    Args:
        uid: theirs; None for whoever runs the tests.
    """

    place: Path
    python: str
    uid: int | None
    env: dict[str, str] = field(repr=False)

    def run(self, *command: str, at: str = ".", timeout_s: float = 120.0) -> subprocess.CompletedProcess[str]:
        """Run Python with these arguments in a directory of theirs, which is made."""
        where = self.place / at
        where.mkdir(parents=True, exist_ok=True)
        as_them = {} if self.uid is None else {"user": self.uid, "group": self.uid, "extra_groups": []}
        if self.uid is not None:
            os.chown(where, self.uid, self.uid)
        return subprocess.run(
            [self.python, *command],
            cwd=where,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            **as_them,  # type: ignore[call-overload]
        )


@contextmanager
def person(uid: int | None) -> Iterator[Person]:
    """Somebody for one block; their files are removed after it. Skips the test if there is no Python for them."""
    if uid is not None and os.geteuid() != 0:
        pytest.skip("only root can become another user")
    # Not in pytest's directory, which only its owner can enter.
    place = Path(tempfile.mkdtemp(prefix="poseline-test-", dir="/tmp"))
    try:
        env = {
            "HOME": str(place / "home"),
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "PYTHONPATH": f"{ROOT}:{Path(psutil.__file__).parents[1]}:{place / 'shim'}",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        for name in ("home", "shim"):
            (place / name).mkdir(mode=0o755)
        # Of all that Poseline needs, only this is missing where the system's Python is older than 3.11.3.
        (place / "shim" / "async_timeout.py").write_text("from asyncio import timeout\n")
        if uid is not None:
            for path in (place, place / "home"):
                os.chown(path, uid, uid)
        for python in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
            somebody = Person(place, python, uid, env)
            try:
                if somebody.run("-c", "import pipeline, psutil").returncode == 0:
                    break
            except OSError:
                continue
        else:
            pytest.skip("no Python here that an ordinary user can run")
        yield somebody
    finally:
        shutil.rmtree(place)
