"""A worker's models: loaded and checked on first use, shared by all slots, and unloaded to make room for others."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from pipeline.core.model_spec import ModelSpec
from pipeline.db.engine import transaction
from pipeline.db.models import select_model_spec
from pipeline.errors import BrokenModel, DeviceLost, DeviceUnavailable, InvalidOutput, InvalidWeights, Stopping
from pipeline.inference.engines.placement import Placement
from pipeline.inference.golden.check import GoldenReport, check_golden
from pipeline.inference.pose_model import PoseModel
from pipeline.inference.zoo import FoundModel, find_model, load_model
from pipeline.logs import get_logger
from pipeline.services.system import System
from pipeline.services.weight_store import locate_weights

log = get_logger(__name__)

_PATIENCE_S = 0.5


class ModelCache:
    """Models by fingerprint. Safe to use from every slot at once."""

    def __init__(self, system: System, placement: Placement) -> None:
        self._system = system
        self.placement = placement
        #: Held by the slot that tries a suspect alone: that takes the memory of one more model.
        self.trial_turn = threading.Lock()
        self._lock = threading.Lock()
        self._loaded: dict[str, PoseModel] = {}
        self._reports: dict[str, GoldenReport] = {}
        self._used_at_s: dict[str, float] = {}

    def preload(self, name: str) -> GoldenReport:
        """Load a model before a run asks for it, and return the report of its check.

        Raises:
            InvalidWeights: its weights are not what they should be, or find something else.
            DeviceUnavailable: the device is not there, is another than was asked for, or computes wrongly.
        """
        found = find_model(name, self._system.settings.models_path)
        with self._lock:
            return self._load(found)

    def load(self, fingerprint: str, interrupted: threading.Event | None = None) -> PoseModel:
        """The model of that fingerprint, whatever it is called here.

        Args:
            interrupted: set it to have `Stopping` raised while another slot loads.

        Raises:
            Stopping: `interrupted` was set.
            InvalidWeights: its weights are neither on this machine nor in the object store, or have changed.
            BrokenModel: it gives no numbers on any device, or loses people in reduced precision.
            DeviceUnavailable: the device is not there, cannot work at the model's precision, or computes wrongly.
        """
        self._used_at_s[fingerprint] = time.monotonic()
        model = self._loaded.get(fingerprint)
        if model is not None:  # slots at work do not wait for one that loads
            return model
        while not self._lock.acquire(timeout=_PATIENCE_S):
            if interrupted is not None and interrupted.is_set():
                raise Stopping
        try:
            model = self._loaded.get(fingerprint)
            if model is not None:
                return model
            with transaction(self._system.engine) as connection:
                spec = ModelSpec.from_dict(select_model_spec(connection, fingerprint))
            if spec.fingerprint != fingerprint:
                raise InvalidWeights(f"{spec.name} was asked for by another version of Poseline; update this worker")
            self._load(FoundModel(spec, {n: locate_weights(self._system, n) for n in spec.weights_sha256s}))
            return self._loaded[fingerprint]
        finally:
            self._lock.release()

    def _load(self, found: FoundModel) -> GoldenReport:
        """Load a model and check it. One that was loaded and never asked for goes first, and once this one is sound,
        those that were asked for longest ago."""
        self._unload([each for each in self._loaded if each not in self._used_at_s])
        try:
            model = load_model(found, self.placement)
        except DeviceLost as error:  # one model too large for this GPU is no reason to leave the others
            raise DeviceUnavailable(error.message) from error
        report = self._check(found, model)
        by_use = sorted(self._loaded, key=self._used_at_s.__getitem__)
        self._unload(by_use[: max(0, len(by_use) + 1 - self._system.settings.models_kept)])
        self._loaded[found.spec.fingerprint] = model
        return report

    def _check(self, found: FoundModel, model: PoseModel) -> GoldenReport:
        """Check a model once per process; later loads return the first report."""
        fingerprint = found.spec.fingerprint
        if fingerprint not in self._reports:
            try:
                report = check_golden(found, model, self.placement).require()
            except InvalidOutput as error:
                raise BrokenModel(error.message) from error
            for warning in report.warnings:
                log.warning("model_warning", reason=warning)
            log.info(
                "model_checked",
                model=report.model,
                against=report.against or None,
                people=report.people,
                frame_ms=round(report.frame_ms or 0, 2),
            )
            self._reports[fingerprint] = report
        return self._reports[fingerprint]

    def _unload(self, fingerprints: Sequence[str]) -> None:
        """Drop these models; a slot that is using one keeps it until its chunk ends."""
        for fingerprint in fingerprints:
            del self._loaded[fingerprint]
            log.info("model_unloaded", fingerprint=fingerprint[:12])
