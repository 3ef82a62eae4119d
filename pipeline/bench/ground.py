"""What every part of the measurement stands on: one clip, one model, the engines that are here, and how much of it."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pipeline.bench.engines import Engine
from pipeline.bench.progress import Meter
from pipeline.bench.site import Site
from pipeline.bench.size import Size
from pipeline.inference.zoo import FoundModel
from pipeline.video.reader import probe
from pipeline.video.sample import RATE, loop_clip
from pipeline.video.source import open_source


@dataclass(frozen=True)
class Ground:
    """See the module.

    Args:
        source: the clip as it is.
        found: the model in fp32.
        engines: that work here.
    """

    site: Site
    source: Path
    found: FoundModel
    engines: tuple[Engine, ...]
    size: Size
    meter: Meter

    @cached_property
    def source_frames(self) -> int:
        """Of the clip as it is."""
        with open_source(self.source) as source:
            return len(probe(source, self.site.system.limits).index)

    @property
    def cores(self) -> int:
        """Of this machine, and so a worker's slots."""
        return os.cpu_count() or 1

    @property
    def cpu_engine(self) -> Engine:
        """onnxruntime on the processor, which is everywhere."""
        return next(engine for engine in self.engines if engine.name == "cpu")

    def clip(self, seconds: float) -> Path:
        """The clip looped by copying its packets, as often as it takes."""
        path = self.site.scratch_path / f"looped-{seconds:g}.mp4"
        if not path.exists():
            loop_clip(self.source, path, math.ceil(seconds * RATE / self.source_frames))
        return path
