"""Check that the process in this container does its work: `health.py worker NODE | beat | flower | web | live`.

That it runs proves nothing: a container whose process ends is restarted anyway. So each probe checks its function.
It uses the process's settings and only the queue of Poseline: `celery inspect` would import the models' libraries at
every probe.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

ANSWER_S = 5.0
FLOWER = "http://127.0.0.1:5555/healthcheck"
WEB = "http://127.0.0.1:8080/api/v1/health"
LIVE = "http://127.0.0.1:8090/health"


def worker_answers(node: str) -> bool:
    """Whether the worker's consumer answers through the broker; its lease and report threads could outlive it."""
    name = f"{node}@{socket.gethostname()}"
    replies = _app().control.ping(destination=[name], timeout=ANSWER_S) or []
    return any(name in reply for reply in replies)


def beat_ticks() -> bool:
    """Whether this container's beat sends a tick before three are due.

    Celery's `beat_enable_remote_control` shows only that a thread beside the scheduler runs.
    """
    from pipeline.queue import TICKED  # noqa: PLC0415 - not for Flower's probe

    app = _app()
    here = f"@{socket.gethostname()}"
    due_s = 3 * float(app.conf.beat_schedule["tick"]["schedule"]) + ANSWER_S
    until = time.monotonic() + due_s
    ticked = False

    def on_tick(event: dict[str, Any]) -> None:
        nonlocal ticked
        ticked = ticked or str(event.get("hostname", "")).endswith(here)

    with app.connection_for_read(heartbeat=0) as connection:
        receiver = app.events.Receiver(connection, handlers={TICKED: on_tick})
        with contextlib.suppress(TimeoutError):  # no event arrived
            for _ in receiver.itercapture(limit=None, timeout=due_s, wakeup=False):
                if ticked or time.monotonic() > until:
                    break
    return ticked


def serves(url: str) -> bool:
    """Whether this process answers over HTTP."""
    with urllib.request.urlopen(url, timeout=ANSWER_S) as answer:  # noqa: S310  one of those above
        return bool(answer.status == 200)


def _app() -> Any:
    from pipeline.queue import build_celery  # noqa: PLC0415
    from pipeline.settings import load_settings  # noqa: PLC0415

    app = build_celery(load_settings(Path(os.environ["POSELINE_HOME"])))
    app.conf.broker_connection_retry = False
    return app


def main(role: str, *names: str) -> int:
    probes: dict[str, Callable[..., bool]] = {"worker": worker_answers, "beat": beat_ticks}
    probes |= {"flower": lambda: serves(FLOWER), "web": lambda: serves(WEB), "live": lambda: serves(LIVE)}
    try:
        healthy = probes[role](*names)
    except Exception as error:  # noqa: BLE001 - any error means unhealthy
        print(f"{type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201 - `docker inspect` shows it
        return 1
    return 0 if healthy else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
