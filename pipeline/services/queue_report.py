"""What waits in each lane and of each team, how fast it goes, and when each run will be done."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from pipeline.core.fair_share import QueueKey
from pipeline.core.forecast import OpenChunk, OpenRun, forecast
from pipeline.core.states import RunState
from pipeline.core.tags import Tags
from pipeline.db.engine import transaction
from pipeline.db.pressure import select_pressure
from pipeline.db.queue_state import (
    ChunkUnderWay,
    LaneRow,
    Pace,
    QueuedRun,
    select_chunks_under_way,
    select_lanes,
    select_open_runs,
    select_paces,
    select_turn,
    update_share,
)
from pipeline.db.run_search import find_open_runs
from pipeline.db.workers import select_workers
from pipeline.errors import UsageError
from pipeline.services.queue_costs import Costs
from pipeline.services.system import System
from pipeline.services.teams import require_team

_MOST_KEPT = 0.9


@dataclass(frozen=True)
class RunForecast:
    """A run that is not done.

    Args:
        frames_left: still to be analysed; estimated from the size of a video that was not ingested yet, None where
            there is nothing to tell it from.
        done_in_s: seconds until it is done; None while it is paused, or nothing was measured lately.
        late: whether it will be done after its deadline.
    """

    run_id: UUID
    video: str
    team: str
    lane: str
    state: RunState
    paused: bool
    frames_left: int | None
    done_in_s: float | None
    deadline: datetime | None
    late: bool

    def to_dict(self, now: datetime) -> dict[str, Any]:
        """The run as JSON fields."""
        return {
            "run_id": str(self.run_id),
            "video": self.video,
            "team": self.team,
            "lane": self.lane,
            "state": str(self.state),
            "paused": self.paused,
            "frames_left": self.frames_left,
            "done_in_s": None if self.done_in_s is None else round(self.done_in_s, 1),
            "done_at": None
            if self.done_in_s is None
            else (now + timedelta(seconds=self.done_in_s)).isoformat(timespec="seconds"),
            "deadline": self.deadline and self.deadline.isoformat(),
            "late": self.late,
        }


@dataclass(frozen=True)
class TeamQueue:
    """One team's queue in one lane.

    Args:
        waiting: runs whose video was not ingested yet.
        runs: the others.
        frames_per_s: over the last two minutes.
        done_in_s: seconds until all of it is done; None where that of one of its runs is.
    """

    lane: str
    team: str
    paused: bool
    waiting: int
    runs: int
    frames_left: int
    frames_per_s: float
    done_in_s: float | None

    def to_dict(self) -> dict[str, Any]:
        """The queue as JSON fields."""
        rounded = {"frames_per_s": round(self.frames_per_s, 2)}
        if self.done_in_s is not None:
            rounded["done_in_s"] = round(self.done_in_s, 1)
        return {**self.__dict__, **rounded}


@dataclass(frozen=True)
class QueueReport:
    """The queue as it is now.

    Args:
        slots: of all workers that report.
        runs: in the order in which they will be done; those of which that is not known come last.
        no_room: why no videos are taken in; empty while they are.
    """

    at: datetime
    slots: int
    lanes: Sequence[LaneRow]
    queues: Sequence[TeamQueue]
    runs: Sequence[RunForecast]
    no_room: Sequence[str] = ()

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON fields."""
        return {
            "slots": self.slots,
            "no_room": list(self.no_room),
            "lanes": [
                {"lane": row.lane.name, "share": round(row.lane.share, 4), "paused": row.paused_at is not None}
                for row in self.lanes
            ],
            "queues": [queue.to_dict() for queue in self.queues],
            "runs": [run.to_dict(self.at) for run in self.runs],
        }


def get_queue(system: System, *, team: str | None = None, tags: Tags | None = None) -> QueueReport:
    """The queue; of one team only unless it is None, of runs whose videos have all `tags`. Forecasts count the others
    all the same.

    Raises:
        UnknownTeam: there is no such team.
    """
    if team is not None:
        require_team(system, team)
    with transaction(system.engine) as connection:
        lanes, every = select_lanes(connection), select_open_runs(connection)
        under_way = select_chunks_under_way(connection)
        paces, turn = select_paces(connection), select_turn(connection)
        slots = sum(worker.slots for worker in select_workers(connection) if worker.draining_at is None)
        no_room = [part.reason for part in select_pressure(connection)]
        tagged = find_open_runs(connection, tags) if tags else {run.id for run in every}
    now = datetime.now(UTC)
    frames_left = _frames_left(every)
    costs = Costs(paces, slots)
    cost_of = {
        run.id: cost
        for run in every
        if not run.paused and not _is_analysed(run) and frames_left[run.id] is not None and (cost := costs.of(run))
    }
    sent = [(one, _open_chunk(one, cost_of[one.run_id])) for one in under_way if one.run_id in cost_of]
    since_heartbeat: dict[UUID, int] = defaultdict(int)
    for one, open_chunk in sent:
        since_heartbeat[one.run_id] += one.frames - one.frames_done - open_chunk.frames
    open_runs = [
        OpenRun(
            run.id,
            QueueKey(run.lane, str(run.team_id)),
            (frames_left[run.id] or 0) - since_heartbeat[run.id],
            cost_of[run.id],
            run.chunks_left,
        )
        for run in every
        if run.id in cost_of
    ]
    analysed = {run.id: 0.0 for run in every if _is_analysed(run)}
    ends_s = analysed | forecast(
        open_runs,
        [row.lane for row in lanes],
        {str(run.team_id): run.weight for run in every},
        {str(run.team_id): run.max_slots for run in every if run.max_slots is not None},
        slots,
        system.settings.window(slots),
        [open_chunk for _, open_chunk in sent],
        turn,
        system.settings.tick_s,
    )
    shown = [run for run in every if team in {None, run.team} and run.id in tagged]
    runs = [_run_forecast(run, frames_left[run.id], ends_s.get(run.id), now) for run in shown]
    runs.sort(key=lambda run: (run.done_in_s is None, run.done_in_s or 0.0))
    return QueueReport(now, slots, lanes, _queues(shown, runs, paces), runs, no_room)


def set_share(system: System, lane: str, share: float) -> QueueReport:
    """Change the share of the chunks sent that is kept for a lane while it has work.

    Raises:
        UsageError: there is no such lane, or all shares together would leave nothing to the first lane.
    """
    with transaction(system.engine) as connection:
        rows = {row.lane.name: row for row in select_lanes(connection)}
        if lane not in rows:
            raise UsageError(f"there is no lane {lane!r}; the lanes are {', '.join(rows)}")
        kept = sum(row.lane.share for row in rows.values() if row.lane.name != lane) + share
        if share < 0 or kept > _MOST_KEPT + 1e-6:
            raise UsageError(
                f"the shares of all lanes may be at most {_MOST_KEPT:.0%} together, with {share:.0%} for {lane} they "
                f"are {kept:.0%}; lower another first"
            )
        update_share(connection, lane, share)
    return get_queue(system)


def _is_analysed(run: QueuedRun) -> bool:
    """Whether nothing of it goes through the queue any more; it finishes at once."""
    return run.state is RunState.FINISHING or not run.chunks_left


def _open_chunk(one: ChunkUnderWay, slot_s_per_frame: float) -> OpenChunk:
    """Heartbeats tell late how far it is; its pace tells what it must have done since."""
    done = max(one.frames_done, (one.running_s or 0.0) / slot_s_per_frame)
    return OpenChunk(one.run_id, max(round(one.frames - done), 0), one.running_s is not None)


def _frames_left(runs: Sequence[QueuedRun]) -> Mapping[UUID, int | None]:
    """By run; for videos that were not ingested yet estimated by their size, as the others have frames for theirs."""
    known = [run for run in runs if run.frames and run.size_bytes]
    frames, size_bytes = sum(run.frames or 0 for run in known), sum(run.size_bytes or 0 for run in known)
    return {
        run.id: run.frames_left
        if run.state is not RunState.WAITING or run.frames
        else (None if not size_bytes or run.size_bytes is None else round(run.size_bytes * frames / size_bytes))
        for run in runs
    }


def _run_forecast(run: QueuedRun, frames_left: int | None, done_in_s: float | None, now: datetime) -> RunForecast:
    late = run.deadline is not None and (
        run.deadline < now if done_in_s is None else now + timedelta(seconds=done_in_s) > run.deadline
    )
    return RunForecast(
        run.id, run.video, run.team, run.lane, run.state, run.paused, frames_left, done_in_s, run.deadline, late
    )


def _queues(runs: Sequence[QueuedRun], forecasts: Sequence[RunForecast], paces: Sequence[Pace]) -> list[TeamQueue]:
    of_queue: dict[tuple[str, str], list[RunForecast]] = defaultdict(list)
    teams = {run.team_id: run.team for run in runs}
    order = dict.fromkeys((run.lane, run.team) for run in runs)
    for one in forecasts:
        of_queue[one.lane, one.team].append(one)
    frames_per_s: dict[tuple[str, str], float] = defaultdict(float)
    for pace in paces:
        frames_per_s[pace.lane, teams.get(pace.team_id, "")] += pace.frames / max(pace.measured_s, 1.0)
    found = []
    for lane, team in order:
        here = of_queue[lane, team]
        ends_s = [run.done_in_s for run in here]
        waiting = sum(run.state is RunState.WAITING for run in here)
        found.append(
            TeamQueue(
                lane=lane,
                team=team,
                paused=here[0].paused,
                waiting=waiting,
                runs=len(here) - waiting,
                frames_left=sum(run.frames_left or 0 for run in here),
                frames_per_s=frames_per_s[lane, team],
                done_in_s=None if None in ends_s else max(end_s for end_s in ends_s if end_s is not None),
            )
        )
    return found
