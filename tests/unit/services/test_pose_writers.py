"""The numbers of a CSV are those that `str` writes, whatever writes them."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.services.pose_writers import number_line


@pytest.mark.parametrize(
    "numbers",
    [
        [0, -0.0, 1e-4, 9.9e-5, 1e-5, 1e-6, 1e-45, 0.1, 10.00001, 468.2, 999_999.9],
        *([1e6, 1], [-1e6, 1], [3.4e38], [np.nan, 1], [np.inf, 1], [-np.inf]),
    ],
)
def test_numbers_are_written_as_str_writes_them(numbers: list[float]) -> None:
    values = np.float32(numbers)
    assert number_line(values) == ",".join(map(str, values)).encode()


def test_numbers_of_every_size_are_written_as_str_writes_them() -> None:
    rng = np.random.default_rng(0)
    for numbers in rng.integers(0, 2**32, (400, 50), np.uint32).view(np.float32):
        assert number_line(numbers) == ",".join(map(str, numbers)).encode()
    for numbers in (10 ** rng.uniform(-5, 7, (400, 50))).astype(np.float32):
        assert number_line(numbers) == ",".join(map(str, numbers)).encode()
