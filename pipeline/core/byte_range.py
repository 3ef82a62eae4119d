"""Which bytes of a file a request asks for (RFC 9110, section 14)."""

from __future__ import annotations

import re

_ONE = re.compile(r"bytes=\s*(?:(\d+)-(\d*)|-(\d+))\s*", re.ASCII)


class RangeOutside(ValueError):
    """The range begins after the end."""


def parse_byte_range(header: str | None, size_bytes: int) -> tuple[int, int] | None:
    """Bytes `[first, stop)` that the header asks for; None for the whole: without a range, or with several, or where it
    cannot be read, which all may be answered by the whole.

    Raises:
        RangeOutside: there are no such bytes.
    """
    found = _ONE.fullmatch(header or "")
    if found is None:
        return None
    first, last, suffix = found.groups()
    if suffix is not None:
        begin, stop = max(0, size_bytes - int(suffix)), size_bytes
    else:
        begin, stop = int(first), min(size_bytes, int(last) + 1 if last else size_bytes)
        if last and int(last) < begin:
            return None
    if begin >= stop:
        raise RangeOutside
    return begin, stop
