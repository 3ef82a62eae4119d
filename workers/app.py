"""The Celery application of this machine: `celery -A workers.app …`, which `poseline worker` and its like call."""

from __future__ import annotations

import os
from typing import cast, get_args

from pipeline.errors import UsageError
from pipeline.inference.engines.sessions import Device
from pipeline.local.discovery import find_home
from pipeline.logs import configure_logs
from pipeline.queue import build_celery
from pipeline.settings import load_settings
from workers.messages import check_messages
from workers.serving import serve
from workers.tasks import register_tasks

DEVICE = "POSELINE_DEVICE"


def _device() -> Device:
    named = os.environ.get(DEVICE, "auto")
    for device in get_args(Device):
        if named == device:
            return cast("Device", device)
    raise UsageError(f"{DEVICE} is {named!r}, which is none of {', '.join(get_args(Device))}")


configure_logs(os.environ.get("POSELINE_LOG_LEVEL", "INFO"), as_json=os.environ.get("POSELINE_LOG_JSON") == "1")
check_messages()
_settings = load_settings(find_home().path)
app = build_celery(_settings)
app.conf.update(worker_pool="workers.pool:WakingPool", worker_consumer="workers.consumer:PatientConsumer")
register_tasks(app, serve(app, _settings, _device()))
