"""A GPU's batch is found by trying: the smallest that no larger one beats, within the memory there is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.core.model_spec import NetworkSpec
from pipeline.errors import DeviceUnavailable
from pipeline.inference import calibration
from pipeline.inference.calibration import best_batch, fix_batch
from pipeline.inference.contracts import Network
from pipeline.inference.engines.sessions import DeviceInfo, Port

SPEC = NetworkSpec("rtmo", "0" * 64, 64, 64)


class Gpu:
    """A session whose call takes a fixed time and a time a frame, on a clock of its own, with memory for so many."""

    device = DeviceInfo("none", "none", "none", is_gpu=True)
    inputs = (Port("input", (None, 3, 64, 64), True),)
    outputs = (Port("dets", (None, None, 5), True), Port("keypoints", (None, None, 17, 3), True))

    def __init__(self, call_s: float, frame_s: float, room: int = 1000) -> None:
        self.now_s = 0.0
        self.batches: list[int] = []
        self._cost, self._room = (call_s, frame_s), room

    def run(self, batch: np.ndarray, _: object) -> tuple[np.ndarray, ...]:
        if len(batch) > self._room:
            raise DeviceUnavailable("the GPU broke off: out of memory")
        self.batches.append(len(batch))
        self.now_s += self._cost[0] + self._cost[1] * len(batch)
        return np.zeros((len(batch), 1, 5), np.float32), np.zeros((len(batch), 1, 17, 3), np.float32)


def calibrate(monkeypatch: pytest.MonkeyPatch, gpu: Gpu) -> int:
    network = Network(gpu, SPEC, Path("gpu.onnx"))
    monkeypatch.setattr(calibration.time, "perf_counter", lambda: gpu.now_s)
    return best_batch(network)


@pytest.mark.parametrize(
    ("call_s", "frame_s", "room", "batch"),
    [
        (0.0, 0.010, 1000, 1),  # nothing to gain
        (0.010, 0.001, 1000, 32),  # a call costs as much as ten frames
        (0.002, 0.010, 1000, 2),  # 12 and 11 ms a frame; 10.5 is no longer 5 % less
        (0.010, 0.001, 8, 8),  # the memory ends
        (0.010, 0.001, 11, 8),
    ],
)
def test_the_smallest_batch_that_no_larger_one_beats(monkeypatch, call_s, frame_s, room, batch):
    assert calibrate(monkeypatch, Gpu(call_s, frame_s, room)) == batch


def test_no_batch_is_larger_than_was_asked_for(monkeypatch):
    gpu = Gpu(0.010, 0.001)
    network = Network(gpu, SPEC, Path("gpu.onnx"))
    monkeypatch.setattr(calibration.time, "perf_counter", lambda: gpu.now_s)
    assert fix_batch(network, at_most=8) == network.fixed_batch == max(gpu.batches) == 8


def test_a_gpu_that_cannot_even_take_one_is_an_error(monkeypatch):
    gpu = Gpu(0.01, 0.01)
    network = Network(gpu, SPEC, Path("gpu.onnx"))
    gpu._room = 0
    with pytest.raises(DeviceUnavailable):
        best_batch(network)


def test_a_cpu_is_not_asked():
    cpu = Gpu(0.01, 0.001)
    cpu.device = DeviceInfo("none", "none", "none")
    network = Network(cpu, SPEC, Path("cpu.onnx"))
    cpu.batches.clear()
    assert best_batch(network) == 1
    assert not cpu.batches


def test_a_gpu_is_held_to_its_batch_and_what_is_smaller_is_filled_up(monkeypatch):
    """cuDNN plans every convolution again for another number of images, which takes seconds."""
    gpu = Gpu(0.002, 0.010)
    network = Network(gpu, SPEC, Path("gpu.onnx"))
    monkeypatch.setattr(calibration.time, "perf_counter", lambda: gpu.now_s)
    assert fix_batch(network) == 2
    assert gpu.batches[-1] == 2, "the last that it saw is what it will see"
    gpu.batches.clear()
    for count in (1, 2, 1):
        dets, keypoints = network.run(network.grey(count))
        assert (len(dets), len(keypoints)) == (count, count)
    assert gpu.batches == [2, 2, 2]


def test_a_cpu_is_held_to_nothing():
    cpu = Gpu(0.01, 0.001)
    cpu.device = DeviceInfo("none", "none", "none")
    network = Network(cpu, SPEC, Path("cpu.onnx"))
    assert fix_batch(network) == 1
    assert network.fixed_batch is None
