"""Many threads' calls in few turns: whoever comes first does the work of all who wait."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class _Call(Generic[Asked, Answer]):
    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.answer: Answer | Exception | None = None
        self.answered = False


class SharedTurns(Generic[Asked, Answer]):
    """Calls `work` for one thread at a time, with what all threads asked for that came while it worked.

    Args:
        work: answers each of what it is given, in order. An answer that is an exception is raised for who asked; if
            `work` raises, each is tried alone, so that one cannot spoil the others.
    """

    def __init__(self, work: Callable[[Sequence[Asked]], Sequence[Answer | Exception]]) -> None:
        self._work = work
        self._turn = threading.Lock()
        self._guard = threading.Lock()
        self._waiting: list[_Call[Asked, Answer]] = []

    def __call__(self, asked: Asked) -> Answer:
        """The answer to one.

        Raises:
            Exception: what its answer is, or what `work` raised for it alone.
        """
        mine: _Call[Asked, Answer] = _Call(asked)
        with self._guard:
            self._waiting.append(mine)
        with self._turn:
            if not mine.answered:
                with self._guard:
                    calls, self._waiting = self._waiting, []
                self._answer(calls)
        if isinstance(mine.answer, Exception):
            raise mine.answer
        return mine.answer  # type: ignore[return-value]

    def _answer(self, calls: Sequence[_Call[Asked, Answer]]) -> None:
        try:
            answers = self._work([call.asked for call in calls])
        except Exception as error:  # noqa: BLE001  raised to whom it belongs
            if len(calls) > 1:
                for call in calls:
                    self._answer([call])
                return
            answers = [error]
        for call, answer in zip(calls, answers, strict=True):
            call.answer, call.answered = answer, True
