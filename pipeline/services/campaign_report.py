"""What a schedule or a pass changed: how many videos, what became current, what was kept back and why, the worst."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.core.states import RunState, is_final
from pipeline.db.campaigns import CampaignRun, iter_campaign_runs
from pipeline.db.engine import transaction
from pipeline.db.passes import PassRow, find_passes
from pipeline.db.schedules import select_schedule_passes
from pipeline.errors import NotFound
from pipeline.services.system import System
from pipeline.services.teams import require_team
from pipeline.services.upload_steps import printable

#: How many of the videos that agree least with what was found before are named.
WORST = 10
#: Means over the videos that were compared.
_MEANS = ("agreement", "oks_mean", "confidence_change")
_TOTALS = ("people_before", "people_after", "people_in_both", "people_lost", "people_found", "frames_compared")


@dataclass(frozen=True)
class KeptBack:
    """A run that is done and did not become current, or no run's results: why."""

    video: str
    team: str
    run_id: UUID
    reason: str


@dataclass(frozen=True)
class Worst:
    """A video that agrees least with what was found before, with its numbers."""

    video: str
    team: str
    run_id: UUID
    against_run_id: UUID
    is_current: bool
    figures: dict[str, Any]


@dataclass(frozen=True)
class CampaignPass:
    """One pass: what it asked for, and when it was open."""

    id: UUID
    name: str
    model: str
    promotion: str
    opened_at: datetime
    closed_at: datetime | None


@dataclass(frozen=True)
class CampaignReport:
    """The figures of a schedule or a pass.

    Args:
        title: `schedule NAME` or `pass NAME`.
        videos: that it asked for.
        by_state: of their newest runs.
        promoted: current now.
        replaced: that were current, and are not now: rolled back, or another run took their place.
        first_runs: of those promoted, the first of their video, with nothing to compare.
        kept_by_measure: how many were kept back by each measure; one may be by several.
        compared: videos whose runs were compared; the means are over these.
        means, totals: by the names of `ComparisonFigures`.
        frames_missing: before and after, of all that were compared.
        drift: the means of the median drifts: px, and as a share of people's sizes.
    """

    title: str
    passes: tuple[CampaignPass, ...]
    videos: int
    by_state: dict[str, int]
    promoted: int
    replaced: int
    first_runs: int
    kept_back: tuple[KeptBack, ...]
    kept_by_measure: dict[str, int]
    failed: tuple[KeptBack, ...]
    compared: int
    means: dict[str, float | None]
    totals: dict[str, int]
    frames_missing: tuple[int, int]
    drift: dict[str, float | None]
    worst: tuple[Worst, ...]

    @property
    def open(self) -> int:
        """Runs that have not ended."""
        return sum(count for state, count in self.by_state.items() if not is_final(RunState(state)))

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON fields."""
        facts: dict[str, Any] = _plain(asdict(self))
        return facts


def report_on(system: System, name: str, *, team: str | None) -> CampaignReport:
    """The report on a schedule, or on the pass of that name or whose id begins so.

    Raises:
        NotFound: there is neither.
        UnknownTeam: there is no such team.
    """
    if team is not None:
        require_team(system, team)
    with transaction(system.engine) as connection:
        kind, found = _find(connection, name)
    passes = [CampaignPass(one.id, one.name, one.model, one.promotion, one.opened_at, one.closed_at) for one in found]
    runs = iter_campaign_runs(system.engine, [one.id for one in found], team_name=team)
    return _summed(f"{kind} {name}", reversed(passes), runs)


def _find(connection: Connection, name: str) -> tuple[str, list[PassRow]]:
    """Whether that is a schedule or a pass, and the passes, the newest first."""
    try:
        return "schedule", select_schedule_passes(connection, name)
    except NotFound:
        pass
    try:
        return "pass", find_passes(connection, name)
    except NotFound as error:
        raise NotFound(
            f"there is no schedule or pass {name!r}; `poseline schedule list` lists the schedules"
        ) from error


def _summed(title: str, passes: Iterable[CampaignPass], runs: Iterable[CampaignRun]) -> CampaignReport:
    by_state: Counter[str] = Counter()
    measures: Counter[str] = Counter()
    sums: Counter[str] = Counter()
    known: Counter[str] = Counter()
    kept: list[KeptBack] = []
    failed: list[KeptBack] = []
    worst: list[tuple[tuple[float, int], str, Worst]] = []
    promoted = replaced = first_runs = compared = 0
    for run in runs:
        by_state[run.state] += 1
        name = printable(run.video)
        if run.state in {RunState.FAILED, RunState.CANCELLED}:
            failed.append(KeptBack(name, run.team, run.run_id, run.run_reason or str(run.state)))
        elif run.is_current:
            promoted += 1
            first_runs += run.against_run_id is None
        elif run.promoted:
            replaced += 1
        elif run.promoted is False:
            reason = run.decision or ""
            kept.append(KeptBack(name, run.team, run.run_id, reason))
            measures.update({part.partition(":")[0] for part in reason.split("; ")})
        if run.figures is None or run.against_run_id is None:
            continue
        compared += 1
        _add(sums, known, run.figures)
        agreement = run.figures["agreement"]
        if agreement is not None:
            one = Worst(name, run.team, run.run_id, run.against_run_id, run.is_current, dict(run.figures))
            # The heap gives up the one that agrees most.
            rank = (-agreement, run.figures["people_lost"])
            heapq.heappush(worst, (rank, str(run.run_id), one))
            if len(worst) > WORST:
                heapq.heappop(worst)
    return CampaignReport(
        title=title,
        passes=tuple(passes),
        videos=by_state.total(),
        by_state=dict(by_state),
        promoted=promoted,
        replaced=replaced,
        first_runs=first_runs,
        kept_back=tuple(kept),
        kept_by_measure=dict(measures.most_common()),
        failed=tuple(failed),
        compared=compared,
        means={name: _mean(sums, known, name) for name in _MEANS},
        totals={name: int(sums[name]) for name in _TOTALS},
        frames_missing=(int(sums["frames_missing_before"]), int(sums["frames_missing_after"])),
        drift={name: _mean(sums, known, name) for name in ("px_median", "body_median")},
        worst=tuple(each for _, _, each in sorted(worst, reverse=True, key=lambda item: item[:2])),
    )


def _add(sums: Counter[str], known: Counter[str], figures: Any) -> None:
    drift = figures["drift"] or {}
    for name in (*_MEANS, *_TOTALS, "frames_missing_before", "frames_missing_after", "px_median", "body_median"):
        value = drift.get(name) if name in {"px_median", "body_median"} else figures[name]
        if value is not None:
            sums[name] += value
            known[name] += 1


def _mean(sums: Counter[str], known: Counter[str], name: str) -> float | None:
    return sums[name] / known[name] if known[name] else None


def _plain(value: Any) -> Any:
    """Ids and times as text, all the way down."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, UUID):
        return str(value)
    return value.isoformat() if hasattr(value, "isoformat") else value
