"""`poseline drain`: have workers finish what they have in hand and take nothing more, for a deploy."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Sequence

import click

from pipeline.cli.console import Console, common, pass_console
from pipeline.errors import UsageError
from pipeline.services.drain import Drain, DrainState, count_taking_work, find_workers, follow
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
        workers = wait_for(console, workers, {"drained", "gone"})
    if stop and (left := [each.worker for each in workers if each.state == "drained"]):
        system.queue.shut_down_workers(left)
        workers = wait_for(console, workers, {"gone"})
    workers = follow(system, workers)
    if console.print_json([each.to_dict() for each in workers]):
        return
    for each in workers:
        console.print(f"{each.worker}: {each.in_words()}")
    if not undo and not count_taking_work(system):
        console.progress("no worker takes work now: what waits is done once one does")


def wait_for(
    console: Console, workers: Sequence[Drain], states: Collection[DrainState], timeout_s: float = math.inf
) -> list[Drain]:
    """Wait until each is in one of these states, showing what they have in hand as it changes. Returns them as they are
    then, or after `timeout_s`."""
    shown: dict[str, str] = {}
    until = time.monotonic() + timeout_s
    while True:
        now = follow(console.system, workers)
        waiting = [each for each in now if each.state not in states]
        for each in waiting:
            if shown.get(each.worker) != each.in_words():
                shown[each.worker] = each.in_words()
                console.notice(f"{each.worker}: {each.in_words()}")
        if not waiting or time.monotonic() > until:
            return now
        time.sleep(_POLL_S)
