"""What passes by itself is told from what the work itself is to blame for."""

from __future__ import annotations

import errno

import pytest

from pipeline.errors import (
    DecodeFailed,
    DeviceUnavailable,
    InvalidOutput,
    InvalidWeights,
    PoselineError,
    ServiceUnavailable,
    in_one_line,
    is_outage,
)


@pytest.mark.parametrize(
    ("error", "outage"),
    [
        (ServiceUnavailable(), True),
        (DeviceUnavailable(), True),
        (OSError(errno.ENOSPC, "disk full"), True),
        (BrokenPipeError(errno.EPIPE, "the child went away"), False),  # a poison chunk must be given up one day
        (DecodeFailed(), False),
        (InvalidWeights(), True),
        (InvalidOutput(), False),  # the weights are as they should be: these pictures do it
        (ValueError("x"), False),
    ],
)
def test_an_outage_is_told_from_a_failure(error: Exception, outage: bool) -> None:
    assert is_outage(error) is outage


def test_a_message_is_one_printable_line_and_the_docstring_by_default() -> None:
    assert PoselineError("two\nlines\0and\x1b[31m colour").message == "two lines and [31m colour"
    assert DecodeFailed().message == "The video decoder failed."
    assert in_one_line(ValueError("first\nsecond")) == "unexpected ValueError: first"
