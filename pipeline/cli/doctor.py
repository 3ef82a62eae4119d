"""`poseline doctor`: check every part and print one line for each: what is wrong, and the fix."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

import click

from pipeline.cli.console import Console, common, pass_console
from pipeline.cli.place import shown
from pipeline.db.engine import transaction
from pipeline.db.migrate import check_revision
from pipeline.db.workers import select_workers
from pipeline.errors import PoselineError
from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.inference.engines.diagnostics import describe_nvidia, describe_onnxruntime, describe_openvino
from pipeline.inference.engines.placement import Placement
from pipeline.inference.zoo import find_model, load_model
from pipeline.local import stack
from pipeline.settings import configured_by_environment

_FREE_BYTES = 2 * 2**30


class DoctorFailed(PoselineError):
    """A check failed."""


@click.command()
@common
@pass_console
def doctor(console: Console) -> None:
    """Check every part that Poseline needs; print what is wrong and the fix."""
    checks: list[tuple[str, Callable[[], str]]] = [
        ("python", _python),
        ("opencv", _opencv),
        ("disk", lambda: _disk(console)),
        ("engine", describe_onnxruntime),
        ("model", lambda: _model(console)),
        ("nvidia", _nvidia),
        ("openvino", describe_openvino),
        ("settings", lambda: _settings(console)),
        ("postgres", lambda: _postgres(console)),
        ("redis", lambda: _redis(console)),
        ("store", lambda: _store(console)),
        ("workers", lambda: _workers(console)),
    ]
    if not configured_by_environment():
        checks += [("beat", lambda: _service(console, "beat")), ("flower", lambda: _service(console, "flower"))]
    found = []
    for name, check in checks:
        try:
            found.append({"part": name, "ok": True, "message": check()})
        except PoselineError as error:
            found.append({"part": name, "ok": False, "message": console.naming_home(error.message)})
            if name == "settings":
                break
    if not console.print_json(found):
        for line in found:
            console.print(f"{'ok   ' if line['ok'] else 'WRONG'}  {line['part']:<9} {line['message']}")
    wrong = sum(not line["ok"] for line in found)
    if wrong:
        raise DoctorFailed(f"{wrong} of {len(found)} parts {'is' if wrong == 1 else 'are'} wrong; see above")


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


def _settings(console: Console) -> str:
    if configured_by_environment():
        return f"from the environment: {console.settings.s3_endpoint}"
    if not stack.status(console.home).running:
        raise DoctorFailed(f"the local stack in {shown(console.home)} is not running; start it with `poseline up`")
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
    console.system.store.check_bucket()
    return f"answers, bucket {console.system.store.bucket}"


def _workers(console: Console) -> str:
    with transaction(console.system.engine) as connection:
        workers = select_workers(connection)
    if not workers:
        raise DoctorFailed("no worker is alive; start one with `poseline worker` (or `poseline up`)")
    return ", ".join(
        f"{w.name} ({w.slots} slots, {w.computes.device}, {w.computes.engine or w.computes.provider})" for w in workers
    )


def _service(console: Console, name: str) -> str:
    [service] = [each for each in stack.status(console.home).services if each.name == name]
    if service.state != "running":
        raise DoctorFailed(
            f"{service.state}{f': {service.detail}' if service.detail else ''}; start it with `poseline up`"
        )
    return f"answers on port {service.port}" if service.port else f"runs as process {service.pid}"
