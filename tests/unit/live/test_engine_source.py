"""When a live process loads its engine: for the first who asks, once, and not again at once where it failed."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

import pipeline.live.engine_source
from pipeline.errors import InvalidWeights
from pipeline.live.engine_source import EngineSource


class Loads:
    """Loads nothing, or fails, and counts."""

    def __init__(self) -> None:
        self.count = 0
        self.fails = False

    def __call__(self) -> Any:
        self.count += 1
        time.sleep(0.05)
        if self.fails:
            raise InvalidWeights("they are torn")
        return self.count


def test_all_who_ask_at_once_have_the_same() -> None:
    loads = Loads()
    source = EngineSource("m", loads)

    async def use() -> list[Any]:
        assert source.engine is None
        return await asyncio.gather(*(source.get() for _ in range(5)))

    assert asyncio.run(use()) == [1] * 5
    assert loads.count == source.engine == 1


def test_what_failed_is_tried_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    loads = Loads()
    source = EngineSource("m", loads)

    async def use() -> None:
        loads.fails = True
        for _ in range(3):
            with pytest.raises(InvalidWeights, match="torn"):
                await source.get()
        assert loads.count == 1
        monkeypatch.setattr(pipeline.live.engine_source, "_AGAIN_S", 0.0)
        loads.fails = False
        assert await source.get() == 2  # type: ignore[comparison-overlap]

    asyncio.run(use())
