"""Progress of long work: a bar on a terminal, a line every two seconds in a log."""

from __future__ import annotations

import time
from types import TracebackType

from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from pipeline.cli.console import Console, interactive

_LINE_EVERY_S = 2.0


class Bar:
    """The progress of one task, on stderr; silent with --json."""

    def __init__(self, console: Console, title: str, total: int | None, unit: str = "frames") -> None:
        self._title, self._total, self._unit = title, total, unit
        self._done = 0
        self._silent = console.as_json
        self._terminal = console.err
        self._started_at = self._printed_at = time.monotonic()
        self._task: TaskID | None = None
        columns = (
            (DownloadColumn(), TransferSpeedColumn())
            if unit == "bytes"
            else (MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
        )
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            *columns,
            TimeRemainingColumn(),
            console=console.err,
            transient=False,
            speed_estimate_period=10,
        )

    def __enter__(self) -> Bar:
        if not self._silent and interactive():
            self._progress.start()
            self._task = self._progress.add_task(self._title, total=self._total, rate="")
        return self

    def advance(self, count: int = 1, /) -> None:
        """So many more units are done."""
        self.at(self._done + count)

    def total(self, count: int, /) -> None:
        """The work has so many units."""
        self._total = count
        if self._task is not None:
            self._progress.update(self._task, total=count)

    def step(self, message: str, /) -> None:
        """A part of the work begins."""
        if not self._silent:
            self._terminal.print(message, markup=False, style="dim")

    def at(self, done: int) -> None:
        """Set what is done so far."""
        self._done = done
        now = time.monotonic()
        rate = done / max(now - self._started_at, 1e-6)
        if self._task is not None:
            text = f"{rate:.0f} {self._unit}/s" if done and self._unit != "bytes" else ""
            self._progress.update(self._task, completed=done, rate=text)
        elif not self._silent and self._total and now - self._printed_at >= _LINE_EVERY_S:
            self._printed_at = now
            left = f", {(self._total - done) / rate:.0f} s left" if done else ""
            self._terminal.print(
                f"{self._title}: {done}/{self._total} {self._unit} ({done / self._total:.0%}){left}", markup=False
            )

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._task is not None:
            self._progress.stop()
