"""A worker's models: each loaded and checked once, on first use, and shared by all slots."""

from __future__ import annotations

import threading

from pipeline.db.engine import transaction
from pipeline.db.runs import select_model_spec
from pipeline.errors import DeviceLost, DeviceUnavailable, ModelUnusable, Stopping
from pipeline.inference.engines.placement import Placement
from pipeline.inference.golden import GoldenReport
from pipeline.inference.models import PoseModel
from pipeline.inference.spec import ModelSpec
from pipeline.inference.zoo import FoundModel, find_model, load_model
from pipeline.logs import get_logger
from pipeline.services.golden import check
from pipeline.services.system import System
from pipeline.services.weights import locate_weights

log = get_logger(__name__)

_PATIENCE_S = 0.5


class ModelCache:
    """Models by fingerprint. Safe to use from every slot at once."""

    def __init__(self, system: System, placement: Placement) -> None:
        self._system = system
        self._placement = placement
        self._lock = threading.Lock()
        self._loaded: dict[str, PoseModel] = {}
        self._reports: dict[str, GoldenReport] = {}

    def preload(self, name: str) -> GoldenReport:
        """Load a model before a run asks for it, and say what came of its check.

        Raises:
            ModelUnusable: its weights are not what they should be, or find something else.
            DeviceUnavailable: the device is not there, is another than was asked for, or computes wrongly.
        """
        found = find_model(name, self._system.settings.models_path)
        with self._lock:
            self._load(found)
            return self._reports[found.spec.fingerprint]

    def load(self, fingerprint: str, interrupted: threading.Event | None = None) -> PoseModel:
        """The model of that fingerprint, whatever it is called here.

        Args:
            interrupted: set it to have `Stopping` raised while another slot loads.

        Raises:
            Stopping: `interrupted` was set.
            ModelUnusable: its weights are neither on this machine nor in the store, or are not what they were.
            DeviceUnavailable: the device is not there, cannot work at the model's precision, or computes wrongly.
        """
        if fingerprint in self._loaded:  # slots at work do not wait for one that loads
            return self._loaded[fingerprint]
        while not self._lock.acquire(timeout=_PATIENCE_S):
            if interrupted is not None and interrupted.is_set():
                raise Stopping
        try:
            if fingerprint in self._loaded:
                return self._loaded[fingerprint]
            with transaction(self._system.engine) as connection:
                spec = ModelSpec.from_facts(select_model_spec(connection, fingerprint))
            if spec.fingerprint != fingerprint:
                raise ModelUnusable(f"{spec.name} was asked for by another version of Poseline; update this worker")
            return self._load(FoundModel(spec, {n: locate_weights(self._system, n) for n in spec.weights_sha256s}))
        finally:
            self._lock.release()

    def _load(self, found: FoundModel) -> PoseModel:
        fingerprint = found.spec.fingerprint
        if fingerprint not in self._loaded:
            try:
                model = load_model(found, self._placement)
            except DeviceLost as error:  # one model too large for this GPU is no reason to leave the others
                raise DeviceUnavailable(error.message) from error
            report = check(found, model, self._placement)
            for words in report.warnings:
                log.warning("model_suspect", reason=words)
            self._reports[fingerprint] = report.require()
            self._loaded[fingerprint] = model
            log.info(
                "model_checked",
                model=report.model,
                against=report.against or None,
                people=report.people,
                frame_ms=round(report.frame_ms or 0, 2),
            )
        return self._loaded[fingerprint]
