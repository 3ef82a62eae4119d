"""What a worker says that it computes in, and in what order it looks at its queues."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from pipeline.core.precision import PRECISIONS
from pipeline.inference.engines import capabilities
from pipeline.inference.engines.onnx_session import TENSORRT
from pipeline.inference.engines.placement import AUTO, SUPPORTED_PRECISIONS
from pipeline.queue import CONTROL, FRAMES, FRAMES_IN, QUEUES, ControlFirst


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Says what is installed and what the processor and the driver are."""

    def make(*installed: str, bf16: bool = False, driver: str = "", with_tensorrt: bool = True) -> None:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: name if name in installed else None)
        monkeypatch.setattr(capabilities, "has_bf16", lambda: bf16)
        monkeypatch.setattr(capabilities, "driver_version", lambda: driver)
        monkeypatch.setattr(capabilities, "available", lambda: {TENSORRT} if with_tensorrt else set())
        monkeypatch.setattr(capabilities, "_LIBRARY_FOLDERS", ())
        monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)

    return make


def test_openvino_brings_bf16_where_the_processor_has_it(machine: Any) -> None:
    machine("openvino", bf16=True)
    assert capabilities.precisions_on("auto") == capabilities.precisions_on("openvino") == ("fp32", "bf16")
    assert capabilities.precisions_on("cpu") == capabilities.precisions_on("cuda") == ("fp32",)
    for lacking in ({"bf16": False}, {}):
        machine("openvino", **lacking)
        assert capabilities.precisions_on("auto") == ("fp32",)
    machine(bf16=True)
    assert capabilities.precisions_on("openvino") == ("fp32",)


def test_tensorrt_brings_both_where_its_library_and_a_driver_are(
    machine: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine("tensorrt_libs", driver="580.1")
    assert capabilities.precisions_on("auto") == capabilities.precisions_on("tensorrt") == PRECISIONS
    machine("tensorrt_libs")
    assert capabilities.precisions_on("tensorrt") == ("fp32",), "no driver"
    machine("tensorrt_libs", driver="580.1", with_tensorrt=False)
    assert capabilities.precisions_on("tensorrt") == ("fp32",), "an onnxruntime without it"
    machine(driver="580.1")
    assert capabilities.precisions_on("tensorrt") == ("fp32",), "no library"
    (tmp_path / "libnvinfer.so.10").touch()
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    assert capabilities.precisions_on("tensorrt") == PRECISIONS


def test_every_precision_has_a_queue_and_a_device() -> None:
    assert tuple(FRAMES_IN) == PRECISIONS == tuple(AUTO)
    assert len(set(QUEUES)) == len(PRECISIONS) + 1
    assert all(set(computed) <= set(PRECISIONS) for computed in SUPPORTED_PRECISIONS.values())


def test_control_comes_first_and_frames_take_turns() -> None:
    cycle = ControlFirst()
    cycle.update([FRAMES, CONTROL, FRAMES_IN["bf16"]])
    seen = []
    for gives in (FRAMES, CONTROL, FRAMES_IN["bf16"], CONTROL):
        cycle.rotate(gives)
        seen.append(list(cycle.consume(3)))
    assert {order[0] for order in seen} == {CONTROL}
    assert [order[1] for order in seen] == [FRAMES_IN["bf16"], FRAMES_IN["bf16"], FRAMES, FRAMES]
