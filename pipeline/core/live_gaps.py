"""What a live run is not: the frames of its session that have no poses, in numbers and in one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def live_gaps(about: Mapping[str, Any], summary: Mapping[str, Any]) -> dict[str, Any]:
    """What a live run's summary says of its session.

    Args:
        about: what the run says of its session.
        summary: the run's own numbers.

    Returns:
        `session`, `mode`, `captured` and `not_sent` by the client's counts where it told them, `received`, `analysed`,
        `left_out` (they gave no picture, so they are not in the video), why the session and its keeping ended, and all
        of it as a `line`.
    """
    frames, missing, received = summary["frames"], summary["frames_missing"], about["received"]
    captured = about.get("captured")
    # A client's counts are its own; what it did not send cannot be fewer than none.
    not_sent = None if captured is None else max(0, captured - received)
    analysed, left_out = frames - missing, about["left_out"]
    parts = [f"{analysed} of {frames} frames were analysed live"]
    if left_out:
        parts.append(f"{left_out} gave no picture in time, or one of another size, and are not in the video")
    if not_sent is None:
        parts.append("how many captured frames were not sent is not known")
    elif not_sent:
        parts.append(f"{not_sent} captured frames were not sent")
    if about.get("not_kept"):
        parts.append(f"keeping ended before the session: {about['not_kept']}")
    return {
        "session": about["session"],
        "mode": about["mode"],
        "captured": captured,
        "not_sent": not_sent,
        "received": received,
        "analysed": analysed,
        "left_out": left_out,
        "ended": about["ended"],
        "not_kept": about.get("not_kept"),
        "line": "; ".join(parts),
    }
