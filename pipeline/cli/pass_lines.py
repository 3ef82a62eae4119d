"""Passes and estimates, as tables and lines."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.cli.console import Console
from pipeline.cli.progress import in_time
from pipeline.services.pass_estimate import Estimate
from pipeline.services.pass_list import PassProgress
from pipeline.services.runs import short_id
from pipeline.services.upload_steps import printable

_SHOWN = 20


def print_passes(console: Console, passes: Sequence[PassProgress]) -> None:
    """Print a table of passes."""
    console.table(
        ("id", "pass", "model", "opened", "videos", "done", "failed", "left", "frames", "ended"),
        [
            (
                *(
                    short_id(each.one.id),
                    printable(each.one.name),
                    each.one.model,
                    f"{each.one.opened_at.astimezone():%m-%d %H:%M}",
                ),
                *(each.counts[name] for name in ("videos", "done", "failed")),
                each.counts["open"] + each.counts["held"],
                f"{each.counts['frames']:,}",
                _ending(each),
            )
            for each in passes
        ],
    )


def estimate_lines(console: Console, estimate: Estimate) -> list[str]:
    """Print the videos of an estimate as a table. Returns the lines that sum it up."""
    if estimate.videos:
        shown = estimate.videos[:_SHOWN]
        console.table(
            ("video", "team", "frames"),
            [(printable(one.name), printable(one.team), f"{one.frames:,}") for one in shown],
        )
    lines = []
    if len(estimate.videos) > _SHOWN:
        lines.append(f"and {len(estimate.videos) - _SHOWN:,} more; --json names them")
    if estimate.begun_videos:
        lines.append(
            f"first of all {_videos(estimate.begun_videos)} that a pass began: {estimate.begun_frames:,} frames"
        )
    total = estimate.begun_videos + len(estimate.videos)
    lines.append(f"{_videos(total)}, {estimate.frames:,} frames by {estimate.model}")
    if not estimate.frames:
        return [nothing_line(estimate)]
    if estimate.hours is not None:
        lines.append(
            f"about {in_time(estimate.hours * 3600)} on {estimate.slots} slots with nothing else to do, at "
            f"{estimate.frames_per_s:,.0f} frames a second, as measured in its last runs"
        )
    elif not estimate.slots:
        lines.append("how long that takes is not known: no worker is there")
    else:
        unknown = f"how long that takes is not known: {estimate.model} has not run here yet"
        lines.append(f"{unknown}; try `poseline reprocess --sample 3`")
    return lines


def nothing_line(estimate: Estimate) -> str:
    """Why there is nothing to analyse."""
    if not estimate.selected:
        return "no video is selected; `poseline runs` lists what there is"
    return f"nothing to do: {_videos(estimate.selected)} selected, with a run by {estimate.model} each"


def _videos(count: int) -> str:
    return "1 video" if count == 1 else f"{count:,} videos"


def _ending(each: PassProgress) -> str:
    if each.one.ended is not None:
        return each.one.ended
    return "open" if each.one.closes_at is None else f"open until {each.one.closes_at.astimezone():%H:%M}"
