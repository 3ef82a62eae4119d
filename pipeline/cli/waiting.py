"""Wait for runs, one or a whole batch, and show how far they are."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from pipeline.cli.console import Console
from pipeline.cli.progress import Bar
from pipeline.core.states import RunState, VideoState, is_final
from pipeline.errors import NotFound, ServiceUnavailable
from pipeline.services.runs import Run, RunsPoll

_POLL_S = 0.2
#: For runs that take longer than `_SOON_S`: polling at the shorter interval cost the machine 1 ms a frame.
_LONG_POLL_S = 0.6
_SOON_S = 10.0
#: A poll costs the database more the more runs it asks for.
_POLL_S_PER_RUN = 0.005
#: Postgres may be away for so long, as when it restarts.
_OUTAGE_S = 30.0


@dataclass(frozen=True)
class Submission:
    """One video and the run that was requested for it; `existed` where the run had been requested before."""

    name: str
    team: str
    video_id: UUID
    run_id: UUID
    existed: bool


def iter_ended(console: Console, submissions: Sequence[Submission]) -> Iterator[tuple[Submission, Run]]:
    """Yield each submission with its run as soon as it has ended, showing the progress of all in between.

    Raises:
        NotFound: a run was removed meanwhile.
        ServiceUnavailable: Postgres did not answer for 30 s.
    """
    waiting = list(submissions)
    with Bar(console, _title(submissions, 0), None) as bar:
        watch = _Watch(console, bar, submissions)
        while waiting:
            runs = watch.poll({one.run_id for one in waiting})
            ended = [one for one in waiting if is_final(runs[one.run_id].state)]
            waiting = [one for one in waiting if one not in ended]
            if ended:
                with bar.hidden():
                    yield from ((one, runs[one.run_id]) for one in ended)
                bar.title(_title(submissions, len(submissions) - len(waiting)))
            if waiting:
                time.sleep(watch.pause_s(len(waiting)))


class _Watch:
    """Polls runs and shows what all of them have done together."""

    def __init__(self, console: Console, bar: Bar, submissions: Sequence[Submission]) -> None:
        self._console, self._bar = console, bar
        self._names = {one.run_id: one.name for one in submissions}
        self._teams = {one.run_id: one.team for one in submissions}
        self._runs: dict[UUID, Run] = {}
        self._begun_at = self._answered_at = time.monotonic()
        self._said: set[str] = set()

    def poll(self, open_ids: set[UUID]) -> dict[UUID, Run]:
        """Every run as it is now; those that have ended are not asked for again."""
        poll = self._ask(open_ids)
        self._runs |= {run.id: run for run in poll.runs}
        if gone := open_ids - self._runs.keys():
            raise NotFound(f"the run of {self._names[gone.pop()]} was removed; `poseline runs` lists what there is")
        self._show_progress()
        self._show_problems(poll)
        return self._runs

    def pause_s(self, waiting: int) -> float:
        """Seconds until the next poll."""
        soon = time.monotonic() - self._begun_at < _SOON_S
        return max(_POLL_S if soon else _LONG_POLL_S, waiting * _POLL_S_PER_RUN)

    def _ask(self, run_ids: set[UUID]) -> RunsPoll:
        while True:
            try:
                polls = [
                    self._console.client.poll_runs({each for each in run_ids if self._teams[each] == team}, team=team)
                    for team in sorted({self._teams[each] for each in run_ids})
                ]
            except ServiceUnavailable:
                if time.monotonic() - self._answered_at > _OUTAGE_S:
                    raise
                time.sleep(_POLL_S)
                continue
            self._answered_at = time.monotonic()
            return RunsPoll(
                [run for poll in polls for run in poll.runs],
                polls[0].has_workers,
                {run_id: reason for poll in polls for run_id, reason in poll.blocking_reasons.items()},
            )

    def _show_progress(self) -> None:
        """Count frames of all runs; a video that is not indexed yet is taken for an average one."""
        known = [run.frames for run in self._runs.values() if run.video_state is VideoState.READY and run.frames]
        if not known:
            return
        unknown = sum(
            run.video_state is not VideoState.READY and not is_final(run.state) for run in self._runs.values()
        )
        self._bar.total(sum(known) + round(unknown * sum(known) / len(known)))
        self._bar.at(sum(_frames_passed(run) for run in self._runs.values()))

    def _show_problems(self, poll: RunsPoll) -> None:
        if not poll.has_workers and time.monotonic() - self._begun_at > 5:
            self._say_once("no worker takes work; start one with `poseline worker`, or see `poseline status`")
        for run_id, reason in poll.blocking_reasons.items():
            self._say_once(f"{self._names[run_id]}: {reason}")

    def _say_once(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            self._bar.step(self._console.naming_home(line))


def _frames_passed(run: Run) -> int:
    """Frames that need no more work: those of a run that failed or was cancelled count as passed, too."""
    if is_final(run.state):
        return run.frames or 0
    return run.frames_done if run.state in {RunState.RUNNING, RunState.FINISHING} else 0


def _title(submissions: Sequence[Submission], ended: int) -> str:
    if len(submissions) == 1:
        return f"analysing {submissions[0].name}"
    return f"analysing {len(submissions)} videos, {ended} ended"
