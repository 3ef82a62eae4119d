"""What became of the videos that a command took in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from pipeline.cli.console import Console
from pipeline.cli.ingest_report import state_of
from pipeline.cli.waiting import Submission
from pipeline.core.states import RunState
from pipeline.errors import OwnPreview, PoselineError, ServiceUnavailable
from pipeline.services.runs import short_id
from pipeline.services.to_take_in import Item, TakenIn
from pipeline.services.upload_steps import printable


@dataclass
class Ended:
    """What became of the videos of a command, by their order.

    Args:
        not_tried: how many were not, because a server stayed away.
    """

    items: list[Item] = field(default_factory=list)
    results: dict[int, TakenIn | PoselineError] = field(default_factory=dict)
    not_tried: int = 0

    def submissions(self) -> list[Submission]:
        """Those that were taken in."""
        taken = []
        for item, result in self.in_order():
            if isinstance(result, TakenIn) and result.run is not None:
                run = result.run
                taken.append(Submission(item.shown_name, item.team, result.video_id, run.run_id, run.existed))
        return taken

    def failures(self) -> list[tuple[str, PoselineError]]:
        """Those that were not, but for previews of our own in a folder; those not tried are one without a name."""
        failures: list[tuple[str, PoselineError]] = [
            (item.shown_name, result)
            for item, result in self.in_order()
            if isinstance(result, PoselineError) and not (isinstance(result, OwnPreview) and item.in_folder)
        ]
        if self.not_tried:
            rest = f"{self.not_tried:,} videos were not tried, because a server did not answer; repeat the command"
            failures.append(("", ServiceUnavailable(rest)))
        return failures

    def in_order(self) -> list[tuple[Item, TakenIn | PoselineError]]:
        """Each that has ended with what became of it."""
        return [(self.items[at], result) for at, result in sorted(self.results.items())]

    def summary(self) -> str:
        """How many ended how: `200 videos: 190 uploaded, 8 known, 2 refused`."""
        counts: dict[str, int] = {}
        for item, result in self.in_order():
            state = state_of(item, result)
            counts[state] = counts.get(state, 0) + 1
        total = len(self.results)
        parts = ", ".join(f"{count:,} {state}" for state, count in counts.items())
        return f"{total:,} video{'' if total == 1 else 's'}: {parts}" if parts else "no video was taken in"


def what_is_known(console: Console, taken: Sequence[tuple[Item, TakenIn]]) -> Iterator[str]:
    """A line on each video that was there before, and on each tag that had another value."""
    existed: dict[str, set[UUID]] = {}
    for item, result in taken:
        if result.run is not None and result.run.existed:
            existed.setdefault(item.team, set()).add(result.run.run_id)
    polls = [console.client.poll_runs(run_ids, team=team) for team, run_ids in existed.items()]
    done = {run.id for poll in polls for run in poll.runs if run.state is RunState.DONE}
    for item, result in taken:
        if result.run is not None and result.run.existed:
            run_id = result.run.run_id
            when = "was analysed by this model before" if run_id in done else "is being analysed by this model already"
            yield f"{item.shown_name}: the same content {when}, as run {short_id(run_id)}"
        elif result.known_as is not None:
            yield f"{item.shown_name}: the same content was uploaded before, as {printable(result.known_as)}"
        for key, before, now in result.replaced:
            yield f"{item.shown_name}: the tag {key} is {now} now (it was {before})"
