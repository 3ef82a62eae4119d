"""How a live process runs."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.inference.engines.sessions import Device


@dataclass(frozen=True)
class Options:
    """How a live process runs.

    Args:
        name: among the live processes of these servers.
        url: where `poseline web` reaches it.
        slots: device calls at once; by default two of a GPU, and of a CPU as many as its cores can do.
        threads: of a CPU, for each call.
        lazy: whether the model is loaded for the first session only.
    """

    name: str
    url: str
    device: Device = "auto"
    slots: int | None = None
    threads: int | None = None
    lazy: bool = False
