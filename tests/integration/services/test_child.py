"""Processes that do one thing for another end with it, and before it where memory runs out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.harness import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

_CHILD = """
import os
from pathlib import Path
from pipeline.services.child import begin_child
begin_child(os.getppid())
print(os.getpid(), Path("/proc/self/oom_score_adj").read_text(), flush=True)
input()
"""
_PARENT = f"""
import subprocess, sys
subprocess.run([sys.executable, "-c", {_CHILD!r}])
"""


def test_it_is_ended_first_and_not_left_behind() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid, score = map(int, parent.stdout.readline().split())
        assert score > int(Path(f"/proc/{parent.pid}/oom_score_adj").read_text())
        os.kill(pid, signal.SIGINT)
        assert Path(f"/proc/{pid}/stat").read_text().split()[2] in "SR", "Ctrl-C is for its parent to act on"
        parent.kill()
        wait_until(lambda: not _runs(pid), 10)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
