"""The arithmetic of a network. Reduced precision moves poses a little, so only the user chooses it."""

from __future__ import annotations

from typing import Final, Literal, get_args

Precision = Literal["fp32", "bf16", "fp16"]

#: The default first.
PRECISIONS: Final[tuple[Precision, ...]] = get_args(Precision)
