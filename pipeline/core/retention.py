"""What a team may keep for a number of days, and how such a period is written."""

from __future__ import annotations

import re
from enum import StrEnum

_DAYS_OF = {"d": 1, "w": 7, "y": 365}
#: A hundred years; what is kept longer is kept.
MOST_DAYS = 36_500


class Kind(StrEnum):
    """What is kept or removed by itself."""

    ORIGINALS = "originals"
    PROXIES = "proxies"
    EXPORTS = "exports"
    RUNS = "runs"
    FAILED_RUNS = "failed_runs"
    AUDIT = "audit"


#: What each kind is, and from when its days count.
MEANING = {
    Kind.ORIGINALS: "uploaded videos themselves, since they were uploaded; their frame index, runs and results stay",
    Kind.PROXIES: "copies of videos for browsers, since they were made; they are made again when somebody asks",
    Kind.EXPORTS: "stored exports, since their run was done; they can be made again",
    Kind.RUNS: "done runs that are not their video's current one, since they are not",
    Kind.FAILED_RUNS: "failed and cancelled runs, since they ended",
    Kind.AUDIT: (
        "who did what, which run was current when, and closed passes, since then; the last of each video and schedule "
        "stays"
    ),
}


def parse_period(text: str) -> int | None:
    """The days of a period such as `365d`, `12w` or `2y`; None for `keep`.

    Raises:
        ValueError: it is none.
    """
    if text == "keep":
        return None
    parts = re.fullmatch(r"([1-9]\d{0,5})([dwy])", text)
    days = int(parts[1]) * _DAYS_OF[parts[2]] if parts else MOST_DAYS + 1
    if days > MOST_DAYS:
        raise ValueError(f"{text!r} is no period; write 365d, 12w, 2y, or keep")
    return days


def format_period(days: int | None) -> str:
    """A period as it is written: `365d`, or `keep`."""
    return "keep" if days is None else f"{days}d"
