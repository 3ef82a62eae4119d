"""`poseline live`: the process that finds people in what cameras send."""

from __future__ import annotations

import os
import secrets
import socket
from typing import Any, get_args

import click

from pipeline.cli.camera_options import Wanted, camera_options, check_kind
from pipeline.cli.console import Console, common, pass_console
from pipeline.cli.live_camera import run_camera
from pipeline.cli.processes import DEVICES, bound
from pipeline.db.engine import transaction
from pipeline.db.migrate import check_revision
from pipeline.inference.engines.sessions import Device


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), help="[default: POSELINE_LIVE_PORT]")
@click.option("--address", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--device", type=click.Choice(get_args(Device)), default="auto", show_default=True, help=" ".join(DEVICES.values())
)
@click.option("--slots", type=click.IntRange(1, 256), help="Frames at a time [default: by the cores and threads]")
@click.option("--threads", type=click.IntRange(1, 64), help="Of a CPU, for each frame [default: at most 4]")
@click.option("--lazy", is_flag=True, help="Load the model for the first session only, which waits for it.")
@click.option("--name", help="The process's name in `poseline status` [default: a random one]")
@camera_options
@common
@pass_console
@click.pass_context
def live(
    context: click.Context,
    console: Console,
    /,
    port: int | None,
    address: str,
    device: Device,
    slots: int | None,
    threads: int | None,
    lazy: bool,
    name: str | None,
    **wanted: Any,
) -> None:
    """Run the live process: it finds the people in what cameras send, while they send it.

    First it runs its model on the golden images, as workers do; with --lazy it does so for the first session. Cameras
    reach it through `poseline web`, which sends each to a process that has room; POSELINE_LIVE_URL says where that is,
    if not at the address and port here.

    With --camera it is such a camera instead: it sends a video file, as fast as it was filmed, or what a camera of this
    machine films, to the local stack's live process, or to the machine that this home is signed in at. It prints how
    long each step took. Ctrl-C ends it.
    """
    check_kind(context, camera=wanted["camera"] is not None)
    if wanted["camera"] is not None:
        run_camera(console, Wanted(**wanted))
        return
    from pipeline.live.options import Options  # noqa: PLC0415
    from pipeline.live.server import serve_live  # noqa: PLC0415
    from pipeline.logs import configure_logs  # noqa: PLC0415

    settings = console.settings
    with bound(address, port or settings.live_port) as listener:
        with transaction(console.system.engine) as connection:
            check_revision(connection)
        configure_logs(os.environ.get("POSELINE_LOG_LEVEL", "INFO"), as_json=os.environ.get("POSELINE_LOG_JSON") == "1")
        node = f"{name or f'live-{secrets.token_hex(3)}'}@{socket.gethostname()}"
        url = settings.live_url or f"ws://{_host(address)}:{listener.getsockname()[1]}"
        options = Options(node, url, device, slots, threads, lazy)
        serve_live(console.system, listener, options, lambda _: _say(console, node, url))


def _host(address: str) -> str:
    """What others connect to where a process listens on this address."""
    if address in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        return socket.gethostname()
    return f"[{address}]" if ":" in address else address


def _say(console: Console, name: str, url: str) -> None:
    if not console.print_json({"name": name, "url": url}):
        console.progress(f"{name} takes live sessions at {url}")
