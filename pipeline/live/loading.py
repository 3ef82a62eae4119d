"""Load the model of a live process, check it as workers do, and start the engine that makes its device calls."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from pipeline.inference.engines.placement import Placement
from pipeline.inference.zoo import find_model
from pipeline.live.engine import Engine
from pipeline.live.options import Options
from pipeline.services.model_cache import ModelCache
from pipeline.services.system import System
from pipeline.video.reader import start_decoder

_GPU_SLOTS: Final = 2
#: On an H100 a call with 8 images of the bundled model takes 13 ms, one with 32 takes 40 (docs/models.md).
_MOST_IMAGES: Final = 8
#: Of a call, at most. Workers, whose chunks can wait, give each call one thread. Here a frame that is through sooner
#: counts: one call with two threads against two calls with one each, on two cores that did other work, bundled model:
#: fp32 36 ms against 65 at best, 83 against 145 in the median, 10.6 and 13.4 calls a second; bf16 33 against 36, 53
#: against 116, 16.4 and 16.5 a second.
_THREADS: Final = 4


def load_engine(system: System, options: Options, on_lost: Callable[[str], None]) -> Engine:
    """Load the model of the settings.

    Args:
        on_lost: called once the device has failed, with the reason.

    Raises:
        DeviceUnavailable: the device is not there, is another than was asked for, or computes wrongly.
        InvalidWeights: the model's weights are not what they should be.
    """
    settings = system.settings
    cores = os.cpu_count() or 1
    threads = options.threads or min(cores, _THREADS)
    slots = options.slots or max(1, cores // threads)
    models = ModelCache(system, Placement(options.device, slots, threads, _MOST_IMAGES, settings.home / "engines"))
    report = models.preload(settings.live_model)
    model = models.load(find_model(settings.live_model, settings.models_path).spec.fingerprint)
    if model.device.is_gpu and options.slots is None:
        slots = _GPU_SLOTS
    start_decoder()
    return Engine(model, slots, report.frame_ms or 1.0, on_lost)
