"""A comparison as lines of text."""

from __future__ import annotations

from pipeline.core.comparison_figures import ComparisonFigures
from pipeline.services.compare import RunComparison
from pipeline.services.runs import short_id
from pipeline.services.upload_steps import printable

_MOST_JOINTS = 30


def comparison_lines(comparison: RunComparison) -> list[str]:
    """What changed from one run to the other, without the table of keypoints."""
    figures, before, after = comparison.figures, comparison.before, comparison.after
    lines = [
        f"{printable(after.video)}, team {after.team}: {figures.frames_compared} of {figures.frames} frames compared"
    ]
    for title, run in (("before", before), ("after", after)):
        current = ", current" if run.is_current else ""
        lines.append(f"  {title:<10} run {short_id(run.id)}, {run.model_name}{current}")
    lines.append(
        f"  {'people':<10} {figures.people_before} before, {figures.people_after} after: {figures.people_in_both} in "
        f"both, {figures.people_lost} lost{_share(figures.people_lost, figures)}, "
        f"{figures.people_found} found{_share(figures.people_found, figures)}"
    )
    if figures.matched_by == "boxes":
        lines.append(f"  {'matched by':<10} boxes (IoU): the models have no keypoint of the same name")
    elif figures.oks_mean is not None:
        lines.append(
            f"  {'OKS':<10} mean {figures.oks_mean:.3f}, median {figures.oks_median:.3f}, lowest 5 % below "
            f"{figures.oks_p05:.3f}, least {figures.oks_min:.3f}"
        )
        lines.append(f"  {'':<10} 0.5 {_bars(figures.oks_histogram)} 1.0")
    if figures.agreement is not None:
        lines.append(f"  {'agreement':<10} {figures.agreement:.3f} of what was found before is found as before")
    if figures.confidence_before is not None and figures.confidence_change is not None:
        lines.append(
            f"  {'confidence':<10} {figures.confidence_before:.3f} before, {figures.confidence_after:.3f} after "
            f"({figures.confidence_change:+.3f}), of the people in both"
        )
    if figures.drift is not None:
        drift = figures.drift
        lines.append(
            f"  {'drift':<10} median {drift.px_median:.2f} px ({drift.body_median:.1%} of a person's size), 95 % below "
            f"{drift.px_p95:.2f} px ({drift.body_p95:.1%})"
        )
    lines.append(
        f"  {'missing':<10} {figures.frames_missing_before} frames before, {figures.frames_missing_after} after"
    )
    if figures.changed_most:
        most = ", ".join(f"{each.frame} ({each.time_s:.2f} s)" for each in figures.changed_most)
        lines.append(f"  {'most in':<10} frames {most}")
    return lines


def joint_rows(figures: ComparisonFigures) -> list[tuple[str, ...]]:
    """The drift of each keypoint, those of many keypoints only as far as they moved most."""
    joints = list(figures.joints.items())
    if len(joints) > _MOST_JOINTS:
        joints = sorted(joints, key=lambda item: -item[1].body_median)[:_MOST_JOINTS]
    return [
        (
            *(name, f"{each.px_median:.2f} px", f"{each.px_p95:.2f} px"),
            *(f"{each.body_median:.1%}", f"{each.body_p95:.1%}", str(each.keypoints)),
        )
        for name, each in joints
    ]


def _share(count: int, figures: ComparisonFigures) -> str:
    return f" ({count / figures.people_before:.1%})" if figures.people_before and count else ""


def _bars(counts: tuple[int, ...]) -> str:
    """Counts as a row of bars."""
    most = max(counts) or 1
    return "".join(" ▁▂▃▄▅▆▇█"[-(-8 * count // most)] for count in counts)
