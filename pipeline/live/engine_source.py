"""Where a live process has its engine from: loaded before it serves, or for its first session and then kept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from pipeline.errors import PoselineError
from pipeline.live.engine import Engine
from pipeline.logs import get_logger

log = get_logger(__name__)

#: A model that could not be loaded is tried again for a session that comes after so long.
_AGAIN_S: Final = 30.0


class EngineSource:
    """The engine of a process.

    Args:
        model: the name of its model.
        load: loads it, checks it as workers do, and starts its engine; takes seconds.

    Attributes:
        engine: None until it is loaded.
    """

    def __init__(self, model: str, load: Callable[[], Engine]) -> None:
        self.model = model
        self.engine: Engine | None = None
        self._load = load
        self._turn = asyncio.Lock()
        self._failure: PoselineError | None = None
        self._failed_s = 0.0

    def load(self) -> None:
        """Load it now, before there is an event loop.

        Raises:
            InvalidWeights, DeviceUnavailable: it cannot be.
        """
        self.engine = self._load()

    async def get(self) -> Engine:
        """The engine, loaded if it is not; who asks meanwhile waits for the same.

        Raises:
            InvalidWeights, DeviceUnavailable: it cannot be loaded, or could not just now.
        """
        async with self._turn:
            if self.engine is None:
                if self._failure is not None and time.monotonic() - self._failed_s < _AGAIN_S:
                    raise self._failure
                begun_s = time.monotonic()
                try:
                    self.engine = await asyncio.to_thread(self._load)
                except PoselineError as error:
                    self._failure, self._failed_s = error, time.monotonic()
                    log.error("live_model_not_loaded", model=self.model, reason=error.message)
                    raise
                log.info("live_model_loaded", model=self.model, seconds=round(time.monotonic() - begun_s, 2))
            return self.engine

    def close(self) -> None:
        """End it after the calls that are under way."""
        if self.engine is not None:
            self.engine.close()
