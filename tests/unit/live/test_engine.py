"""Device calls over sessions: turns, batches that are not waited for, and one waiting frame each."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import pipeline.live.engine
from pipeline.core.poses import FramePoses
from pipeline.errors import DeviceUnavailable, InvalidOutput
from pipeline.live.engine import Analysed, Engine, Job
from tests.support.harness import wait_until


class Gated:
    """A model whose calls wait to be let through; it tells which images each was given, by their first value."""

    def __init__(self, batch: int = 1) -> None:
        self.batch = batch
        self.calls: list[list[int]] = []
        self.error: Exception | None = None
        self._gate = threading.Semaphore(0)
        self._began = threading.Semaphore(0)

    def detect(self, images: Sequence[Any], scales: Sequence[float]) -> list[FramePoses]:
        assert len(images) == len(scales)
        self.calls.append([int(image[0]) for image in images])
        self._began.release()
        assert self._gate.acquire(timeout=20)
        if self.error is not None:
            raise self.error
        if any(int(image[0]) == 13 for image in images):
            raise InvalidOutput("no numbers")
        return [FramePoses.empty() for _ in images]

    def begun(self) -> None:
        assert self._began.acquire(timeout=20)

    def let(self, count: int = 1) -> None:
        self._gate.release(count)


class Outcomes:
    """What became of each frame, in the order in which it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, Analysed | None]] = []
        self._changed = threading.Condition()

    def job(self, session: object, number: int) -> Job:
        def done(outcome: Analysed | None) -> None:
            with self._changed:
                self.told.append((number, outcome))
                self._changed.notify_all()

        return Job(session, np.array([number], np.uint8), 1.0, done)

    def wait(self, count: int) -> list[tuple[int, str]]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.told) >= count, 20)
        assert len(self.told) == count
        return [(n, "superseded" if o is None else o.reason or "analysed") for n, o in self.told]


@pytest.fixture
def outcomes() -> Outcomes:
    return Outcomes()


@pytest.fixture
def started(request: pytest.FixtureRequest) -> Iterator[tuple[Gated, Engine, list[str]]]:
    model, lost = Gated(getattr(request, "param", 1)), []
    engine = Engine(model, 1, 10.0, lost.append)  # type: ignore[arg-type]
    yield model, engine, lost
    model.let(99)
    engine.close()


Started = tuple[Gated, Engine, list[str]]


def test_sessions_take_turns_and_the_latest_frame_wins_in_its_place(started: Started, outcomes: Outcomes) -> None:
    model, engine, _ = started
    engine.offer(outcomes.job("a", 1))
    model.begun()
    for session, number in (("a", 2), ("b", 20), ("c", 30), ("a", 3), ("b", 21), ("a", 4)):
        engine.offer(outcomes.job(session, number))
    assert outcomes.wait(3) == [(2, "superseded"), (20, "superseded"), (3, "superseded")]
    model.let(4)
    assert outcomes.wait(7)[3:] == [(1, "analysed"), (4, "analysed"), (21, "analysed"), (30, "analysed")]
    assert model.calls == [[1], [4], [21], [30]]


@pytest.mark.parametrize("started", [4], indirect=True)
def test_a_call_takes_what_waits_and_never_waits_for_more(started: Started, outcomes: Outcomes) -> None:
    model, engine, _ = started
    engine.offer(outcomes.job(0, 0))
    model.begun()
    assert model.calls == [[0]]
    for session in range(1, 7):
        engine.offer(outcomes.job(session, session))
    model.let(3)
    outcomes.wait(7)
    assert model.calls == [[0], [1, 2, 3, 4], [5, 6]]
    assert [outcome.batch for _, outcome in outcomes.told if outcome] == [1, 4, 4, 4, 4, 2, 2]


@pytest.mark.parametrize("started", [4], indirect=True)
def test_a_frame_that_gives_no_numbers_costs_the_others_nothing(started: Started, outcomes: Outcomes) -> None:
    model, engine, _ = started
    engine.offer(outcomes.job(0, 0))
    model.begun()
    for session, number in enumerate((12, 13, 14), 1):
        engine.offer(outcomes.job(session, number))
    model.let(5)
    assert outcomes.wait(4)[1:] == [(12, "analysed"), (13, "no numbers"), (14, "analysed")]


def test_a_device_that_fails_is_told_once(started: Started, outcomes: Outcomes) -> None:
    model, engine, lost = started
    model.error = DeviceUnavailable("it fell off the bus")
    model.let(2)
    for number in (1, 2):
        engine.offer(outcomes.job("a", number))
        outcomes.wait(number)
    assert outcomes.wait(2) == [(1, "it fell off the bus"), (2, "it fell off the bus")]
    assert lost == ["it fell off the bus"]


def test_what_waits_of_a_session_that_ends_is_dropped(started: Started, outcomes: Outcomes) -> None:
    model, engine, _ = started
    engine.offer(outcomes.job("a", 1))
    model.begun()
    engine.offer(outcomes.job("b", 2))
    engine.offer(outcomes.job("c", 3))
    engine.withdraw("b")
    engine.withdraw("nobody")
    model.let(2)
    assert outcomes.wait(3) == [(2, "superseded"), (1, "analysed"), (3, "analysed")]


class PerPerson:
    """A model of two stages: a call takes longer where there are people, whom it knows by their not being grey."""

    batch = 2
    spec = SimpleNamespace(side_px=None)

    def detect(self, images: Sequence[Any], scales: Sequence[float]) -> list[FramePoses]:
        assert len(images) == len(scales)
        time.sleep(0.001 + 0.02 * sum(float(image.std()) > 20 for image in images))
        return [FramePoses.empty() for _ in images]


def test_a_call_is_measured_with_people_and_as_full_as_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(PerPerson(), 1, 10.0, lambda _: None)  # type: ignore[arg-type]
    try:
        engine.measure()
        assert engine.call_ms > 40
        monkeypatch.setattr(pipeline.live.engine, "_PAUSE_S", 0.0)
        monkeypatch.setattr(pipeline.live.engine, "_NEWEST_AFTER_A_PAUSE", 1.0)
        engine.call_ms = 0.0
        engine.try_out()
        wait_until(lambda: engine.call_ms, 20)
        assert engine.call_ms > 20
    finally:
        engine.close()
