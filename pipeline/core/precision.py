"""In which numbers a network is computed: a choice of the person's, for reduced precision moves poses a little."""

from __future__ import annotations

from typing import Final, Literal, get_args

Precision = Literal["fp32", "bf16", "fp16"]

#: The default first.
PRECISIONS: Final[tuple[Precision, ...]] = get_args(Precision)
