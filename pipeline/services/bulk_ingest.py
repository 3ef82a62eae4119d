"""Take in many videos at once, and request their runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Protocol

from pipeline.errors import PoselineError, ServiceUnavailable, Stopping, in_one_line
from pipeline.services.to_take_in import Item, OnBytes, TakenIn

#: Postgres or the object store may be away for so long, as when they restart.
OUTAGE_S = 30.0
_ASK_AGAIN_S = 1.0
#: Videos listed per thread: enough that none is idle, and few where a million are listed while they are taken in.
_AHEAD = 4


class BulkIntake(Protocol):
    """Takes in videos, from many threads: as `Intake` does."""

    stopping: threading.Event
    on_wait: Callable[[str], None]

    def take_in(self, item: Item, on_bytes: OnBytes = ...) -> TakenIn:
        """Take in a video and request its run."""

    def forget_left(self) -> None:
        """Remove what is left of uploads that were broken off."""

    def check_servers(self) -> None:
        """Raise `ServiceUnavailable` where a server does not answer."""

    def close(self) -> None:
        """Close what it has open."""


def ingest_all(
    intake: BulkIntake,
    items: Iterable[Item],
    *,
    jobs: int,
    on_begin: Callable[[Item], None],
    on_bytes: OnBytes,
    on_end: Callable[[Item, TakenIn | PoselineError], None],
) -> int:
    """Take in every video, `jobs` at once. Returns how many were not tried, because a server stayed away.

    On KeyboardInterrupt those under way are broken off and leave nothing half-made; what has ended is reported first.

    Args:
        on_begin: called with each as it is read from `items`.
        on_bytes: called with numbers of bytes that are dealt with, from one thread at a time; for each file its size in
            all, whatever became of it.
        on_end: called with each and what became of it, from one thread at a time, as soon as it has ended.
    """
    turn = threading.Lock()
    asking = threading.Lock()
    begun = ended = 0

    def take(item: Item) -> None:
        nonlocal ended
        left = item.size_bytes

        def count(sent: int) -> None:
            nonlocal left
            with turn:
                left -= sent
                on_bytes(sent)

        try:
            result: TakenIn | PoselineError = _take_in(intake, item, count, asking)
        except Stopping:
            return
        except PoselineError as error:
            result = error
        except Exception as error:  # noqa: BLE001  such as a disk that cannot be read: the others go on
            result = PoselineError(in_one_line(error))
        with turn:
            ended += 1
            on_bytes(left)
            on_end(item, result)

    todo = iter(items)
    with _stopping_pool(intake, jobs) as pool:
        running: set[Future[None]] = set()
        for item in todo:
            begun += 1
            on_begin(item)
            running.add(pool.submit(take, item))
            while len(running) >= jobs * _AHEAD:
                running = _wait_for_one(running)
            if intake.stopping.is_set():
                break
        while running:
            running = _wait_for_one(running)
    return begun - ended + sum(1 for _ in todo)


@contextmanager
def _stopping_pool(intake: BulkIntake, jobs: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that are told to stop, and waited for, when the block ends."""
    pool = ThreadPoolExecutor(jobs, thread_name_prefix="ingest")
    try:
        yield pool
    finally:
        intake.stopping.set()
        pool.shutdown(wait=True, cancel_futures=True)


def _wait_for_one(running: set[Future[None]]) -> set[Future[None]]:
    done, rest = wait(running, return_when=FIRST_COMPLETED)
    for each in done:
        each.result()  # raises what `on_end` raised
    return rest


def _take_in(intake: BulkIntake, item: Item, on_bytes: OnBytes, asking: threading.Lock) -> TakenIn:
    """Take in one video; once more where a server did not answer, and does again within 30 s.

    Raises:
        ServiceUnavailable: it is about this video alone, or the servers stayed away: then the others are not tried.
        Stopping: the command ends.
    """
    try:
        return intake.take_in(item, on_bytes)
    except ServiceUnavailable as error:
        with asking:  # one thread asks, the others wait with it
            if not _servers_are_back(intake, error):
                intake.stopping.set()
                raise error
            intake.forget_left()
    return intake.take_in(item, on_bytes)


def _servers_are_back(intake: BulkIntake, error: ServiceUnavailable) -> bool:
    """Wait until the servers answer, and say so. Returns whether they did in time."""
    for tries in range(round(OUTAGE_S / _ASK_AGAIN_S)):
        try:
            intake.check_servers()
        except PoselineError:
            if not tries:
                intake.on_wait(f"{error.message}; waiting {OUTAGE_S:.0f} s for it")
            if intake.stopping.wait(_ASK_AGAIN_S):
                raise Stopping from None
            continue
        return True
    return False
