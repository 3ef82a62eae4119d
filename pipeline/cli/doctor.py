"""`poseline doctor`: check every part and print one line for each: what is wrong, and the fix."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import asdict
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click

from pipeline.cli.console import Console, common, pass_console
from pipeline.cli.formatting import format_ago
from pipeline.cli.local_stack import describe_beat, describe_restarting, live_line
from pipeline.cli.place import shown
from pipeline.cli.signed_in import checks_elsewhere
from pipeline.db.engine import transaction
from pipeline.db.migrate import check_revision
from pipeline.db.worker_deaths import select_restarting
from pipeline.db.workers import select_lost_workers, select_workers
from pipeline.errors import PoselineError, ServiceUnavailable, in_one_line
from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.inference.engines.diagnostics import describe_nvidia, describe_onnxruntime, describe_openvino
from pipeline.inference.engines.placement import Placement
from pipeline.inference.zoo import find_model, load_model
from pipeline.local import stack
from pipeline.local.stack import ServiceStatus
from pipeline.services.live.processes import list_processes
from pipeline.services.pause import in_words
from pipeline.services.pressure import list_pressure
from pipeline.services.watch.manage import list_watches
from pipeline.settings import check_variables, configured_by_environment
from pipeline.storage.objects import build_object_store

_FREE_BYTES = 2 * 2**30
_PING_S = 5.0
_STORE_S = 5.0  # a worker has more patience
#: For a service of the local stack, by its state.
_FIXES = {
    "stopped": "start it with `poseline up`",
    "failing": "`poseline up` restarts it",
    "hung": "`poseline up` restarts it",
    "starting": "ask again in a few seconds",
    "busy": "wait, or restart it with `poseline down` and `poseline up`",
    "waiting": "mend that server first",
}


class DoctorFailed(PoselineError):
    """A check failed."""


@click.command()
@common
@pass_console
def doctor(console: Console) -> None:
    """Check every part that Poseline needs; print what is wrong and the fix."""
    if console.login is not None:
        parts = {"python": _python, "disk": lambda: _disk(console), "variables": _variables}
        _report(console, [_result(*one) for one in {**parts, **checks_elsewhere(console, console.login)}.items()])
        return

    @cache  # where servers are hung it takes seconds
    def services() -> tuple[ServiceStatus, ...]:
        return stack.status(console.home).services

    checks: dict[str, Callable[[], str]] = {
        "python": _python,
        "opencv": _opencv,
        "disk": lambda: _disk(console),
        "engine": describe_onnxruntime,
        "model": lambda: _model(console),
        "nvidia": _nvidia,
        "openvino": describe_openvino,
        "variables": _variables,
        "settings": lambda: _settings(console, services),
    }
    found = [_result(name, check) for name, check in checks.items()]
    if found[-1]["ok"]:
        local = () if configured_by_environment() else services()
        states = {service.name: service for service in local}
        servers: dict[str, tuple[str, Callable[[], str]]] = {
            "postgres": ("postgres", lambda: _postgres(console)),
            "redis": ("valkey", lambda: _redis(console)),
            "store": ("seaweedfs", lambda: _store(console)),
            "workers": ("worker", lambda: _workers(console)),
            "beat": ("beat", lambda: _beat(console)),
            "room": ("postgres", lambda: _room(console)),
            "watches": ("postgres", lambda: _watches(console)),
            "live": ("live", lambda: _live(console)),
        }
        if _signs_in_elsewhere(console):
            servers["sign-in"] = ("", lambda: _provider(console))
        with suppress(Exception):  # made before six ask for it; each says what is wrong with it
            assert console.system
        # At once: a server that accepts and says nothing keeps each that asks it waiting.
        with ThreadPoolExecutor(len(servers)) as pool:
            found += pool.map(lambda one: _result(one[0], one[1][1], states.get(one[1][0])), servers.items())
        if "supervisor" in states:
            found.append(_result("supervisor", str, states["supervisor"]))
        for part in ("flower", "web"):
            if part in states:
                service = states[part]
                found.append(_result(part, f"answers on port {service.port}".__str__, service))
    _report(console, found)


def _report(console: Console, found: list[dict[str, Any]]) -> None:
    """Print the lines. Raises `DoctorFailed` where one is wrong."""
    found = [{**line, "message": console.naming_home(line["message"])} for line in found]
    if not console.print_json(found):
        for line in found:
            console.print(f"{'ok   ' if line['ok'] else 'WRONG'}  {line['part']:<9} {line['message']}")
    wrong = sum(not line["ok"] for line in found)
    if wrong:
        raise DoctorFailed(f"{wrong} of {len(found)} parts {'is' if wrong == 1 else 'are'} wrong; see above")


def _result(part: str, check: Callable[[], str], service: ServiceStatus | None = None) -> dict[str, Any]:
    """One line. A service of the local stack that does not answer is not asked again, which may take minutes."""
    try:
        if service is not None and service.state != "running":
            detail = f": {service.detail}" if service.detail else ""
            raise DoctorFailed(f"{service.state}{detail}; {_FIXES[service.state]}")
        return {"part": part, "ok": True, "message": check()}
    except Exception as error:  # noqa: BLE001  a check that fails unexpectedly is wrong, and no reason to stop
        return {"part": part, "ok": False, "message": in_one_line(error)}


def _python() -> str:
    return f"{sys.version.split()[0]}, poseline {version('poseline')}"


def _opencv() -> str:
    installed = []
    for name in ("opencv-python", "opencv-contrib-python", "opencv-python-headless", "opencv-contrib-python-headless"):
        try:
            installed.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    if len(installed) != 1 or "headless" not in installed[0]:
        raise DoctorFailed(
            f"{', '.join(installed) or 'no OpenCV'} is installed, only opencv-python-headless should be; "
            "install from requirements.lock with --no-deps (`make install`)"
        )
    return installed[0]


def _disk(console: Console) -> str:
    home = console.home
    while not home.exists():
        home = home.parent
    free = shutil.disk_usage(home).free
    if free < _FREE_BYTES:
        raise DoctorFailed(
            f"only {free / 2**30:.1f} GiB free at {home}; make room, or choose another place with --home"
        )
    return f"{free / 2**30:.0f} GiB free at {home}"


def _model(console: Console) -> str:
    from pipeline.inference.golden.check import check_golden  # noqa: PLC0415 - with onnxruntime and OpenCV, 0.3 s

    found, placement = find_model(BUNDLED_MODEL, console.models_path), Placement()
    report = check_golden(found, load_model(found, placement), placement).require()
    device = report.device
    return (
        f"{report.model} on {device.name} ({device.provider}, {device.engine}), {report.frame_ms:.3g} ms a frame, "
        f"finds the recorded poses; {'; '.join((device.reason, *report.warnings))}"
    )


def _nvidia() -> str:
    from pipeline.inference.engines.onnx_session import CUDA, available  # noqa: PLC0415

    return describe_nvidia(has_cuda_build=CUDA in available())


def _variables() -> str:
    check_variables(os.environ)
    return "every POSELINE_ variable that is set is a setting"


def _settings(console: Console, services: Callable[[], tuple[ServiceStatus, ...]]) -> str:
    if configured_by_environment():
        return f"from the environment: {console.settings.s3_endpoint}"
    if all(service.state == "stopped" for service in services()):
        raise DoctorFailed(f"the local stack in {shown(console.home)} is not running; start it with `poseline up`")
    assert console.settings  # reads it
    return f"from {shown(console.home / 'poseline.env')}"


def _postgres(console: Console) -> str:
    with transaction(console.system.engine) as connection:
        check_revision(connection)
        version_of = ".".join(map(str, connection.dialect.server_version_info or ()))
        return f"answers, version {version_of}, schema up to date"


def _redis(console: Console) -> str:
    policy = console.system.queue.eviction_policy()
    if policy != "noeviction":
        raise DoctorFailed(f"Redis may evict messages (maxmemory-policy {policy}); set it to noeviction")
    return "answers, noeviction"


def _store(console: Console) -> str:
    with closing(build_object_store(console.settings, timeout_s=_STORE_S, attempts=2)) as store:
        store.check_bucket()
        return f"answers, bucket {store.bucket}"


def _workers(console: Console) -> str:
    with transaction(console.system.engine) as connection:
        workers, lost = select_workers(connection), select_lost_workers(connection)
        restarting = select_restarting(connection)
    if restarting:
        raise DoctorFailed(describe_restarting(asdict(restarting[0]), console))
    for each in lost:
        if each.leases:
            raise DoctorFailed(
                f"{each.name} was last seen {format_ago(each.silent_s)} and holds {each.leases} of its tasks: restart "
                "it; the others take them over if a beat and a worker run"
            )
    if not workers:
        last = f" ({lost[0].name} was last seen {format_ago(lost[0].silent_s)})" if lost else ""
        raise DoctorFailed(f"no worker is alive{last}; start one with `poseline worker` (or `poseline up`)")
    if all(worker.draining_at is not None for worker in workers):
        first = workers[0].name
        raise DoctorFailed(f"no worker takes work: {first} drains; `poseline drain {first} --undo`, or start another")
    answering = console.system.queue.ping_workers(_PING_S, limit=len(workers))
    for worker in workers:
        if worker.name not in answering:
            raise DoctorFailed(
                f"{worker.name} runs, but does not answer through Redis within {_PING_S:.0f} s; restart it"
            )
    return ", ".join(
        f"{w.name} ({w.slots} slots, {w.computes.device}, {w.computes.engine or w.computes.provider})" for w in workers
    )


def _beat(console: Console) -> str:
    report = console.system.queue.last_beat()
    if report is None:
        raise DoctorFailed(describe_beat(None))
    return describe_beat(asdict(report))


def _signs_in_elsewhere(console: Console) -> bool:
    settings = console.settings
    return any((settings.oidc_issuer, settings.oidc_client_id, settings.oidc_client_secret))


def _provider(console: Console) -> str:
    from pipeline.services.oidc.check import check_provider  # noqa: PLC0415 - with Authlib, 0.2 s
    from pipeline.services.oidc.config import config_of  # noqa: PLC0415

    config = config_of(console.settings)
    assert config is not None
    return check_provider(config)


def _room(console: Console) -> str:
    try:
        short = list_pressure(console.system)
    except ServiceUnavailable:
        return "not known: see postgres"
    if short:
        raise DoctorFailed(f"no videos are taken in {in_words(short[0].since)}: {short[0].reason}")
    return "disks, object store and database have room for more videos"


def _watches(console: Console) -> str:
    try:
        watches = list_watches(console.system)
    except ServiceUnavailable:
        return "not known: see postgres"
    for each in watches:
        if each.error is not None:
            raise DoctorFailed(f"{each.location} is not listed: {each.error}")
    return f"{len(watches)} watched, each can be listed" if watches else "no bucket is watched"


def _live(console: Console) -> str:
    try:
        processes = list_processes(console.system)
    except ServiceUnavailable:
        return "not known: see postgres"
    if not processes:
        return "no live process runs, so cameras have the preview alone; `poseline live` starts one"
    return "; ".join(map(live_line, processes))
