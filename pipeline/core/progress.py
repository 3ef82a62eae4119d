"""How long work reports where it is, whoever shows it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives the progress of one piece of work, in units that the work names. May be called from several threads."""

    def total(self, count: int, /) -> None:
        """The work has so many units."""

    def advance(self, count: int = 1, /) -> None:
        """So many more units are done."""

    def step(self, message: str, /) -> None:
        """A part of the work begins."""


class Silent:
    """Shows nothing."""

    def total(self, count: int, /) -> None:
        """Ignored."""

    def advance(self, count: int = 1, /) -> None:
        """Ignored."""

    def step(self, message: str, /) -> None:
        """Ignored."""


SILENT: Progress = Silent()
