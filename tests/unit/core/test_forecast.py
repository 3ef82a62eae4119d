"""When runs will be done, against what the queue's rules give for simple cases."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.fair_share import Lane, QueueKey
from pipeline.core.forecast import OpenChunk, OpenRun, forecast

LANES = (Lane("live", 0, 0.2), Lane("fresh", 1, 0.2), Lane("reprocess", 2, 0.1))


def run(team: str = "a", frames: int = 1000, cost: float = 0.01, chunks: int = 10, lane: str = "fresh") -> OpenRun:
    return OpenRun(uuid4(), QueueKey(lane, team), frames, cost, chunks)


def ends(runs: list[OpenRun], slots: int, caps: dict[str, int] | None = None, **weights: float) -> list[float]:
    teams = {one.queue.team: 1.0 for one in runs} | weights
    found = forecast(runs, LANES, teams, caps or {}, slots, window=slots + 1)
    return [found[one.id] for one in runs]


def test_runs_of_a_team_end_one_after_the_other() -> None:
    assert ends([run(), run(), run(frames=500)], slots=2) == pytest.approx([5, 10, 12.5])


def test_teams_share_by_weight_and_the_rest_is_for_who_is_left() -> None:
    assert ends([run("a"), run("b")], slots=2) == pytest.approx([10, 10])
    found = ends([run("a", chunks=100, cost=0.1), run("b", frames=3000, chunks=300, cost=0.1)], slots=8, b=3.0)
    assert found == pytest.approx([50, 50], rel=0.1)
    assert ends([run("a", frames=100, chunks=1), run("b")], slots=2) == pytest.approx([1, 6], abs=0.6)


def test_a_lane_keeps_its_share() -> None:
    found = ends([run("a", chunks=100), run("a", chunks=100, lane="reprocess")], slots=1)
    assert found == pytest.approx([10 / 0.9, 20], rel=0.05)


def test_a_run_of_few_chunks_and_a_team_with_a_cap_leave_slots_to_others() -> None:
    assert ends([run("a", chunks=1), run("b")], slots=4) == pytest.approx([10, 4])
    assert ends([run("a"), run("b")], slots=4, caps={"a": 1}) == pytest.approx([10, 4], abs=1)


@pytest.mark.parametrize("slots", [4, 8, 40])
def test_a_team_that_may_have_one_chunk_under_way_has_one(slots: int) -> None:
    """Beside a flood of chunks that are as long, in a window that is not half empty yet when its chunk ends."""
    one_slot, flood = run("a", chunks=40), run("b", frames=100_000, chunks=4000)
    assert ends([one_slot, flood], slots, caps={"a": 1})[0] == pytest.approx(10)


def test_what_is_under_way_is_where_it_is() -> None:
    waits, works = run(frames=100, chunks=1), run(frames=30, chunks=1)
    under_way = [OpenChunk(works.id, 30, running=True), OpenChunk(waits.id, 100, running=False)]
    found = forecast([run(frames=100, chunks=1), waits, works], LANES, {"a": 1.0}, {}, 1, 2, under_way)
    assert sorted(found.values()) == pytest.approx([0.3, 1.3, 2.3])
    assert found[works.id] < found[waits.id]


def test_a_forecast_in_pieces_is_close_to_one_of_every_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [
        OpenRun(UUID(int=number), QueueKey("fresh", "abc"[number % 3]), 600, (0.01, 0.02)[number % 2], 60)
        for number in range(200)
    ]
    arguments = (runs, LANES, {"a": 1.0, "b": 2.0, "c": 1.0}, {"c": 40}, 150, 188)
    pieces = forecast(*arguments)
    monkeypatch.setattr("pipeline.core.forecast._FEW_CHUNKS", 10**9)
    exact = forecast(*arguments)
    assert pieces == {run_id: pytest.approx(end_s, rel=0.1) for run_id, end_s in exact.items()}
    assert pieces != exact


def test_a_chunk_takes_its_time_on_one_slot() -> None:
    assert ends([run(chunks=2)], slots=100) == [5]


def test_without_workers_nothing_is_foretold() -> None:
    assert forecast([run()], LANES, {"a": 1.0}, {}, 0, 1) == {}


@given(
    runs=st.lists(
        st.builds(
            OpenRun,
            st.uuids(),
            st.builds(QueueKey, st.sampled_from([lane.name for lane in LANES]), st.sampled_from("abc")),
            st.integers(0, 10_000),
            st.floats(0.001, 1),
            st.integers(1, 40),
        ),
        max_size=20,
        unique_by=lambda one: one.id,
    ),
    slots=st.integers(1, 50),
)
def test_every_run_ends_and_no_slot_does_more_than_it_can(runs: list[OpenRun], slots: int) -> None:
    found: dict[UUID, float] = forecast(runs, LANES, dict.fromkeys("abc", 1.0), {"a": 2}, slots, slots + 1)
    assert set(found) == {one.id for one in runs}
    work_s = sum(one.frames * one.slot_s_per_frame for one in runs)
    assert max(found.values(), default=0.0) * slots >= work_s * (1 - 1e-6)
