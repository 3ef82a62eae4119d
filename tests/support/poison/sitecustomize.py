"""Python imports this where its folder is on PYTHONPATH: it makes one frame of one video kill whoever analyses it.

`TEST_POISON` is `FRAMES:FRAME:SIGNAL:WHOM`: how many frames the video has, which one is poison, the signal's name, and
`process` or `parent`, which kills the worker even from a process in which the chunk is tried alone.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from typing import Any

_POISON = os.environ.get("TEST_POISON")


def _poison(frames: int, poison: int, number: int, whom: str) -> None:
    from pipeline.services import chunk_poses  # noqa: PLC0415 - only in processes of a test

    inner = chunk_poses.iter_pose_rows

    def iter_pose_rows(given: Iterable[Any], model: Any, index: Any, *args: Any) -> Iterator[Any]:
        for row in inner(given, model, index, *args):
            if row.frame == poison and len(index) == frames:
                if whom == "parent" and "trial_process" in open(f"/proc/{os.getpid()}/cmdline").read():  # noqa: SIM115
                    os.kill(os.getppid(), number)
                os.kill(os.getpid(), number)
            yield row

    chunk_poses.iter_pose_rows = iter_pose_rows


if _POISON:
    _frames, _frame, _signal, _whom = _POISON.split(":")
    _poison(int(_frames), int(_frame), signal.Signals[_signal], _whom)
