"""`poseline up`, `down`, `status`: the whole system on this machine."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from typing import get_args

import click

from pipeline.cli.console import Console, common, pass_console
from pipeline.errors import DeviceUnavailable, ServiceUnavailable
from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.inference.engines.sessions import Device
from pipeline.local import stack
from pipeline.local.stack import StackStatus
from pipeline.services.status import get_status
from pipeline.settings import configured_by_environment


@click.command()
@click.option("--slots", type=click.IntRange(1, 256), help="Chunks at once [default: one per core]")
@click.option(
    "--device",
    type=click.Choice(get_args(Device)),
    help="Of the worker; see `worker --help` [default: that of the running stack, or auto]",
)
@click.option("--flower-port", type=click.IntRange(1, 65535), help="[default: a free one]")
@common
@pass_console
def up(console: Console, slots: int | None, device: Device | None, flower_port: int | None) -> None:
    """Start the local stack: Postgres, Valkey, SeaweedFS, a worker, beat, Flower. Twice is fine."""
    if device is not None and device != stack.worker_device(console.home):
        console.step(f"checking {device}")
        _check(device, console)
    status = stack.up(console.home, slots=slots, device=device, flower_port=flower_port, on_step=console.step)
    if not console.facts(_facts(status)):
        _say_services(console, status)
        console.say(f"Flower: {flower_words(console)}")


@click.command()
@common
@pass_console
def down(console: Console) -> None:
    """Stop the local stack; its data stays."""
    status = stack.down(console.home, on_step=console.step)
    if not console.facts(_facts(status)):
        console.say(f"stopped; the data stays in {status.home}")


@click.command()
@common
@pass_console
@click.pass_context
def status(context: click.Context, console: Console) -> None:
    """Say what runs: servers, workers, queues."""
    found = None if configured_by_environment() else stack.status(console.home)
    if found is not None and not found.running:
        if not console.facts({**_facts(found), "workers": []}):
            _say_services(console, found)
            if any(service.state == "running" for service in found.services):
                console.say(f"the local stack runs in part; why the rest does not is in {found.home / 'logs'}")
            else:
                console.say("the local stack is not running; `poseline up` starts it")
        context.exit(1)
    try:
        live = get_status(console.system).to_dict()
    except ServiceUnavailable:
        if found is not None:
            _say_services(console, found)
        raise
    if console.facts({**(_facts(found) if found else {}), **live}):
        return
    if found is not None:
        _say_services(console, found)
        console.say("")
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
    for why in sorted({r["why"] for r in rows} - {""}):
        console.say(f"why {', '.join(r['name'] for r in rows if r['why'] == why)} there: {why}")
    console.say("\nwaiting: " + ", ".join(f"{count} in {name}" for name, count in live["queues"].items()))


def _check(device: Device, console: Console) -> None:
    """Try a device before anything is started or stopped for it, in a process that holds nothing of it afterwards.

    Raises:
        DeviceUnavailable: it is not there, or computes wrongly.
    """
    home = ("--home", str(console.home))
    command = ("models", "check", BUNDLED_MODEL, "--device", device, "--json")
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli.main", *home, *command], stdout=subprocess.PIPE, text=True, check=False
    )
    problem = json.loads(done.stdout)[0]["problem"] if done.stdout else f"{device} could not be checked"
    if problem is not None:
        raise DeviceUnavailable(problem)


def flower_words(console: Console) -> str:
    """Where Flower is and how to get in."""
    settings = console.settings
    return (
        f"http://127.0.0.1:{settings.flower_port} "
        f"(user {settings.flower_user}, password in {console.home / 'poseline.env'})"
    )


def _facts(status: StackStatus) -> dict[str, object]:
    return {"home": str(status.home), "running": status.running, "services": [asdict(s) for s in status.services]}


def _say_services(console: Console, status: StackStatus) -> None:
    console.table(
        ("service", "state", "pid", "port", ""),
        [(s.name, s.state, s.pid, s.port, s.detail) for s in status.services],
    )
