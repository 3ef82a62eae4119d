"""A campaign's report as a page of Markdown, and as files with the pictures of the videos that changed most."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote
from uuid import UUID

from pipeline.core.files import write_atomically
from pipeline.core.progress import SILENT, Progress
from pipeline.errors import PoselineError, ServiceUnavailable, UsageError
from pipeline.services.campaign_report import CampaignReport, KeptBack
from pipeline.services.compare import compare_runs
from pipeline.services.export import cannot_write
from pipeline.services.preview.strip import draw_strip
from pipeline.services.runs import short_id
from pipeline.services.system import System

#: Of the runs that were kept back and failed, on the page; the JSON has all.
_LISTED = 50
_LONGEST_NAME = 60


def page(report: CampaignReport, pictures: Mapping[UUID, str] | None = None) -> str:
    """The page, in Markdown.

    Args:
        pictures: the file of each run that has one, as a path from the page.
    """
    lines = [f"# {_text(report.title[:1].upper() + report.title[1:])}", ""]
    for each in report.passes:
        until = f" to {each.closed_at.astimezone():%Y-%m-%d %H:%M}" if each.closed_at else ", open"
        lines.append(
            f"- {_text(each.name)}: {each.opened_at.astimezone():%Y-%m-%d %H:%M}{until}, model {_text(each.model)}, "
            f"rule `{each.promotion}`"
        )
    states = ", ".join(f"{count} {state}" for state, count in sorted(report.by_state.items()))
    lines += [
        "",
        "| | |",
        "| --- | ---: |",
        f"| videos | {report.videos} |",
        f"| runs | {states or 'none'} |",
        f"| promoted: current now | {report.promoted} |",
        f"| of these the video's first run | {report.first_runs} |",
        f"| kept back | {len(report.kept_back)} |",
        f"| were current, and are not now | {report.replaced} |",
        f"| failed or cancelled | {len(report.failed)} |",
        *_changes(report),
        *_listed("Kept back", report.kept_back, _by_measure(report)),
        *_listed("Failed or cancelled", report.failed),
        *_worst(report, pictures or {}),
    ]
    return "\n".join(lines) + "\n"


def write_campaign(
    system: System, report: CampaignReport, folder: Path, *, team: str | None, progress: Progress = SILENT
) -> tuple[list[Path], list[str]]:
    """Write `report.md`, `report.json` and a picture of each of the worst videos into a folder.

    Returns the files, and why pictures are missing. Reports written there before are replaced.

    Raises:
        UsageError: the folder cannot be written, or has another file under one of these names.
    """
    pictures: dict[UUID, str] = {}
    notes: list[str] = []
    progress.total(len(report.worst))
    for number, each in enumerate(report.worst, 1):
        path = folder / f"{number:02}-{_file_name(each.video)}-{short_id(each.run_id)}.jpg"
        try:
            comparison = compare_runs(system, each.against_run_id, each.run_id, team=team)
            missing = draw_strip(system, comparison, path, team=team)
        except ServiceUnavailable:
            raise
        except PoselineError as error:
            if isinstance(error, UsageError) and path.exists():
                raise
            missing = (error.message,)
        notes += [f"{each.video}: {note}" for note in missing]
        if path.exists():
            pictures[each.run_id] = path.name
        progress.advance()
    texts = {
        "report.md": page(report, pictures),
        "report.json": json.dumps(report.to_dict(), indent=2, ensure_ascii=False) + "\n",
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            write_atomically(folder / name, text)
    except OSError as error:
        raise cannot_write(folder, error) from error
    return [*(folder / name for name in texts), *(folder / name for name in pictures.values())], notes


def _changes(report: CampaignReport) -> list[str]:
    if not report.compared:
        return ["", "Nothing was there before to compare with."]
    totals, means, before = report.totals, report.means, report.totals["people_before"]

    def share(count: int) -> str:
        return f" ({count / before:.1%})" if before else ""

    rows = [
        ("people before, after", f"{before}, {totals['people_after']}"),
        ("people in both", f"{totals['people_in_both']}{share(totals['people_in_both'])}"),
        ("people lost", f"{totals['people_lost']}{share(totals['people_lost'])}"),
        ("people found", f"{totals['people_found']}{share(totals['people_found'])}"),
        ("frames missing before, after", "{}, {}".format(*report.frames_missing)),
        ("agreement", _number(means["agreement"], ".3f")),
        ("OKS of people in both", _number(means["oks_mean"], ".3f")),
        ("confidence of people in both", _number(means["confidence_change"], "+.3f")),
        ("median drift", _number(report.drift["px_median"], ".2f", " px")),
        ("median drift by a person's size", _number(report.drift["body_median"], ".1%")),
    ]
    return [
        "",
        "## What changed",
        "",
        f"Of the {report.compared} videos that were compared with their runs before; the last five are means of these.",
        "",
        "| | |",
        "| --- | ---: |",
        *(f"| {name} | {value} |" for name, value in rows),
    ]


def _listed(title: str, runs: tuple[KeptBack, ...], about: str = "") -> list[str]:
    if not runs:
        return []
    lines = ["", f"## {title}", "", *([about, ""] if about else []), "| video | team | run | why |"]
    lines.append("| --- | --- | --- | --- |")
    lines += [
        f"| {_text(each.video)} | {_text(each.team)} | {short_id(each.run_id)} | {_text(each.reason)} |"
        for each in runs[:_LISTED]
    ]
    if len(runs) > _LISTED:
        lines += ["", f"And {len(runs) - _LISTED} more: `--json` has them all."]
    return lines


def _by_measure(report: CampaignReport) -> str:
    counts = ", ".join(f"{name} in {count}" for name, count in report.kept_by_measure.items())
    return f"By: {counts}."


def _worst(report: CampaignReport, pictures: Mapping[UUID, str]) -> list[str]:
    if not report.worst:
        return []
    lines = [
        "",
        "## The worst",
        "",
        "Where least of what was found before is found as before. Agreement: the sum of the OKS of the people in both,",
        "by the people before.",
        "",
        "| video | team | run | agreement | OKS | lost | found | confidence | missing | |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for each in report.worst:
        figures = each.figures
        more = figures["frames_missing_after"] - figures["frames_missing_before"]
        cells = (
            *(_text(each.video), _text(each.team), short_id(each.run_id)),
            *(_number(figures["agreement"], ".3f"), _number(figures["oks_mean"], ".3f")),
            f"{figures['people_lost']} of {figures['people_before']}",
            *(str(figures["people_found"]), _number(figures["confidence_change"], "+.3f"), f"{more:+}"),
            "current" if each.is_current else "not current",
        )
        lines.append(f"| {' | '.join(cells)} |")
    for each in report.worst:
        if each.run_id in pictures:
            lines += ["", f"### {_text(each.video)}", "", f"![What changed most]({quote(pictures[each.run_id])})"]
    return lines


def _number(value: float | None, form: str, unit: str = "") -> str:
    return "unknown" if value is None else f"{value:{form}}{unit}"


def _text(words: str) -> str:
    """Words as Markdown shows them: what would be markup is escaped."""
    return re.sub(r"([\\`*_{}\[\]<>#|!])", r"\\\1", words)


def _file_name(video: str) -> str:
    return re.sub(r"[^\w.-]+", "_", Path(video).stem)[:_LONGEST_NAME].strip("._") or "video"
