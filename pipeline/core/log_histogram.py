"""Percentiles of many numbers in little memory: counts in bins whose width grows with the number."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

#: A bin's upper edge by its lower one: a percentile is off by 1 % at most.
_GROWTH = 1.02
_LEAST, _MOST = 1e-4, 1e6
_BINS = int(np.ceil(np.log(_MOST / _LEAST) / np.log(_GROWTH))) + 2


class LogHistogram:
    """Counts of numbers from 0 on, in rows. What is below 0.0001 counts as 0.

    Args:
        rows: how many histograms.
    """

    def __init__(self, rows: int) -> None:
        self._counts = np.zeros((rows, _BINS), np.int64)

    def add(self, rows: npt.NDArray[np.intp], values: npt.NDArray[np.float64]) -> None:
        """Count values `(n,)`, each in the histogram of its row `(n,)`."""
        bins = np.zeros(len(values), np.int64)
        known = values >= _LEAST
        bins[known] = 1 + (np.log(values[known] / _LEAST) / np.log(_GROWTH)).astype(np.int64)
        flat = rows * _BINS + np.minimum(bins, _BINS - 1)
        self._counts += np.bincount(flat, minlength=self._counts.size).reshape(self._counts.shape)

    def count(self, row: int | None = None) -> int:
        """How many were counted in a row, or in all of them."""
        return int(self._counts.sum() if row is None else self._counts[row].sum())

    def percentile(self, percent: float, row: int | None = None) -> float:
        """So many percent of the numbers of a row, or of all rows, are no larger.

        Raises:
            ValueError: nothing was counted.
        """
        counts = self._counts.sum(axis=0) if row is None else self._counts[row]
        total = int(counts.sum())
        if not total:
            raise ValueError("nothing was counted")
        at = int(np.searchsorted(np.cumsum(counts), percent / 100 * total))
        return 0.0 if at == 0 else float(_LEAST * _GROWTH ** (at - 0.5))
