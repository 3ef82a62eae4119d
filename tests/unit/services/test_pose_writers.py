"""The numbers of a CSV are those that `str` writes, whatever writes them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.services.pose_writers import number_line


@given(arrays(np.float32, st.integers(1, 60), elements=st.floats(width=32)))
@example(np.float32([0, -0.0, 1e-4, 9.9e-5, 1e-5, 1e-6, 0.1, 468.2, 999_999.9]))
@example(np.float32([1e6]))
@example(np.float32([np.nan, np.inf, -np.inf]))
def test_numbers_are_written_as_str_writes_them(numbers: npt.NDArray[np.float32]) -> None:
    assert number_line(numbers) == ",".join(map(str, numbers)).encode()


def test_numbers_of_every_size_are_written_as_str_writes_them() -> None:
    rng = np.random.default_rng(0)
    for numbers in rng.integers(0, 2**32, (400, 50), np.uint32).view(np.float32):
        assert number_line(numbers) == ",".join(map(str, numbers)).encode()
    for numbers in (10 ** rng.uniform(-5, 7, (400, 50))).astype(np.float32):
        assert number_line(numbers) == ",".join(map(str, numbers)).encode()
