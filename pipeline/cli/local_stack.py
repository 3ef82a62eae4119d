"""`poseline up`, `down`, `status`: the local stack."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import click

from pipeline.cli.console import Console, common, pass_console
from pipeline.cli.drain import wait_for
from pipeline.cli.formatting import format_ago
from pipeline.cli.place import shown
from pipeline.cli.signed_in import print_server
from pipeline.core.live_protocol import Mode
from pipeline.db.live_processes import LiveProcessRow
from pipeline.errors import DeviceUnavailable, ServiceUnavailable
from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.inference.engines.sessions import Device
from pipeline.local import stack
from pipeline.local.home import RESTORING, Home
from pipeline.local.stack import StackStatus
from pipeline.services.accounts.first_owner import first_owner_link
from pipeline.services.accounts.link_addresses import web_address
from pipeline.services.drain import Drain, drain, workers_of_process
from pipeline.services.pause import in_words, pause_line
from pipeline.services.status import SystemStatus, get_status
from pipeline.settings import configured_by_environment

#: A chunk of 120 frames takes seconds; what is not finished by then is given back and begun again.
_FINISH_S = 30.0


@click.command()
@click.option("--slots", type=click.IntRange(1, 256), help="Chunks at a time [default: one per core]")
@click.option(
    "--device",
    type=click.Choice(get_args(Device)),
    help="The worker's device; see `worker --help` [default: that of the running stack, or auto]",
)
@click.option("--web-port", type=click.IntRange(1, 65535), help="Of the pages [default: 8080 or another free one]")
@click.option("--flower-port", type=click.IntRange(1, 65535), help="[default: 5555 or another free one]")
@common
@pass_console
def up(
    console: Console, slots: int | None, device: Device | None, web_port: int | None, flower_port: int | None
) -> None:
    """Start the local stack: the servers, a worker, beat, Flower, the pages, the live process. What runs is kept."""
    console.check_not_signed_in()
    ports = {name: port for name, port in (("web", web_port), ("flower", flower_port)) if port is not None}
    if device is not None and device != stack.worker_device(console.home):
        console.progress(f"checking {device}")
        _check(device, console)
    with _finishing_first(console, stack.worker_to_replace(console.home, slots, device)):
        status = stack.up(console.home, slots=slots, device=device, wanted_ports=ports, on_step=console.progress)
    if not console.print_json(_to_dict(status)):
        _print_services(console, status)
        console.print(f"pages: {_pages_line(console)}")
        console.print(f"Flower: {flower_address(console)}")
        console.print(console.place.line)


@contextmanager
def _finishing_first(console: Console, pid: int | None) -> Iterator[None]:
    """Have a worker that is about to be replaced finish what it has in hand, for half a minute at most."""
    workers: list[Drain] = []
    with suppress(ServiceUnavailable):
        if pid is not None and not configured_by_environment():
            workers = workers_of_process(console.system, pid)
    try:
        with suppress(ServiceUnavailable):
            if any(each.in_hand for each in workers):
                drain(console.system, workers)
                wait_for(console, workers, {"drained", "gone"}, _FINISH_S)
        yield
    except BaseException:
        with suppress(ServiceUnavailable):
            drain(console.system, workers, undo=True)
        raise


@click.command()
@common
@pass_console
def down(console: Console) -> None:
    """Stop the local stack; its data stays."""
    existed = Home.at(console.home).stack_file.exists()
    status = stack.down(console.home, on_step=console.progress)
    if not existed and not console.as_json:
        console.print(f"there is no local stack in {shown(status.home)}")
    elif not console.print_json(_to_dict(status)):
        console.print(f"stopped; the data stays in {shown(status.home)}")


@click.command()
@common
@pass_console
@click.pass_context
def status(context: click.Context, console: Console) -> None:
    """Show what runs: servers, workers, queues; after `login` whether that server answers, and as whom."""
    if console.login is not None:
        print_server(console, console.login)
        return
    found = None if configured_by_environment() else stack.status(console.home)
    if found is not None and not found.running:
        if not console.print_json({**console.place.to_dict(), **_to_dict(found), "workers": []}):
            console.print(console.place.line)
            _print_services(console, found)
            if any(service.state != "stopped" for service in found.services):
                line = "part of the local stack does not answer; `poseline up` restarts it, logs: "
                console.print(line + shown(found.home / "logs"))
            else:
                console.print(_how_to_start(found.home))
        context.exit(1)
    try:
        now = get_status(console.system)
        live = now.to_dict()
    except ServiceUnavailable:
        if found is not None:
            console.print(console.place.line)
            _print_services(console, found)
        raise
    if console.print_json({**console.place.to_dict(), **(_to_dict(found) if found else {}), **live}):
        return
    console.print(console.place.line)
    if found is not None:
        _print_services(console, found)
        console.print("")
    _print_workers(console, now)
    for line in map(live_line, now.live):
        console.print(line)
    if found is None:
        console.print(f"beat: {describe_beat(live['beat'])}")
    console.print("\nwaiting: " + ", ".join(f"{count} in {name}" for name, count in live["queues"].items()))


def _print_workers(console: Console, now: SystemStatus) -> None:
    live = now.to_dict()
    rows = live["workers"]
    console.table(
        ("worker", "answers", "slots", "device", "provider", "engine", "driver", "ms/frame", "computes in"),
        [
            (
                *(r["name"], "yes" if r["answers"] else "no", r["slots"]),
                *(r["device"], r["provider"], r["engine"], r["driver"]),
                r["golden_ms"] and f"{r['golden_ms']:.3g}",
                ", ".join(r["precisions"]),
            )
            for r in rows
        ],
    )
    for reason in sorted({r["reason"] for r in rows} - {""}):
        console.print(f"{', '.join(r['name'] for r in rows if r['reason'] == reason)}: {reason}")
    for line in _iter_held_back(now):
        console.print(line)
    for each in live["lost_workers"]:
        holds = f", holds {each['leases']} of its tasks" if each["leases"] else ""
        console.print(f"{each['name']} stopped reporting: last seen {format_ago(each['silent_s'])}{holds}")
    for each in live["restarting_workers"]:
        console.print(describe_restarting(each, console))


def _iter_held_back(now: SystemStatus) -> Iterator[str]:
    """What does not go on, why, and how it does: workers that drain, pauses, and parts without room."""
    for each in now.workers:
        if each.drain.since is not None:
            name = each.worker.name
            in_hand = f", {each.drain.in_hand} in hand" if each.drain.in_hand else ""
            then = f": stop it, or `poseline drain {name} --undo`" if each.drain.state == "drained" else ""
            yield f"{name} is {each.drain.state} {in_words(each.drain.since)}{in_hand}{then}"
        if each.worker.disk_low:
            yield f"{each.worker.name} takes in no videos: {each.worker.disk_low}"
    yield from map(pause_line, now.paused)
    yield from (f"no videos are taken in {in_words(short.since)}: {short.reason}" for short in now.pressure)


def describe_restarting(each: Mapping[str, Any], console: Console) -> str:
    """A worker that dies again and again in words, with where to look."""
    log = "its log" if configured_by_environment() else shown(Home.at(console.home).log("worker"))
    return (
        f"{each['name']} died {each['deaths']} times in the last hour, the last time {format_ago(each['ago_s'])}: "
        f"{log} says why; if it says nothing, its machine was short of memory or ended it"
    )


def live_line(process: LiveProcessRow) -> str:
    """A live process in words."""
    if not process.call_ms:
        return f"{process.name} is live: no session so far, for the first of which it loads {process.model}"
    sessions = "1 session" if process.sessions == 1 else f"{process.sessions} sessions"
    room = {
        Mode.FULL: "room for more",
        Mode.HYBRID: "room for a frame every half second",
        Mode.PREVIEW: "no room for more",
    }[process.room]
    lately = "" if process.p95_ms is None else f", 95 % of the frames within {process.p95_ms:.0f} ms"
    return f"{process.name} is live: {sessions}, {room}, {process.call_ms:.3g} ms a call of {process.model}{lately}"


def describe_beat(report: Mapping[str, Any] | None) -> str:
    """Beat's last tick in words, or the fix."""
    if report is None:
        return "none ticks, so that nothing is dispatched or tried again; start one with `poseline beat`"
    return f"ticked {format_ago(report['age_s'])} on {report['host']}"


def _check(device: Device, console: Console) -> None:
    """Check a device before a service is started or stopped for it, in a process of its own, so that it is freed.

    Raises:
        DeviceUnavailable: it is missing, or gives wrong results.
    """
    home = ("--home", str(console.home))
    command = ("models", "check", BUNDLED_MODEL, "--device", device, "--json")
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli.main", *home, *command], capture_output=True, text=True, check=False
    )
    problem = json.loads(done.stdout)[0]["problem"] if done.stdout else _message_of(done.stderr)
    if problem is not None:
        raise DeviceUnavailable(problem or f"{device} could not be checked")


def _message_of(stderr: str) -> str:
    """The message of a command's error under --json, which may follow what libraries print; empty if there is none."""
    for line in reversed(stderr.splitlines()):
        with suppress(ValueError, TypeError, KeyError):
            return str(json.loads(line)["message"])
    return ""


def _pages_line(console: Console) -> str:
    """The address of the pages, or, while nobody has an account, the link by which the first owner makes one."""
    link = first_owner_link(console.system)
    return web_address(console.settings) if link is None else f"{link} (makes the first account, works once)"


def flower_address(console: Console) -> str:
    """Flower's URL and how to log in."""
    settings = console.settings
    return (
        f"http://127.0.0.1:{settings.flower_port} "
        f"(user {settings.flower_user}, password in {shown(console.home / 'poseline.env')})"
    )


def _to_dict(status: StackStatus) -> dict[str, object]:
    return {"home": str(status.home), "running": status.running, "services": [asdict(s) for s in status.services]}


def _how_to_start(home: Path) -> str:
    if (home / RESTORING).exists():
        return "a backup was not restored completely; repeat `poseline restore`"
    return "the local stack is not running; `poseline up` starts it"


def _print_services(console: Console, status: StackStatus) -> None:
    console.table(
        ("service", "state", "pid", "port", ""),
        [(s.name, s.state, s.pid, s.port, console.naming_home(s.detail)) for s in status.services],
    )
