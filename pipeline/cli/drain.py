"""`poseline drain`: have workers finish what they have in hand and take nothing more, for a deploy."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import click

from pipeline.cli.console import Console, common, pass_console
from pipeline.errors import UsageError
from pipeline.services.drain import Drain, count_taking_work, find_workers, follow
from pipeline.services.drain import drain as drain_workers

_POLL_S = 0.2


@click.command()
@click.argument("names", metavar="WORKER...", nargs=-1, required=True)
@click.option("--wait", is_flag=True, help="Wait until it has nothing in hand.")
@click.option("--stop", is_flag=True, help="Wait, then end its process, which a supervisor starts again.")
@click.option("--undo", is_flag=True, help="Take work again.")
@common
@pass_console
def drain(console: Console, names: tuple[str, ...], wait: bool, stop: bool, undo: bool) -> None:
    """Have workers take nothing more and finish what they have in hand.

    A drained worker can be stopped without a chunk having to be done again. It stays drained until it is started again,
    or until --undo. `poseline status` names the workers; the part of a name after the @ may be left out.
    """
    if undo and (wait or stop):
        raise UsageError("--undo has nothing to wait for or to stop; leave out the other")
    system = console.system
    workers = find_workers(system, names)
    drain_workers(system, workers, undo=undo)
    if wait or stop:
        workers = _wait(console, workers, lambda each: each.state in {"drained", "gone"})
    if stop and (left := [each.worker for each in workers if each.state == "drained"]):
        system.queue.shut_down_workers(left)
        workers = _wait(console, workers, lambda each: each.state == "gone")
    workers = follow(system, workers)
    if console.print_json([each.to_dict() for each in workers]):
        return
    for each in workers:
        console.print(f"{each.worker}: {each.in_words()}")
    if not undo and not count_taking_work(system):
        console.progress("no worker takes work now: what waits is done once one does")


def _wait(console: Console, workers: Sequence[Drain], ended: Callable[[Drain], bool]) -> list[Drain]:
    """Wait until each has `ended`, showing what they have in hand as it changes."""
    shown: dict[str, str] = {}
    while True:
        now = follow(console.system, workers)
        for each in now:
            if not ended(each) and shown.get(each.worker) != each.in_words():
                shown[each.worker] = each.in_words()
                console.progress(f"{each.worker}: {each.in_words()}")
        if all(map(ended, now)):
            return now
        time.sleep(_POLL_S)
