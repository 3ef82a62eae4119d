"""How processes begin that do one thing for the process that started them."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

from pipeline.logs import configure_logs
from pipeline.video.lockdown import die_with_parent

#: Added to the badness by which the kernel chooses whom to end where memory runs out, of at most 1000.
_OOM_SCORE = 500


def begin_child(parent_pid: int) -> None:
    """End with the thread that started this process, be ended before it where memory runs out, and log as it does."""
    die_with_parent(parent_pid)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, too, which then ends this process
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(_OOM_SCORE))
    configure_logs(os.environ.get("POSELINE_LOG_LEVEL", "INFO"), as_json=os.environ.get("POSELINE_LOG_JSON") == "1")
