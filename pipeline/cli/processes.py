"""`poseline worker`, `beat`, `flower`, `db`: one process each, for compose and for your own servers.

A process is Celery's own, in place of this one, so that its signals and its exit code are its supervisor's to see.
"""

from __future__ import annotations

import os
import secrets
import socket
import sys
from typing import get_args

import click

from pipeline.cli.console import Console, common, pass_console
from pipeline.db.engine import transaction
from pipeline.db.migrate import check_revision, upgrade
from pipeline.errors import PoselineError, UsageError
from pipeline.inference.engines.sessions import Device
from pipeline.queue import CONTROL, FRAMES, FRAMES_IN

_DEVICES: dict[Device, str] = {
    "auto": "auto: the best that works here.",
    "cpu": "cpu: onnxruntime.",
    "openvino": "openvino: the CPU with OpenVINO, which bf16 on a CPU needs.",
    "cuda": "cuda: an NVIDIA GPU.",
    "tensorrt": "tensorrt: the same with TensorRT, which builds its engines for minutes.",
    "coreml": "coreml: a Mac.",
}


class PortTaken(PoselineError):
    """The port is taken."""


def _become_celery(console: Console, *args: str, **environment: str) -> None:
    os.environ.update(environment, POSELINE_HOME=str(console.home))
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-m", "celery", "-A", "workers.app", *args])  # noqa: S606


@click.command()
@click.option(
    "--device", type=click.Choice(get_args(Device)), default="auto", show_default=True, help=" ".join(_DEVICES.values())
)
@click.option("--slots", type=click.IntRange(1, 256), help="Chunks at once [default: one per core]")
@click.option("--queues", default=f"{CONTROL},{FRAMES}", show_default=True, help="Which work.")
@click.option("--name", help="The worker's name in Flower [default: made up]")
@common
@pass_console
def worker(console: Console, device: Device, slots: int | None, queues: str, name: str | None) -> None:
    """Run one worker process: takes chunks of frames and finds the people in them.

    It shows the bundled model the golden pictures first, and does not start on another device than the one asked for,
    nor on one that finds something else in them.
    """
    from pipeline.inference.engines.capabilities import precisions_on  # noqa: PLC0415 - with onnxruntime, 0.2 s

    wanted = queues.split(",")
    unknown = set(wanted) - {CONTROL, FRAMES}
    if unknown:
        raise UsageError(f"there is no queue {sorted(unknown)[0]!r}; the queues are {CONTROL} and {FRAMES}")
    of_frames = [FRAMES_IN[precision] for precision in precisions_on(device)]
    with transaction(console.system.engine) as connection:
        check_revision(connection)
    node = name or f"worker-{secrets.token_hex(3)}"
    _become_celery(
        console,
        "worker",
        f"--concurrency={slots or os.cpu_count() or 1}",
        f"--queues={','.join(name for each in wanted for name in (of_frames if each == FRAMES else [each]))}",
        f"--hostname={node}@%h",
        "--without-gossip",
        "--without-mingle",
        "--loglevel=INFO",
        POSELINE_DEVICE=device,
        OMP_NUM_THREADS="1",
    )


@click.command()
@common
@pass_console
def beat(console: Console) -> None:
    """Run the clock: a tick every few seconds, on which workers dispatch and reconcile. Two are as good as one."""
    console.system.queue.ping()
    _become_celery(console, "beat", "--scheduler=workers.schedule:TickScheduler", "--pidfile=", "--loglevel=WARNING")


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), help="[default: POSELINE_FLOWER_PORT]")
@click.option("--address", default="127.0.0.1", show_default=True, help="Where to listen.")
@common
@pass_console
def flower(console: Console, port: int | None, address: str) -> None:
    """Run Flower, read-only and behind a password, to watch workers and tasks."""
    settings = console.settings
    if settings.flower_password is None:
        raise UsageError("POSELINE_FLOWER_PASSWORD is not set: Flower does not run without a password")
    chosen = port or settings.flower_port
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((address, chosen))
        except OSError as error:
            raise PortTaken(f"port {chosen} on {address} is taken; choose another with --port") from error
    _become_celery(
        console,
        "flower",
        f"--address={address}",
        f"--port={chosen}",
        "--read_only=True",
        "--purge_offline_workers=60",
        "--tasks_columns=name,args,state,received,started,runtime,worker",
        "--logging=warning",
        # In the environment, because arguments can be read by everyone on the machine.
        FLOWER_BASIC_AUTH=f"{settings.flower_user}:{settings.flower_password.get_secret_value()}",
    )


@click.group()
@common
def db() -> None:
    """Look after the database."""


@db.command("upgrade")
@common
@pass_console
def db_upgrade(console: Console) -> None:
    """Bring the database to this version's schema."""
    revision = upgrade(console.settings.database_url.get_secret_value())
    if not console.print_json({"revision": revision}):
        console.print(f"the database is at schema {revision}")


@click.group()
@common
def store() -> None:
    """Look after the object store."""


@store.command("init")
@common
@pass_console
def store_init(console: Console) -> None:
    """Make the bucket where it is missing."""
    console.system.store.ensure_bucket()
    if not console.print_json({"bucket": console.system.store.bucket}):
        console.print(f"the bucket {console.system.store.bucket} is there")


@db.command("url")
@common
@pass_console
def db_url(console: Console) -> None:
    """Print the database's URL with its password: `psql "$(poseline db url)"`."""
    click.echo(console.settings.database_url.get_secret_value())
