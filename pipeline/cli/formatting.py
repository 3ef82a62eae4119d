"""Runs as lines of text."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.core.states import RunState
from pipeline.core.tags import format_tags
from pipeline.services.result_page import length
from pipeline.services.runs import Run, RunDetail, duration_s, is_held_back, short_id
from pipeline.services.upload_steps import printable

#: Of the parts of a video that were given up.
_GIVEN_UP_SHOWN = 5


def summary_line(run: Run) -> str:
    """What a run that is done found, and how long it took."""
    summary, took_s = run.summary or {}, duration_s(run) or 0.0
    frames, with_people = summary["frames"], summary["frames_with_people"]
    line = (
        f"{in_number(frames, 'frame')} ({summary['video_s']:.1f} s of video), people in {with_people} of them, "
        f"{summary['most_people']} at once at most, {in_number(summary['poses'], 'pose')}; "
        f"{took_s:.1f} s, {frames / max(took_s, 0.01):.1f} frames/s"
    )
    missing = summary["frames_missing"]
    if "live" in summary:
        return f"{line}; live: {summary['live']['line']}"
    return line + (f"; {in_number(missing, 'frame')} could not be analysed" if missing else "")


def run_rows(runs: Sequence[Run]) -> tuple[tuple[str, ...], list[tuple[str | None, ...]]]:
    """Headings and rows of a table of runs."""
    tagged = any(run.tags for run in runs)
    headings: tuple[str, ...] = ("run", "state", "requested", "video", "length", "people", "frames", "team", "model")
    headings += ("tags",) * tagged
    rows: list[tuple[str | None, ...]] = []
    for run in runs:
        summary = run.summary or {}
        video_s = summary.get("video_s", run.video_s)
        people = summary.get("most_people")
        state = f"{run.state} (paused)" if is_held_back(run) else run.state
        rows.append(
            (
                *(short_id(run.id), state, f"{run.created_at.astimezone():%Y-%m-%d %H:%M}", printable(run.video)),
                None if video_s is None else length(video_s),
                None if people is None else str(people),
                f"{run.frames_done}/{run.frames}" if run.frames else None,
                *(run.team, run.model_name),
                *(format_tags(run.tags),) * tagged,
            )
        )
    return headings, rows


def detail_lines(detail: RunDetail) -> list[str]:
    """A run in detail; what ingest or planning has yet to find out is left out."""
    run, video = detail.run, detail.video
    about = [printable(run.video)]
    if video.width is not None:
        about += [f"{video.width}x{video.height}", str(video.codec)]
    reason = f" ({run.reason})" if run.reason and run.reason != run.state else ""
    lines = [f"run {run.id}: {run.state}{reason}"]
    lines.append(f"  video   {', '.join(about)}, team {run.team}")
    lines.append(f"  model   {run.model_name} ({run.model_fingerprint[:12]})")
    lines += [f"          {note}" for note in run.notes]
    if video.source_gone_at is not None and video.source is not None:
        where = printable(f"s3://{video.source.bucket}/{video.source.key}")
        lines.append(
            f"  source  {where} is gone or overwritten, found {video.source_gone_at.astimezone():%Y-%m-%d %H:%M}"
        )
        lines.append("          what was analysed stays; put it back, or upload the video, to analyse it again")
    if video.original_removed_at is not None:
        lines.append(f"  source  removed on {video.original_removed_at.astimezone():%Y-%m-%d} by the team's retention")
    if run.tags:
        lines.append(f"  tags    {format_tags(run.tags)}")
    if run.deadline is not None:
        lines.append(f"  before  {run.deadline.astimezone():%Y-%m-%d %H:%M}, lane {run.lane}")
    if run.promotion != "automatic":
        lines.append(f"  rule    {run.promotion}: when it becomes the current run")
    if run.frames is not None:
        lines.append(f"  frames  {run.frames_done} of {run.frames}{_decoded_twice(run)}")
    lines += _live_lines(run)
    if detail.chunks_by_state:
        counts = ", ".join(f"{count} {state}" for state, count in detail.chunks_by_state.items())
        lines.append(f"  chunks  {counts}")
    if detail.suspects:
        parts = "1 part" if detail.suspects == 1 else f"{detail.suspects} parts"
        lines.append(f"  alone   {parts} of the video after workers died that had them, in a process of their own")
    for each in detail.given_up[:_GIVEN_UP_SHOWN]:
        lines.append(f"  missing frames {each.first_frame} to {each.first_frame + each.frames - 1}: {each.reason}")
    if len(detail.given_up) > _GIVEN_UP_SHOWN:
        lines.append(f"          and {len(detail.given_up) - _GIVEN_UP_SHOWN} more parts; --json has them all")
    lines += [f"  with    {engine}: {count} frames" for engine, count in detail.computed_with.items()]
    lines += _version_lines(detail)
    if detail.blocking_reason is not None:
        lines.append(f"  blocked {detail.blocking_reason}")
    return lines


def _live_lines(run: Run) -> list[str]:
    """Which frames of a live session have no poses."""
    if run.live is None:
        return []
    return [f"  live    {(run.summary or {}).get('live', {}).get('line', 'the poses of a live session')}"]


def _version_lines(detail: RunDetail) -> list[str]:
    """Whether a run that is done is current and why, and how it differs from the one before."""
    run, decision = detail.run, detail.decision
    lines = []
    if run.state is RunState.DONE and run.is_current:
        why = (
            f" since {decision.at.astimezone():%Y-%m-%d %H:%M}, by {decision.by}: {decision.reason}" if decision else ""
        )
        lines.append(f"  current{why}")
    elif run.state is RunState.DONE:
        kept_back = f": kept back by {decision.by}: {decision.reason}" if decision and not decision.promoted else ""
        lines.append(f"  not current{kept_back}")
    if detail.against is not None:
        figures = detail.against
        oks = "" if figures["oks_mean"] is None else f", OKS {figures['oks_mean']:.3f}"
        lines.append(
            f"  against run {figures['against_run_id'][:8]}: {figures['people_lost']} of {figures['people_before']} "
            f"people lost, {figures['people_found']} found{oks}"
        )
    return lines


def _decoded_twice(run: Run) -> str:
    """How many frames the plan decodes twice, because not all of its chunks start at keyframes."""
    if not run.frames or not run.frames_to_decode:
        return ""
    twice = run.frames_to_decode - run.frames
    return f", {twice} decoded twice ({twice / run.frames:.1%})" if twice else ", none decoded twice"


def in_number(number: int, noun: str) -> str:
    """A number of something: `1 run`, `3 runs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def format_ago(seconds: float) -> str:
    """How long ago something was: `8 s ago`, `3 min ago`, `2 h ago`."""
    if seconds < 100:
        return f"{seconds:.0f} s ago"
    return f"{seconds / 60:.0f} min ago" if seconds < 5400 else f"{seconds / 3600:.0f} h ago"
