"""Python imports this where its folder is on PYTHONPATH: it changes how a worker of a test analyses frames.

`TEST_POISON` is `FRAMES:FRAME:SIGNAL:WHOM`: in a video of so many frames that one sends a signal to the process that
analyses it (`process`), or to its worker even where it is tried alone (`parent`). `TEST_FRAME_S` is how long each frame
takes at least. `TEST_EVERY_DEATH_COUNTS` has every death of a worker count against the work that it held.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def _poison(frames: str, poison: str, name: str, whom: str) -> None:
    from pipeline.services import chunk_poses  # noqa: PLC0415 - only in processes of a test

    inner, number = chunk_poses.iter_pose_rows, signal.Signals[name]

    def iter_pose_rows(given: Any, model: Any, index: Any, *args: Any) -> Iterator[Any]:
        for row in inner(given, model, index, *args):
            if row.frame == int(poison) and len(index) == int(frames):
                if whom == "parent" and b"trial_process" in Path("/proc/self/cmdline").read_bytes():
                    os.kill(os.getppid(), number)
                os.kill(os.getpid(), number)
            yield row

    chunk_poses.iter_pose_rows = iter_pose_rows


def _slow(frame_s: float) -> None:
    from pipeline.services import chunk_poses  # noqa: PLC0415

    inner = chunk_poses.iter_pose_rows

    def iter_pose_rows(*args: Any) -> Iterator[Any]:
        for row in inner(*args):
            time.sleep(frame_s)
            yield row

    chunk_poses.iter_pose_rows = iter_pose_rows


def _every_death_counts() -> None:
    from pipeline.services import detect, leased_work  # noqa: PLC0415
    from pipeline.services.reconcile import expired_leases  # noqa: PLC0415

    leased_work.is_evidence = expired_leases.is_evidence = lambda *_, **__: True  # type: ignore[assignment]
    detect.is_suspect = lambda *_: False  # type: ignore[assignment]


if "TEST_POISON" in os.environ:
    _poison(*os.environ["TEST_POISON"].split(":"))
if "TEST_FRAME_S" in os.environ:
    _slow(float(os.environ["TEST_FRAME_S"]))
if "TEST_EVERY_DEATH_COUNTS" in os.environ:
    _every_death_counts()
