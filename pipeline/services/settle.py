"""What a run that is done means for its video: it is compared with the current run and, by its rule, takes its place.

The comparison is made before the run is marked done and the rule applied in that same transaction, against the run that
is current then. If another became current meanwhile, the comparison is made anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.core.comparison_figures import ComparisonFigures
from pipeline.core.frame_index import FrameIndex
from pipeline.core.promotion import Decision, PromotionRule, parse_rule
from pipeline.db.comparisons import save_comparison
from pipeline.db.engine import transaction
from pipeline.db.leases import Lease
from pipeline.db.promotions import lock_current, make_current, note_kept_back, select_current
from pipeline.db.run_ends import mark_done
from pipeline.db.runs import RunRow, select_run
from pipeline.db.videos import VideoRow
from pipeline.logs import get_logger
from pipeline.services.compare import compare_frames
from pipeline.services.leased_work import LeasedWork
from pipeline.services.system import System

log = get_logger(__name__)

#: Who promoted a run that no person did.
BY_RULE = "rule"
#: So often a run is compared anew because another one became current meanwhile.
_COMPARISONS = 3


@dataclass(frozen=True)
class Finishing:
    """A run that is being finished under its lease."""

    lease: Lease
    run: RunRow
    video: VideoRow
    index: FrameIndex


@dataclass(frozen=True)
class _Compared:
    """With which run, and how it differs; None where the two cannot be compared."""

    against: RunRow
    figures: ComparisonFigures | None


class _CurrentRunChanged(Exception):
    """Another run became current while this one was compared."""


def end_done(system: System, work: LeasedWork[Finishing], summary: Mapping[str, Any]) -> Decision:
    """Mark a run done; it becomes its video's current run if its rule says so.

    Raises:
        LeaseLost: another worker finishes the run now, or it was cancelled.
        Stopping: this process is shutting down.
    """
    rule, run = _rule_of(work.claimed.run), work.claimed.run
    for comparisons_left in reversed(range(_COMPARISONS)):
        compared = _compare_with_current(system, work)
        try:
            with work.commit() as connection:
                mark_done(connection, work.claimed.lease, summary)
                decision = _decide(connection, run, rule, compared, may_repeat=comparisons_left > 0)
        except _CurrentRunChanged:
            log.info("current_run_changed")
            work.renew_again()
        else:
            log.info("run_promoted" if decision.promoted else "run_kept_back", reason=decision.reason)
            return decision
    raise AssertionError("the last comparison decides")


def _decide(
    connection: Connection,
    run: RunRow,
    rule: PromotionRule | Decision,
    compared: _Compared | None,
    *,
    may_repeat: bool,
) -> Decision:
    """Apply the rule against the run that is current now, and write down what follows."""
    current = lock_current(connection, run.video_id)
    if current == run.id:
        return Decision(True, "it is current already")
    by_kind = _by_kind(connection, run, current)
    fits = compared is not None and compared.against.id == current
    if current is not None and not fits and may_repeat and by_kind is None:
        raise _CurrentRunChanged
    figures = compared.figures if compared is not None and fits else None
    if current is None:
        decision = Decision(True, "the video's first run")
    elif by_kind is not None:
        decision = by_kind
    else:
        decision = rule if isinstance(rule, Decision) else rule.decide(figures)
        if figures is not None:
            save_comparison(connection, run.id, current, figures)
    write = make_current if decision.promoted else note_kept_back
    write(connection, run.video_id, run.id, by=BY_RULE, reason=decision.reason)
    return decision


def _by_kind(connection: Connection, run: RunRow, current: UUID | None) -> Decision | None:
    """What follows, whatever the rule, where one of two runs has the poses of a live session and the other does not."""
    if current is None:
        return None
    current_is_live = select_run(connection, current, team=None).live is not None
    if run.live is not None and not current_is_live:
        return Decision(False, "a live run: the current one is of all frames")
    if run.live is None and current_is_live:
        return Decision(True, "it is of all frames: the current one is of those that were analysed live")
    return None


def _rule_of(run: RunRow) -> PromotionRule | Decision:
    """A run's rule. One that cannot be read leaves the decision to a person: the run itself is good."""
    try:
        return parse_rule(run.promotion)
    except ValueError as error:
        return Decision(False, f"unknown: the rule cannot be read ({error}); `poseline promote` decides")


def _compare_with_current(system: System, work: LeasedWork[Finishing]) -> _Compared | None:
    """Compare with the run that is current now; None where there is none."""
    claimed, heartbeat = work.claimed, work.heartbeat
    with transaction(system.engine) as connection:
        current = select_current(connection, claimed.run.video_id)
        if current is None or current == claimed.run.id:
            return None
        against = select_run(connection, current, team=None)

    def on_frame() -> None:
        heartbeat.advance()
        heartbeat.check()

    begun_s, index = monotonic(), claimed.index
    try:
        figures = compare_frames(
            system, against, claimed.run, frames=len(index), time_base=index.time_base, on_frame=on_frame
        )
    except (ArithmeticError, LookupError, ValueError):
        # Whatever is wrong with a run that is current, what was analysed now must not be lost for it.
        log.exception("run_not_compared", against=str(current))
        return _Compared(against, None)
    log.info("run_compared", against=str(current), agreement=figures.agreement, took_s=round(monotonic() - begun_s, 2))
    return _Compared(against, figures)
