"""Who is next: lanes by rank with a share kept for each, teams by weight, counted in frames under way."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.core.fair_share import Lane, QueueKey, UnderWay, Waiting, idle_parts, share_out

LANES = (Lane("live", 0, 0.2), Lane("fresh", 1, 0.2), Lane("reprocess", 2, 0.1))
A, B = QueueKey("fresh", "a"), QueueKey("fresh", "b")
OLD = QueueKey("reprocess", "a")


def queue(key: QueueKey, count: int, frames: int = 100) -> list[Waiting[tuple[QueueKey, int]]]:
    return [Waiting((key, number), frames) for number in range(count)]


def chosen(
    waiting: list[Waiting[tuple[QueueKey, int]]],
    limit: int,
    under_way: dict[QueueKey, UnderWay] | None = None,
    weights: dict[str, float] | None = None,
    caps: dict[str, int] | None = None,
    turn: int = 0,
) -> list[tuple[QueueKey, int]]:
    queues: dict[QueueKey, list[Waiting[tuple[QueueKey, int]]]] = defaultdict(list)
    for one in waiting:
        queues[one.item[0]].append(one)
    everyone = {key.team: 1.0 for key in queues} | (weights or {})
    return share_out(queues, under_way or {}, LANES, everyone, caps or {}, limit, turn=turn).in_turn


def test_teams_take_turns() -> None:
    assert chosen(queue(A, 9) + queue(B, 2), 5) == [(A, 0), (B, 0), (A, 1), (B, 1), (A, 2)]


def test_a_team_that_comes_late_catches_up() -> None:
    assert chosen(queue(A, 9) + queue(B, 9), 4, {A: UnderWay(3, 300)}) == [(B, 0), (B, 1), (B, 2), (A, 0)]


def test_work_is_counted_in_frames() -> None:
    turns = chosen(queue(A, 9, frames=30) + queue(B, 9, frames=120), 10)
    assert Counter(key for key, _ in turns) == {A: 8, B: 2}


@pytest.mark.parametrize("weight", [0.5, 3.0])
def test_weights_divide_a_lane(weight: float) -> None:
    turns = Counter(key for key, _ in chosen(queue(A, 99) + queue(B, 99), 60, weights={"a": weight}))
    assert turns[A] / turns[B] == pytest.approx(weight, rel=0.1)


def test_a_cap_holds_over_all_lanes() -> None:
    waiting = queue(A, 9) + queue(OLD, 9) + queue(B, 3)
    assert Counter(key.team for key, _ in chosen(waiting, 99, {OLD: UnderWay(1, 100)}, caps={"a": 3})) == {
        "a": 2,
        "b": 3,
    }
    assert chosen(queue(A, 9), 9, {A: UnderWay(5, 500)}, caps={"a": 3}) == []


def test_lanes_go_by_rank_but_each_keeps_its_share() -> None:
    live = QueueKey("live", "c")
    turns = Counter(key.lane for key, _ in chosen(queue(OLD, 200) + queue(A, 200) + queue(live, 200), 200))
    assert turns == pytest.approx({"live": 140, "fresh": 40, "reprocess": 20}, abs=1)
    assert Counter(key.lane for key, _ in chosen(queue(OLD, 200) + queue(A, 200), 100)) == {
        "fresh": pytest.approx(90, abs=1),
        "reprocess": pytest.approx(10, abs=1),
    }
    assert len(chosen(queue(OLD, 7), 99)) == 7, "a lane that is alone has everything"


def test_on_one_slot_reprocessing_moves_and_takes_no_more_than_its_share() -> None:
    """Three under way at a time, each end followed by a dispatch, for a thousand ends."""
    under_way: list[tuple[QueueKey, int]] = []
    ended: Counter[QueueKey] = Counter()
    for turn in range(1000):
        counts = Counter(key for key, _ in under_way)
        busy = {key: UnderWay(count, 100 * count) for key, count in counts.items()}
        under_way += chosen(queue(A, 3) + queue(OLD, 3), 3 - len(under_way), busy, turn=turn)
        ended[under_way.pop(0)[0]] += 1
    assert ended == {OLD: pytest.approx(100, abs=10), A: pytest.approx(900, abs=10)}


@pytest.mark.parametrize(("slots", "teams"), [(1, "ab"), (1, "abc"), (2, "abc"), (2, "abcde"), (4, "abcdef")])
def test_a_team_whose_only_chunk_ended_does_not_come_before_who_has_nothing_running(slots: int, teams: str) -> None:
    """More teams than slots: a team that always went first for its next chunk would keep its slot to itself."""
    keys = [QueueKey("fresh", team) for team in teams]
    queues = {key: queue(key, 9) for key in keys}
    weights = dict.fromkeys(teams, 1.0)
    running: list[QueueKey] = []
    sent: list[QueueKey] = []
    ended: Counter[str] = Counter()
    turn = 0
    for _ in range(600):
        waits, works = Counter(sent), Counter(running)
        busy = {key: UnderWay(waits[key] + works[key], 100 * (waits[key] + works[key]), works[key]) for key in keys}
        parts = idle_parts(queues.keys(), busy, LANES, weights, slots)
        first, in_turn = share_out(queues, busy, LANES, weights, {}, max(slots + 1 - len(sent), 0), parts, turn)
        turn += len(first) + len(in_turn)
        sent = [key for key, _ in first] + sent + [key for key, _ in in_turn]
        while len(running) < slots:
            running.append(sent.pop(0))
        ended[running.pop(0).team] += 1
    assert all(ended[team] > 0.4 * 600 / len(teams) for team in teams), ended


def test_a_lane_keeps_its_share_beside_more_teams_than_the_window_has_places() -> None:
    """Fifty teams with fresh work on four slots: at the end of each chunk its team goes first with its next one."""
    keys = [QueueKey("fresh", str(number)) for number in range(50)]
    queues = {key: queue(key, 9) for key in [*keys, OLD]}
    weights = {key.team: 1.0 for key in queues}
    sent: list[tuple[QueueKey, int]] = []
    ended: Counter[str] = Counter()
    turn = 0
    for _ in range(2000):
        counts = Counter(key for key, _ in sent)
        under_way = {key: UnderWay(count, 100 * count) for key, count in counts.items()}
        parts = idle_parts(queues.keys(), under_way, LANES, weights, 4)
        limit = max(9 - len(sent), 0)
        first, in_turn = share_out(queues, under_way, LANES, weights, {}, limit, parts, turn)
        turn += len(first) + len(in_turn)
        sent = [*sent[:4], *first, *sent[4:], *in_turn]
        ended[sent.pop(0)[0].lane] += 1
    assert ended["reprocess"] / ended.total() == pytest.approx(0.1, abs=0.03)


def test_who_goes_first_takes_no_other_lane_along_but_in_its_turn() -> None:
    queues = {A: queue(A, 9), OLD: queue(OLD, 9)}
    sent = [share_out(queues, {OLD: UnderWay(3, 300)}, LANES, {"a": 1.0}, {}, 0, {A: 1}, n) for n in range(500)]
    assert all(chosen.first[-1] == (A, 0) and not chosen.in_turn for chosen in sent)
    assert sum(len(chosen.first) == 2 for chosen in sent) == pytest.approx(50, abs=10)


def test_no_team_starves_where_there_are_more_teams_than_places() -> None:
    """One chunk at a time for ten teams, one of them with three times the weight of the others."""
    keys = [QueueKey("reprocess", str(number)) for number in range(10)]
    fresh = queue(A, 1)
    waiting = [one for key in keys for one in queue(key, 1)]
    every = [chosen(fresh + waiting, 1, weights={"0": 3.0}, turn=turn)[0][0] for turn in range(12_000)]
    turns = Counter(key.team for key in every if key.lane == "reprocess")
    assert turns == {key.team: pytest.approx(300 if key.team == "0" else 100, rel=0.1) for key in keys}


@settings(suppress_health_check=[HealthCheck.too_slow])  # of a machine that is busy
@given(
    sizes=st.dictionaries(
        st.sampled_from([QueueKey(lane.name, team) for lane in LANES for team in "abc"]),
        st.lists(st.integers(1, 500), max_size=12),
    ),
    busy=st.dictionaries(
        st.sampled_from([QueueKey(lane.name, team) for lane in LANES for team in "abcd"]),
        st.builds(UnderWay, st.integers(0, 20), st.integers(0, 5000)),
    ),
    caps=st.dictionaries(st.sampled_from("ab"), st.integers(1, 10)),
    limit=st.integers(0, 40),
)
def test_nothing_is_lost_doubled_or_out_of_order(
    sizes: dict[QueueKey, list[int]], busy: dict[QueueKey, UnderWay], caps: dict[str, int], limit: int
) -> None:
    waiting = [Waiting((key, no), frames) for key, all_ in sizes.items() for no, frames in enumerate(all_)]
    turns = chosen(waiting, limit, busy, caps=caps)
    for key, frames in sizes.items():
        taken = [number for of, number in turns if of == key]
        assert taken == list(range(len(taken)))
        assert len(taken) <= len(frames)
    for team in "abc":
        before = sum(done.chunks for key, done in busy.items() if key.team == team)
        assert before + sum(key.team == team for key, _ in turns) <= max(caps.get(team, 10**6), before)
    uncapped = [one for one in waiting if one.item[0].team not in caps]
    assert len(turns) >= min(limit, len(uncapped)), "a place stayed free although work waited"
    assert len(turns) <= limit
