"""`poseline worker`, `beat`, `flower`, `db`, `store`: for Compose and your own servers.

The first three replace this process by Celery's, so that signals and the exit code need no forwarding.
"""

from __future__ import annotations

import os
import secrets
import socket
import sys
import tempfile
from pathlib import Path
from typing import get_args

import click

from pipeline.cli.console import Console, common, pass_console
from pipeline.db.engine import transaction
from pipeline.db.migrate import check_revision, upgrade
from pipeline.errors import PoselineError, SchemaOutdated, ServiceUnavailable, UsageError, WrongEncoding
from pipeline.inference.engines.sessions import Device
from pipeline.local.ports import forbidden_line
from pipeline.queue import CONTROL, FRAMES, FRAMES_IN
from pipeline.settings import configured_by_environment

DEVICES: dict[Device, str] = {
    "auto": "auto: the fastest that works here.",
    "cpu": "cpu: onnxruntime.",
    "openvino": "openvino: the CPU with OpenVINO, needed for bf16 on a CPU.",
    "cuda": "cuda: an NVIDIA GPU.",
    "tensorrt": "tensorrt: an NVIDIA GPU with TensorRT; building its engines takes minutes.",
    "coreml": "coreml: a Mac.",
}


class PortTaken(PoselineError):
    """The port is taken."""


class PortForbidden(PoselineError):
    """Only root may listen on the port."""


def _become_celery(console: Console, *args: str, **environment: str) -> None:
    os.environ.update(environment, POSELINE_HOME=str(console.home))
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-m", "celery", "-A", "workers.app", *args])  # noqa: S606


def _check_schema_if_reachable(console: Console) -> None:
    """Refuse to start for a database in which no worker can do what is due; beat itself needs only Redis.

    Raises:
        SchemaOutdated, WrongEncoding: the database is not this version's.
    """
    try:
        with transaction(console.system.engine) as connection:
            check_revision(connection)
    except (SchemaOutdated, WrongEncoding):
        raise
    except ServiceUnavailable:  # beat may have no way to the database, as in docker-compose.yml
        return


def _check_scratch(folder: Path) -> None:
    """Refuse to start where every chunk would fail for want of a place for scratch files."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UsageError(
            f"scratch files cannot be kept in {folder} ({error.strerror}); name a place with --home or POSELINE_HOME"
        ) from error


@click.command()
@click.option(
    "--device", type=click.Choice(get_args(Device)), default="auto", show_default=True, help=" ".join(DEVICES.values())
)
@click.option("--slots", type=click.IntRange(1, 256), help="Chunks at a time [default: one per core]")
@click.option("--queues", default=f"{CONTROL},{FRAMES}", show_default=True, help="Queues, separated by commas.")
@click.option("--name", help="The worker's name in Flower [default: a random one]")
@common
@pass_console
def worker(console: Console, device: Device, slots: int | None, queues: str, name: str | None) -> None:
    """Run one worker: it takes chunks of frames and finds the people in them.

    First it runs the bundled model on the golden images. It does not start if the device asked for is missing or gives
    other results on them.
    """
    from pipeline.inference.engines.capabilities import precisions_on  # noqa: PLC0415 - with onnxruntime, 0.2 s

    wanted = queues.split(",")
    unknown = set(wanted) - {CONTROL, FRAMES}
    if unknown:
        raise UsageError(f"there is no queue {sorted(unknown)[0]!r}; the queues are {CONTROL} and {FRAMES}")
    of_frames = [FRAMES_IN[precision] for precision in precisions_on(device)]
    with transaction(console.system.engine) as connection:
        check_revision(connection)
    console.system.store.check_bucket()
    _check_scratch(console.settings.scratch_path)
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
    """Run the clock: a tick every few seconds, on which workers dispatch and reconcile. More than one does no harm."""
    console.system.queue.ping()
    _check_schema_if_reachable(console)
    _become_celery(console, "beat", "--scheduler=workers.schedule:TickScheduler", "--pidfile=", "--loglevel=WARNING")


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), help="[default: POSELINE_FLOWER_PORT]")
@click.option("--address", default="127.0.0.1", show_default=True, help="Address to listen on.")
@common
@pass_console
def flower(console: Console, port: int | None, address: str) -> None:
    """Run Flower, read-only and with a password, to watch workers and tasks."""
    settings = console.settings
    if settings.flower_password is None:
        raise UsageError("POSELINE_FLOWER_PASSWORD is not set: Flower does not run without a password")
    chosen = port or settings.flower_port
    bound(address, chosen).close()
    _become_celery(
        console,
        "flower",
        f"--address={address}",
        f"--port={chosen}",
        "--read_only=True",
        "--purge_offline_workers=60",
        "--tasks_columns=name,args,state,received,started,runtime,worker",
        "--logging=warning",
        # In the environment: every user of the machine can read arguments.
        FLOWER_BASIC_AUTH=f"{settings.flower_user}:{settings.flower_password.get_secret_value()}",
    )


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), help="[default: POSELINE_WEB_PORT]")
@click.option("--address", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--tls", is_flag=True, help="Over HTTPS, for other devices on this network, which are asked once to trust it."
)
@common
@pass_console
def web(console: Console, port: int | None, address: str, tls: bool) -> None:
    """Run the API and the pages.

    Over plain HTTP browsers give a page no camera, no exact playback and no check of uploads, but on localhost. With
    --tls the certificate comes from an authority of this home; behind a proxy that has a certificate it is not needed.
    """
    from pipeline.api.server import serve  # noqa: PLC0415 - FastAPI, 0.5 s
    from pipeline.logs import configure_logs  # noqa: PLC0415

    settings = console.settings
    with bound(address, port or settings.web_port) as listener:
        with transaction(console.system.engine) as connection:
            check_revision(connection)
        configure_logs(os.environ.get("POSELINE_LOG_LEVEL", "INFO"), as_json=os.environ.get("POSELINE_LOG_JSON") == "1")
        certificate = _certificate(console, *listener.getsockname()[:2]) if tls else None
        serve(console.system, listener, trusted_proxies=settings.web_trusted_proxies, certificate=certificate)


def _certificate(console: Console, address: str, port: int) -> Path:
    """The certificate of this home, and how devices come to trust it."""
    from pipeline.local.certificates import ensure_certificate, names_of_this_machine  # noqa: PLC0415

    found = ensure_certificate(console.home / "tls", names_of_this_machine())
    here_alone = address == "::1" or address.startswith("127.")
    for name in ("localhost",) if here_alone else found.names:
        console.progress(f"https://{name}:{port}")
    if here_alone:
        console.progress("from this machine alone; --address 0.0.0.0 lets other devices in")
    console.progress(f"a device that asks: install {found.authority} on it as a trusted authority, once")
    return found.chain


def bound(address: str, port: int) -> socket.socket:
    """A socket that will listen there.

    Raises:
        PortForbidden, PortTaken: it cannot.
    """
    # With its protocol named: asyncio switches delays off only then, and each answer would wait for 40 ms.
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address, port))
    except OSError as error:
        listener.close()
        if isinstance(error, PermissionError):
            raise PortForbidden(forbidden_line(port, "--port")) from error
        raise PortTaken(f"port {port} on {address} is taken; choose another with --port") from error
    return listener


@click.group()
@common
def db() -> None:
    """Manage the database."""


@db.command("upgrade")
@common
@pass_console
def db_upgrade(console: Console) -> None:
    """Upgrade the database to this version's schema."""
    revision = upgrade(console.settings.database_url.get_secret_value())
    if not console.print_json({"revision": revision}):
        console.print(f"the database is at schema {revision}")


@click.group()
@common
def store() -> None:
    """Manage the object store."""


@store.command("init")
@common
@pass_console
def store_init(console: Console) -> None:
    """Make the bucket if it is missing."""
    console.system.store.ensure_bucket()
    if not console.print_json({"bucket": console.system.store.bucket}):
        console.print(f"the bucket {console.system.store.bucket} exists")


@db.command("url")
@click.option("--read-only", is_flag=True, help="Of the user who can read the views and change nothing.")
@common
@pass_console
def db_url(console: Console, read_only: bool) -> None:
    """Print the database's URL with its password: `psql "$(poseline db url --read-only)"`."""
    secret = console.settings.database_reader_url if read_only else console.settings.database_url
    if secret is None:
        raise UsageError(
            "POSELINE_DATABASE_READER_URL is not set: make the role poseline_reader as docs/operations.md shows, run "
            "`poseline db upgrade`, and set it to that role's URL"
            if configured_by_environment()
            else "this stack has no read-only user yet: run `poseline up`, which makes it"
        )
    url = secret.get_secret_value()
    if not console.print_json({"url": url, "read_only": read_only}):
        click.echo(url)
