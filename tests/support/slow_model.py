"""A live process in this process, whose model is as slow as it is told."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pipeline.cli.processes import bound
from pipeline.core.poses import FramePoses
from pipeline.errors import DeviceLost
from pipeline.inference.engines.placement import Placement
from pipeline.inference.zoo import find_model, load_model
from pipeline.live.engine import Engine
from pipeline.live.engine_source import EngineSource
from pipeline.live.host import Host
from pipeline.live.options import Options
from pipeline.live.server import Lost, serve_engine
from pipeline.services.system import System
from tests.support.analysis import MODEL, put_oracle


class Slowed:
    """The oracle, each of whose calls takes as long as it is told."""

    def __init__(self, system: System) -> None:
        put_oracle(system.settings.models_path)
        self._inner = load_model(find_model(MODEL, system.settings.models_path), Placement("cpu"))
        self.spec, self.batch, self.device = self._inner.spec, 1, self._inner.device
        self.takes_s = 0.0
        self.lost = False

    def detect(self, images: Sequence[Any], scales: Sequence[float]) -> list[FramePoses]:
        time.sleep(self.takes_s)
        if self.lost:
            raise DeviceLost("it fell off the bus")
        return self._inner.detect(images, scales)


@contextmanager
def hosted(system: System, model: Slowed) -> Iterator[Host]:
    """A live process over this model, in a thread."""
    lost, hosts, ready = Lost(), [], threading.Event()
    source = EngineSource(MODEL, lambda: Engine(model, 1, 5.0, lost.note))  # type: ignore[arg-type]
    source.load()

    def note(host: Host) -> None:
        hosts.append(host)
        ready.set()

    with bound("127.0.0.1", 0) as listener:
        options = Options("here", f"ws://127.0.0.1:{listener.getsockname()[1]}")
        thread = threading.Thread(
            target=lambda: asyncio.run(serve_engine(system, listener, options, source, lost, note))
        )
        thread.start()
        assert ready.wait(20)
        try:
            yield hosts[0]
        finally:
            lost.note("the test is over")
            thread.join(20)
            assert not thread.is_alive()
            source.close()
