"""What a person decides about a video's runs: promote one, go back to the one before, and see who decided what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Connection

from pipeline.core.progress import SILENT, Progress
from pipeline.core.states import RunState
from pipeline.db import promotions as db
from pipeline.db.engine import retried, transaction
from pipeline.db.frames import has_frames
from pipeline.db.passes import find_passes
from pipeline.db.promotions import PromotionRow
from pipeline.db.runs import RunRow, select_run
from pipeline.db.schedules import select_schedule_passes
from pipeline.db.videos import select_video
from pipeline.errors import UsageError
from pipeline.services.find_video import find_video
from pipeline.services.runs import find_run, short_id
from pipeline.services.system import System
from pipeline.services.teams import require_team
from pipeline.services.upload_steps import printable

_LONGEST_BY = 200


@dataclass(frozen=True)
class Change:
    """What became of a video's current run.

    Args:
        action: `refused` where it cannot be done, `none` where nothing had to be.
        message: the same in words, one line.
    """

    video_id: UUID
    video: str
    action: Literal["promoted", "rolled_back", "none", "refused"]
    run_id: UUID | None
    previous_run_id: UUID | None
    by: str
    message: str

    def to_dict(self) -> dict[str, Any]:
        """The change as JSON fields."""
        return {name: str(value) if isinstance(value, UUID) else value for name, value in asdict(self).items()}


@dataclass(frozen=True)
class VideoHistory:
    """Which runs of a video were current or kept back, the newest entry first."""

    video_id: UUID
    video: str
    team: str
    current_run_id: UUID | None
    entries: tuple[PromotionRow, ...]

    def to_dict(self) -> dict[str, Any]:
        """The history as JSON fields."""
        return {
            "video_id": str(self.video_id),
            "video": self.video,
            "team": self.team,
            "current_run_id": self.current_run_id and str(self.current_run_id),
            "history": [
                {
                    **{name: str(v) if isinstance(v, UUID) else v for name, v in asdict(entry).items()},
                    "at": entry.at.isoformat(),
                }
                for entry in self.entries
            ],
        }


def promote(system: System, name: str, *, team: str | None, by: str, reason: str | None = None) -> Change:
    """Make a run that is done its video's current run; one that is so already stays, and nothing is written.

    Args:
        name: a run, or a video, which stands for its newest run that is done.
        by: who decides, for the history.

    Raises:
        NotFound: there is no such run, or it is another team's.
        UsageError: the run is not done, or its frames were erased.
    """
    by, why = checked_by(by), _checked_reason(reason, "promoted by hand")
    run_id = find_run(system, name, team=team, prefer="done")

    def change() -> tuple[RunRow, UUID | None]:
        with transaction(system.engine) as connection:
            run = select_run(connection, run_id, team=team)
            _require_done(run)
            before = db.lock_current(connection, run.video_id)
            _require_results(connection, run)
            if before != run_id:
                db.make_current(connection, run.video_id, run_id, by=by, reason=why)
            return run, before

    run, before = retried(change)  # an erasure locks the runs first
    about = f"run {short_id(run_id)} ({run.model_name})"
    if before == run_id:
        return _change(run, "none", run_id, before, by, f"{about} is current already; nothing changed")
    instead = f" instead of run {short_id(before)}" if before is not None else ""
    return _change(run, "promoted", run_id, before, by, f"{about} is current now{instead}")


def rollback(system: System, name: str, *, team: str | None, by: str, reason: str | None = None) -> Change:
    """Go back to the run that was a video's current one before.

    Raises:
        NotFound: there is no such video, or it is another team's.
        UsageError: there is no run before, or it was deleted.
    """
    by, why = checked_by(by), _checked_reason(reason, "rolled back")
    video_id = find_video(system, name, team=team)
    return _rolled_back(system, video_id, by, why, ())


def iter_rollback(
    system: System,
    *,
    schedule_name: str | None = None,
    pass_name: str | None = None,
    team: str | None,
    by: str,
    reason: str | None = None,
    progress: Progress = SILENT,
) -> Iterator[Change]:
    """Go back, of every video whose current run came from a schedule or pass, to the last run that did not.

    Each video is one transaction, done when it is yielded; what cannot be done is yielded as refused. Broken off, it
    goes on where it was when it is asked for again. `progress` counts videos.

    Raises:
        NotFound: there is no such schedule or pass.
        UnknownTeam: there is no such team.
    """
    if team is not None:
        require_team(system, team)
    by = checked_by(by)
    why = _checked_reason(reason, f"rolled back: {schedule_name or pass_name}")
    with transaction(system.engine) as connection:
        if schedule_name is not None:
            passes = [one.id for one in select_schedule_passes(connection, schedule_name)]
        else:
            passes = [one.id for one in find_passes(connection, pass_name or "")]
        found = db.select_current_of_passes(connection, passes, team_name=team)
    progress.total(len(found))
    for video_id in found:
        yield _rolled_back_or_refused(system, video_id, by, why, tuple(passes))
        progress.advance()


def get_history(system: System, name: str, *, team: str | None) -> VideoHistory:
    """Who promoted which run of a video, when and why.

    Raises:
        NotFound: there is no such video, or it is another team's.
    """
    video_id = find_video(system, name, team=team)
    with transaction(system.engine) as connection:
        video = select_video(connection, video_id, team=team)
        current, entries = db.select_current(connection, video_id), db.select_history(connection, video_id)
    return VideoHistory(video_id, printable(video.name), video.team, current, tuple(entries))


def checked_by(by: str) -> str:
    """Who decides, as it is written into the history.

    Raises:
        UsageError: it is empty, too long, or not printable.
    """
    by = by.strip()
    if not by or len(by) > _LONGEST_BY or not by.isprintable():
        raise UsageError(f"--by is the name of a person in 1 to {_LONGEST_BY} printable characters")
    return by


def _checked_reason(reason: str | None, default: str) -> str:
    text = " ".join(printable(reason or "").split())
    if len(text) > 1000:
        raise UsageError("--reason has at most 1000 characters")
    return text or default


def _require_done(run: RunRow) -> None:
    short = short_id(run.id)
    if run.state in {RunState.FAILED, RunState.CANCELLED}:
        why = f" ({run.reason})" if run.reason and run.reason != run.state else ""
        raise UsageError(f"run {short} is {run.state}{why} and has no results; `poseline retry {short}` tries it again")
    if run.state is not RunState.DONE:
        raise UsageError(f"run {short} is {run.state}; promote it once it is done: `poseline show {short}`")


def _require_results(connection: Connection, run: RunRow) -> None:
    short = short_id(run.id)
    if db.lock_state(connection, run.id) is None or (run.frames and not has_frames(connection, run.id)):
        raise UsageError(f"run {short} was erased; analyse the video by {run.model_name} again")


def _rolled_back_or_refused(system: System, video_id: UUID, by: str, why: str, passes: tuple[UUID, ...]) -> Change:
    try:
        return _rolled_back(system, video_id, by, why, passes)
    except UsageError as error:
        with transaction(system.engine) as connection:
            current = db.select_current(connection, video_id)
        return Change(video_id, error.message.partition(":")[0], "refused", current, None, by, error.message)


def _rolled_back(system: System, video_id: UUID, by: str, why: str, passes: tuple[UUID, ...]) -> Change:
    def change() -> Change:
        with transaction(system.engine) as connection:
            return _roll_back(connection, video_id, by, why, passes)

    return retried(change)


def _roll_back(connection: Connection, video_id: UUID, by: str, why: str, passes: tuple[UUID, ...]) -> Change:
    """One step back, or as many as lead out of these passes.

    Raises:
        UsageError: there is no such run before; the transaction must be rolled back.
    """
    current = db.lock_current(connection, video_id)
    name = printable(select_video(connection, video_id, team=None).name)
    if current is None:
        raise UsageError(f"{name}: it has no current run yet, so there is nothing to go back from")
    first = current
    while not passes or db.select_pass_of(connection, current) in passes:
        entry = db.select_undoable(connection, video_id)
        target = None if entry is None else entry.previous_run_id
        state = None if target is None else db.lock_state(connection, target)
        _require_way_back(connection, video_id, name, current, entry, state)
        assert entry is not None
        assert target is not None
        db.make_current(connection, video_id, target, by=by, reason=why, undoes=entry.id)
        current = target
        if not passes:
            break
    if current == first:
        return Change(video_id, name, "none", current, None, by, "its current run is another already; nothing changed")
    message = f"run {short_id(current)} is current again instead of run {short_id(first)}"
    return Change(video_id, name, "rolled_back", current, first, by, message)


def _require_way_back(
    connection: Connection,
    video_id: UUID,
    name: str,
    current: UUID,
    entry: PromotionRow | None,
    state: RunState | None,
) -> None:
    lists = f"`poseline runs --name {name!r}` lists what can be promoted instead"
    if entry is None or entry.run_id != current:
        raise UsageError(f"{name}: the history does not say what was current before run {short_id(current)}; {lists}")
    if entry.previous_run_id is None:
        earlier = [each for each in db.select_history(connection, video_id) if each.promoted and each.id < entry.id]
        if not earlier:
            raise UsageError(f"{name}: run {short_id(current)} is its first current run, there is none before it")
        raise UsageError(f"{name}: the run before run {short_id(current)} was deleted; {lists}")
    if state is not RunState.DONE or not has_frames(connection, entry.previous_run_id):
        gone = short_id(entry.previous_run_id)
        raise UsageError(f"{name}: run {gone}, the one before, was erased; {lists}")


def _change(
    run: RunRow,
    action: Literal["promoted", "none"],
    run_id: UUID,
    previous: UUID | None,
    by: str,
    message: str,
) -> Change:
    return Change(run.video_id, printable(run.video), action, run_id, previous, by, message)
