"""The batch size on a GPU, found by measuring, within its memory."""

from __future__ import annotations

import statistics
import time
from concurrent.futures import ThreadPoolExecutor

from pipeline.errors import DeviceUnavailable
from pipeline.inference.contracts import Network

BATCHES = (1, 2, 4, 8, 16, 32)
#: A larger batch costs memory and delay; it has to be faster by so much, frame by frame.
MIN_GAIN = 0.05
#: Frames whose people are cut out before they are posed together.
TWO_STAGE_BATCH = 8
_REPEATS = 5


def best_batch(network: Network, slots: int = 1, at_most: int = BATCHES[-1]) -> int:
    """The smallest batch that no larger one beats by much; 1 on a CPU, where frames go one by one.

    A batch that the device has no memory for ends the search, and the one before is taken.

    Args:
        slots: threads that will bring such batches at once, and so do here.
        at_most: where a call is to be short, too.
    """
    if not network.session.device.is_gpu:
        return 1
    best, best_s = 1, float("inf")
    for batch in (each for each in BATCHES if each <= at_most):
        try:
            frame_s = _seconds_a_frame(network, batch, slots)
        except DeviceUnavailable:
            if batch == 1:
                raise
            break
        if frame_s > best_s * (1 - MIN_GAIN):
            break
        best, best_s = batch, frame_s
    return best


def fix_batch(network: Network, slots: int = 1, at_most: int = BATCHES[-1]) -> int:
    """Find the best batch and, on a GPU, hold the network to it, filling up what is smaller.

    For every convolution cuDNN keeps the plan of the last shape alone: on an H100 a call with another number of images
    than the one before took the bundled model 1 to 3 s, and one with the same number 3 to 29 ms.
    """
    batch = best_batch(network, slots, at_most)
    if network.session.device.is_gpu:
        network.fixed_batch = batch
        network.run(network.grey(batch))  # else the first call at work has the larger batch's plans to replace
    return batch


def _seconds_a_frame(network: Network, batch: int, slots: int) -> float:
    images = network.grey(batch)
    took_s = []
    with ThreadPoolExecutor(slots) as pool:
        for _ in range(1 + _REPEATS):
            begun_s = time.perf_counter()
            list(pool.map(lambda _: network.run(images), range(slots)))
            took_s.append(time.perf_counter() - begun_s)
    # The first of a size chooses kernels and takes memory.
    return statistics.median(took_s[1:]) / (batch * slots)
