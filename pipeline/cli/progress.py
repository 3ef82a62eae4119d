"""Progress of long work: a bar on a terminal, a line every two seconds in a log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from pipeline.cli.console import Console, interactive
from pipeline.core.speed import Speed

_LINE_EVERY_S = 2.0


class Bar:
    """The progress of one task, on stderr; with --json an object a line. The bar goes when its block ends."""

    def __init__(self, console: Console, title: str, total: int | None, unit: str = "frames") -> None:
        self._title, self._total, self._unit = title, total, unit
        self._done = 0
        self._console = console
        self._printed_at, self._printed = time.monotonic(), ("", 0)
        self._speed = Speed()
        self._task: TaskID | None = None
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn() if unit == "bytes" else MofNCompleteColumn(),
            TextColumn("{task.fields[pace]}"),
            console=console.err,
            transient=True,
            redirect_stdout=False,  # results may be going to a file
        )

    def __enter__(self) -> Bar:
        if not self._console.as_json and interactive():
            self._progress.start()
            self._task = self._progress.add_task(self._title, total=self._total, pace="")
        return self

    def advance(self, count: int = 1, /) -> None:
        """So many more units are done."""
        self.at(self._done + count)

    def total(self, count: int, /) -> None:
        """The work has so many units."""
        self._total = count
        if self._task is not None:
            self._progress.update(self._task, total=count)

    def title(self, text: str) -> None:
        """Show another title."""
        self._title = text
        if self._task is not None:
            self._progress.update(self._task, description=text)

    def step(self, message: str, /) -> None:
        """A part of the work begins."""
        self._console.notice(message)

    def at(self, done: int) -> None:
        """Set what is done so far."""
        self._done = done
        now = time.monotonic()
        self._speed.measure(now, done)
        if self._task is not None:
            self._progress.update(self._task, completed=done, pace=self._pace())
        elif self._total and now - self._printed_at >= _LINE_EVERY_S and self._printed != (self._title, done):
            self._printed_at, self._printed = now, (self._title, done)
            amount = f"{done}/{self._total} {self._unit}"
            if self._unit == "bytes":
                amount = f"{done / 1e6:.1f}/{self._total / 1e6:.1f} MB"
            parts = (f"{self._title}: {amount} ({done / self._total:.0%})", self._pace())
            self._console.notice(", ".join(filter(None, parts)), done=done, total=self._total, unit=self._unit)

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Take the bar away for a block that prints."""
        if self._task is not None:
            self._progress.stop()
        try:
            yield
        finally:
            if self._task is not None:
                self._progress.start()

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._task is not None:
            self._progress.stop()

    def _pace(self) -> str:
        """Speed and time left, as measured; empty until there is enough to tell."""
        per_s = self._speed.per_s
        if per_s is None:
            return ""
        speed = f"{per_s / 1e6:.1f} MB/s" if self._unit == "bytes" else f"{per_s:.0f} {self._unit}/s"
        left_s = self._speed.seconds_for((self._total or 0) - self._done)
        return f"{speed}, {in_time(left_s)} left" if left_s and left_s > 0 else speed


class Steps:
    """Says what begins, without a bar: for work that is mostly over at once."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def total(self, count: int, /) -> None:
        """Ignored."""

    def advance(self, count: int = 1, /) -> None:
        """Ignored."""

    def step(self, message: str, /) -> None:
        """Say what begins."""
        self._console.notice(message)


def in_time(seconds: float) -> str:
    """A duration for people: `40 s`, `12 min`, `3 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
