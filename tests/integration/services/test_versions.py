"""Which run of a video is current: by its rule, by a person, and back again; and why is written down."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import suppress
from uuid import UUID, uuid4

import pytest

from pipeline.core.comparison_figures import ComparisonFigures
from pipeline.core.keypoints import HALPE_26
from pipeline.db.comparisons import select_comparison
from pipeline.db.engine import transaction
from pipeline.db.frames import iter_frame_pairs
from pipeline.errors import NotFound, UsageError
from pipeline.services import settle
from pipeline.services.finish import finish_run
from pipeline.services.promote import get_history, iter_rollback, promote, rollback
from pipeline.services.retry import retry
from pipeline.services.runs import find_run
from pipeline.services.system import System
from tests.support.harness import run_of, sql
from tests.support.versions import FRAMES, current_of, make_pass, make_run, make_video, people


def kept(system: System, run_id: UUID) -> tuple[UUID, ComparisonFigures]:
    """The comparison that is kept of a run."""
    with transaction(system.engine) as connection:
        found = select_comparison(connection, run_id)
    assert found is not None
    return found


def history(system: System, video_id: UUID) -> list[tuple[bool, UUID | None, UUID | None, str, str]]:
    """Promoted or not, the run, the one before, by whom and why; the oldest first."""
    entries = reversed(get_history(system, str(video_id), team=None).entries)
    return [(each.promoted, each.run_id, each.previous_run_id, each.by, each.reason) for each in entries]


def test_a_first_run_is_current_by_any_rule(system: System) -> None:
    for rule in ("automatic", "manual", "better, oks>=0.99", "what is this"):
        video_id = make_video(system, f"{uuid4()}.mp4")
        run_id = make_run(system, video_id, rule=rule)
        assert current_of(system, video_id) == run_id
        assert history(system, video_id) == [(True, run_id, None, "rule", "the video's first run")]
        with transaction(system.engine) as connection:
            assert select_comparison(connection, run_id) is None


def test_a_new_run_is_compared_with_the_current_one_and_its_rule_decides(system: System) -> None:
    video_id = make_video(system)
    first = make_run(system, video_id)

    def loses(number: int):
        return people(100, 400, moved_px=2) if number % 10 else people(100)

    cases = [
        ("manual", False, "manual: a person decides, by `poseline promote`"),
        ("lost<=2%", False, "lost: 5.0% (12 of 240 people), wanted at most 2%"),
        ("what is this", False, "unknown: the rule cannot be read ('what is this' is no condition"),
        ("oks>=0.5, lost<=20", True, "oks: 0."),
    ]
    previous = first
    for number, (rule, promoted, reason) in enumerate(cases):
        run_id = make_run(system, video_id, loses, model=f"newer {number}", rule=rule)
        assert current_of(system, video_id) == (run_id if promoted else previous)
        entry = history(system, video_id)[-1]
        assert entry[:4] == (promoted, run_id, previous, "rule")
        assert entry[4].startswith(reason), entry[4]
        against, figures = kept(system, run_id)
        assert against == first
        assert (figures.people_before, figures.people_lost, figures.people_found) == (2 * FRAMES, 12, 0)
        assert figures.drift is not None
        assert figures.drift.px_median == pytest.approx(2, rel=0.02)
        assert all(each.lost == 1 for each in figures.changed_most)
        assert run_of(system, run_id).state == "done"
    automatic = make_run(system, video_id, model="newest")
    assert (current_of(system, video_id), kept(system, automatic)[1].people_found) == (automatic, 12)


def test_frames_that_a_run_lacks_are_counted_and_nobody_is_lost_in_them(system: System) -> None:
    video_id = make_video(system, frames=200)
    first = make_run(system, video_id, lambda number: None if number < 3 else people(100))
    run_id = make_run(
        system,
        video_id,
        lambda number: None if 2 <= number < 7 else people(100),
        model="newer",
        rule="missing<=1, lost<=0",
    )
    figures = kept(system, run_id)[1]
    assert (figures.frames_missing_before, figures.frames_missing_after, figures.frames_compared) == (3, 5, 193)
    assert (figures.people_before, figures.people_lost, figures.people_found) == (193, 0, 0)
    assert current_of(system, video_id) == first
    assert history(system, video_id)[-1][4] == "missing: +2 frames, wanted at most 1"


def test_it_is_decided_against_the_run_that_is_current_then(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a run is compared, a person promotes another: the comparison is made anew, with that one."""
    video_id = make_video(system)
    make_run(system, video_id)
    other = make_run(system, video_id, lambda _: people(100), model="other", rule="manual")
    run_id = make_run(system, video_id, lambda _: people(100), model="newer", rule="found<=0", finish=False)
    compare_frames, calls = settle.compare_frames, itertools.count()

    def compare_and_promote(*args, **kwargs):
        figures = compare_frames(*args, **kwargs)
        if next(calls) == 0:
            promote(system, str(other), team=None, by="ann")
        return figures

    monkeypatch.setattr(settle, "compare_frames", compare_and_promote)
    finish_run(system, run_id, "w")
    assert next(calls) == 2
    assert kept(system, run_id)[0] == other
    assert kept(system, run_id)[1].people_lost == 0
    assert history(system, video_id)[-1][:3] == (True, run_id, other)


def test_a_run_that_is_compared_again_and_again_ends_without_a_comparison(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    video_id = make_video(system)
    runs = itertools.cycle([make_run(system, video_id), make_run(system, video_id, model="other")])
    run_id = make_run(system, video_id, model="newer", rule="lost<=100%", finish=False)
    compare_frames = settle.compare_frames

    def compare_and_promote(*args, **kwargs):
        figures = compare_frames(*args, **kwargs)
        promote(system, str(next(runs)), team=None, by="ann")
        return figures

    monkeypatch.setattr(settle, "compare_frames", compare_and_promote)
    finish_run(system, run_id, "w")
    assert run_of(system, run_id).state == "done"
    promoted, decided, _, by, reason = history(system, video_id)[-1]
    assert (promoted, decided, by) == (False, run_id, "rule")
    assert reason.startswith("unknown: it could not be compared")


def test_a_run_is_not_lost_because_the_current_one_cannot_be_compared(system: System) -> None:
    """The current run's model names more keypoints than its people have."""
    video_id = make_video(system)
    first = make_run(system, video_id, keypoints=HALPE_26)
    refused = make_run(system, video_id, model="newer", rule="better", keypoints=HALPE_26)
    assert (run_of(system, refused).state, current_of(system, video_id)) == ("done", first)
    assert history(system, video_id)[-1][4].startswith("unknown: it could not be compared")
    automatic = make_run(system, video_id, model="newest")
    assert current_of(system, video_id) == automatic


def test_the_lease_is_renewed_while_runs_are_compared(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """A comparison that takes longer than a lease keeps it: every hundredth frame waits."""
    video_id = make_video(system, frames=600)
    make_run(system, video_id)
    run_id = make_run(system, video_id, model="newer", finish=False)
    wait, seen = threading.Event(), []

    def slowly(*args) -> Iterator[object]:
        for number, pair in enumerate(iter_frame_pairs(*args)):
            if number % 100 == 99:
                wait.wait(system.settings.lease_s / 4)
                seen.append(sql(system, "SELECT lease_until > now() FROM run WHERE id = :id", id=run_id)[0][0])
            yield pair

    monkeypatch.setattr("pipeline.services.compare.iter_frame_pairs", slowly)
    finish_run(system, run_id, "w")
    assert seen == [True] * 6
    assert current_of(system, video_id) == run_id


def test_a_run_that_is_retried_keeps_its_rule_and_its_pass(system: System) -> None:
    video_id = make_video(system)
    pass_id = make_pass(system, "night 1")
    run_id = make_run(system, video_id, model="newer", rule="manual", pass_id=pass_id, finish=False)
    sql(system, "UPDATE run SET state = 'failed' WHERE id = :id", id=run_id)
    again = retry(system, str(run_id), team=None).new_run_id
    assert sql(system, "SELECT promotion, pass_id FROM run WHERE id = :id", id=again) == [("manual", pass_id)]


def test_a_person_promotes_and_goes_back_step_by_step(system: System) -> None:
    video_id = make_video(system, "match.mp4")
    a, b, c = (make_run(system, video_id, model=model) for model in "abc")
    late = make_run(system, video_id, model="d", rule="manual")
    assert promote(system, "match", team=None, by=" ann ", reason="looked at it").action == "promoted"
    assert history(system, video_id)[-1] == (True, late, c, "ann", "looked at it")
    entries = len(history(system, video_id))
    assert promote(system, str(late), team=None, by="ann").action == "none"
    assert len(history(system, video_id)) == entries, "what is current already is not promoted again"
    assert find_run(system, "match", team=None, prefer="current") == late
    for before, after in itertools.pairwise((late, c, b, a)):
        change = rollback(system, "match", team=None, by="bob")
        assert (change.run_id, change.previous_run_id, current_of(system, video_id)) == (after, before, after)
        assert find_run(system, "match", team=None, prefer="current") == after
    with pytest.raises(UsageError, match=f"run {str(a)[:8]} is its first current run, there is none before it"):
        rollback(system, "match", team=None, by="bob")
    assert promote(system, str(c), team=None, by="ann").run_id == c
    assert rollback(system, "match", team=None, by="bob").run_id == a


def test_what_cannot_be_promoted_says_why_and_what_to_do(system: System) -> None:
    video_id = make_video(system)
    run_id = make_run(system, video_id, finish=False)
    short = str(run_id)[:8]
    with pytest.raises(
        UsageError, match=f"run {short} is finishing; promote it once it is done: `poseline show {short}`"
    ):
        promote(system, str(run_id), team=None, by="ann")
    with pytest.raises(UsageError, match="it has no current run yet"):
        rollback(system, str(video_id), team=None, by="ann")
    sql(system, "UPDATE run SET state = 'failed', reason = 'bad luck'")
    with pytest.raises(UsageError, match=rf"run {short} is failed \(bad luck\) .* `poseline retry {short}`"):
        promote(system, str(run_id), team=None, by="ann")
    first = make_run(system, video_id, model="b")
    second, third = (make_run(system, video_id, model=model) for model in "cd")
    with pytest.raises(NotFound):
        promote(system, str(first), team="default", by="ann")
    for by in ("", "x" * 201, "a\nb"):
        with pytest.raises(UsageError, match="--by is the name"):
            promote(system, str(first), team=None, by=by)
    sql(system, "DELETE FROM frame WHERE run_id = :id", id=second)
    with pytest.raises(UsageError, match=f"run {str(second)[:8]} was erased; analyse the video by c again"):
        promote(system, str(second), team=None, by="ann")
    with pytest.raises(UsageError, match=f"run {str(second)[:8]}, the one before, was erased; `poseline runs"):
        rollback(system, str(video_id), team=None, by="ann")
    sql(system, "DELETE FROM run WHERE id = :id", id=second)
    with pytest.raises(UsageError, match=f"the run before run {str(third)[:8]} was deleted; `poseline runs"):
        rollback(system, str(video_id), team=None, by="ann")
    assert current_of(system, video_id) == third


def test_a_schedule_is_rolled_back_video_by_video_and_goes_on_where_it_was(system: System) -> None:
    nights = [make_pass(system, f"night {night}", schedule="nightly", model=f"new {night}") for night in (1, 2)]
    other = make_pass(system, "by hand")
    videos, before, last = [], {}, {}
    for number in range(4):
        videos.append(make_video(system, f"cam{number}.mp4"))
        before[videos[-1]] = make_run(system, videos[-1])
        for night, pass_id in enumerate(nights, 1):
            if number != 3 or night == 1:
                last[videos[-1]] = make_run(system, videos[-1], model=f"new {night}", pass_id=pass_id)
    since = make_run(system, videos[2], model="by hand", pass_id=other)
    alone = make_video(system, "alone.mp4")
    first = make_run(system, alone, model="new 1", pass_id=nights[0])

    begun = iter_rollback(system, schedule_name="nightly", team=None, by="ann")
    assert next(change for change in begun if change.action == "rolled_back").by == "ann"
    begun.close()  # type: ignore[attr-defined]  broken off here
    changes = list(iter_rollback(system, schedule_name="nightly", team=None, by="ann"))
    assert sorted(change.action for change in changes) == ["refused", "rolled_back", "rolled_back"]
    assert {video: current_of(system, video) for video in videos} == {**before, videos[2]: since}
    assert current_of(system, alone) == first, "there is no run before the schedule's"
    assert [change.action for change in iter_rollback(system, schedule_name="nightly", team=None, by="ann")] == [
        "refused"
    ]
    [change] = iter_rollback(system, pass_name=str(other)[:8], team=None, by="ann")
    assert (change.action, change.run_id) == ("rolled_back", last[videos[2]])
    with pytest.raises(NotFound, match="there is no schedule 'weekly'; `poseline schedule list`"):
        next(iter_rollback(system, schedule_name="weekly", team=None, by="ann"))
    with pytest.raises(NotFound, match="there is no pass 'x'"):
        next(iter_rollback(system, pass_name="x", team=None, by="ann"))


def test_many_promotions_and_rollbacks_at_once_keep_the_history_whole(system: System) -> None:
    """Every change follows the one before it, whoever makes them at the same time."""
    video_id = make_video(system)
    runs = [make_run(system, video_id, model=model) for model in "abcd"]

    def change(number: int) -> None:
        for run_id in runs[number:] + runs[:number]:
            promote(system, str(run_id), team=None, by=f"person {number}")
            with suppress(UsageError):  # nothing is left to go back to
                rollback(system, str(video_id), team=None, by=f"person {number}")

    threads = [threading.Thread(target=change, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entries = history(system, video_id)
    assert len(entries) > 8
    for (_, run_id, *_), (_, _, previous, *_) in itertools.pairwise(entries):
        assert previous == run_id
    assert current_of(system, video_id) == entries[-1][1]


def test_a_worker_that_stops_during_the_comparison_leaves_nothing_and_another_goes_on(system: System) -> None:
    video_id = make_video(system)
    first = make_run(system, video_id)
    run_id = make_run(system, video_id, model="newer", finish=False)
    stopping = threading.Event()

    def stop_then_read(*args: object) -> Iterator[object]:
        stopping.set()
        yield from iter_frame_pairs(*args)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.services.compare.iter_frame_pairs", stop_then_read)
        finish_run(system, run_id, "w", stopping)
    assert sql(system, "SELECT state, lease_token, attempts FROM run WHERE id = :id", id=run_id) == [
        ("finishing", None, 0)
    ]
    assert (current_of(system, video_id), len(history(system, video_id))) == (first, 1)
    assert sql(system, "SELECT FROM comparison") == []
    finish_run(system, run_id, "another")
    assert (current_of(system, video_id), kept(system, run_id)[0]) == (run_id, first)
