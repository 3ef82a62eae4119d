"""A worker's models: each loaded once, on first use, and shared by all slots."""

from __future__ import annotations

import threading
from pathlib import Path

from sqlalchemy import Engine

from pipeline.db.engine import transaction
from pipeline.db.runs import select_model_name
from pipeline.errors import ModelUnusable
from pipeline.inference.rtmo import RtmoModel
from pipeline.inference.sessions import Device
from pipeline.inference.zoo import find_model, load_model


class ModelCache:
    """Models by fingerprint. Safe to use from every slot at once."""

    def __init__(self, engine: Engine, models_path: Path, device: Device) -> None:
        self._engine = engine
        self._models_path = models_path
        self._device = device
        self._lock = threading.Lock()
        self._loaded: dict[str, RtmoModel] = {}

    def preload(self, name: str) -> RtmoModel:
        """Load a model before a run asks for it.

        Raises:
            ModelUnusable: its weights are not what they should be.
            DeviceUnavailable: the device is not there.
        """
        found = find_model(name, self._models_path)
        with self._lock:
            if found.spec.fingerprint not in self._loaded:
                self._loaded[found.spec.fingerprint] = load_model(found, self._device, threads=1)
            return self._loaded[found.spec.fingerprint]

    def load(self, fingerprint: str) -> RtmoModel:
        """The model of that fingerprint.

        Raises:
            ModelUnusable: its weights are not on this machine, or are not those that the run asks for.
            DeviceUnavailable: the device is not there.
        """
        with self._lock:
            if fingerprint not in self._loaded:
                with transaction(self._engine) as connection:
                    name = select_model_name(connection, fingerprint)
                found = find_model(name, self._models_path)
                if found.spec.fingerprint != fingerprint:
                    raise ModelUnusable(f"this worker's {name} is not the one that the run asks for; update the worker")
                self._loaded[fingerprint] = load_model(found, self._device, threads=1)
            return self._loaded[fingerprint]
