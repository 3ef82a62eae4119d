"""What a lease that nobody renews tells: a worker that hung, one that died, or nothing yet. What a death tells."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from structlog.testing import capture_logs

from pipeline.db.chunks import ClaimedChunk
from pipeline.db.engine import transaction
from pipeline.db.leases import Lease
from pipeline.db.worker_deaths import note_start, select_restarting
from pipeline.services.reconcile import tick
from pipeline.services.suspects import MOST_DEATHS, is_evidence, is_suspect
from pipeline.services.system import System
from tests.integration.db.test_chunks import claim, commit, make_run
from tests.support.harness import report_worker, sql


@pytest.fixture
def system(system: System) -> System:
    """With the leases of a real system: 30 s, and 15 s until a worker counts as dead."""
    settings = system.settings.model_copy(update={"lease_s": 30.0, "backoff_s": 0.0})
    return System(settings, system.engine, system.store, system.queue)


def held(system: System, run_id: UUID, worker: str = "w@one") -> ClaimedChunk:
    claimed = claim(system, run_id, 0, worker)
    assert claimed is not None
    return claimed


def later(system: System, seconds: float, but: str = "") -> None:
    """Let time pass: every time of leases and workers is moved back, but for those of one worker."""
    sql(system, f"UPDATE chunk SET lease_until = lease_until - interval '{seconds} s', "
        f"leased_at = leased_at - interval '{seconds} s'")  # fmt: skip
    sql(system, f"UPDATE worker SET seen_at = seen_at - interval '{seconds} s', "
        f"started_at = started_at - interval '{seconds} s', "
        f"reporting_since = reporting_since - interval '{seconds} s' WHERE name <> :but", but=but)  # fmt: skip
    sql(system, f"UPDATE worker_death SET died_at = died_at - interval '{seconds} s', "
        f"started_at = started_at - interval '{seconds} s'")  # fmt: skip


def counted(system: System) -> tuple[object, ...]:
    tick(system)
    ((deaths, expirations, state),) = sql(system, "SELECT deaths, expirations, state FROM chunk WHERE idx = 0")
    return deaths, expirations, state in {"ready", "queued"}


def test_a_worker_that_reports_and_does_not_renew_hung(system: System) -> None:
    run_id = make_run(system)
    report_worker(system, "w@one", starts=True)
    held(system, run_id)
    for _ in range(2):
        later(system, 14)
        report_worker(system, "w@one")
    later(system, 3)
    assert counted(system) == (0, 0, False), "it ran out, and whether its worker lives was not known yet"
    report_worker(system, "w@one")
    assert counted(system) == (0, 1, True)
    assert sql(system, "SELECT worker FROM worker_death") == []


def test_a_worker_that_stopped_reporting_died_and_is_not_waited_for(system: System) -> None:
    run_id = make_run(system)
    report_worker(system, "w@one", starts=True)
    held(system, run_id)
    later(system, 14)
    assert counted(system) == (0, 0, False)
    later(system, 2)
    with capture_logs() as logs:
        assert counted(system) == (1, 0, True), "its lease would have lasted for 14 s more"
    assert [(each["worker"], each["leases"]) for each in logs if each["event"] == "worker_died"] == [("w@one", 1)]
    assert sql(system, "SELECT worker, held FROM worker_death") == [("w@one", [f"{run_id}/0"])]
    assert counted(system) == (1, 0, True), "it was counted twice"


def test_a_new_process_of_the_same_name_shows_that_the_old_one_died(system: System) -> None:
    run_id = make_run(system)
    report_worker(system, "w@one", starts=True)
    held(system, run_id)
    later(system, 3)
    report_worker(system, "w@one", starts=True)
    assert counted(system) == (1, 0, True)
    assert sql(system, "SELECT worker, held FROM worker_death") == [("w@one", [f"{run_id}/0"])]


def test_two_workers_of_one_name_keep_their_leases(system: System) -> None:
    run_id = make_run(system)
    report_worker(system, "w@one", starts=True)
    claimed = held(system, run_id)
    report_worker(system, "w@one", starts=True)
    assert counted(system) == (0, 0, False), "the first one lives and has just renewed"
    commit(system, claimed)


def test_a_worker_that_was_cut_off_did_not_hang(system: System) -> None:
    run_id = make_run(system)
    report_worker(system, "w@one", starts=True)
    held(system, run_id)
    later(system, 31)
    report_worker(system, "w@one")
    assert counted(system) == (1, 0, True)
    assert sql(system, "SELECT worker FROM worker_death") == [], "it lives"


def test_a_worker_that_reports_again_did_not_die(system: System) -> None:
    report_worker(system, "w@one", starts=True)
    later(system, 16)
    tick(system)
    assert sql(system, "SELECT worker FROM worker_death") == [("w@one",)]
    report_worker(system, "w@one")
    tick(system)
    assert sql(system, "SELECT worker FROM worker_death") == []


def test_a_worker_that_stopped_properly_did_not_die(system: System) -> None:
    run_id = make_run(system)
    held(system, run_id, "gone@one")
    later(system, 16)
    assert counted(system) == (0, 0, False)
    later(system, 16)
    assert counted(system) == (1, 0, True)
    assert sql(system, "SELECT worker FROM worker_death") == []


def test_deaths_of_a_suspect_are_judged_once_all_deaths_of_that_moment_are_known(system: System) -> None:
    """Two machines go at once; one of the workers is back at once, the other is only known to be gone later."""
    run_id = make_run(system)
    sql(system, "UPDATE chunk SET deaths = 2 WHERE idx = 0")
    for each in ("w@one", "x@two", "y@three"):
        report_worker(system, each, starts=True)
    held(system, run_id)
    later(system, 3, but="y@three")
    report_worker(system, "w@one", starts=True)
    assert counted(system) == (2, 0, False)
    later(system, 33, but="y@three")
    assert counted(system) == (3, 0, True)


def test_it_dies_wherever_it_goes_while_others_live(system: System) -> None:
    run_id = make_run(system)
    sql(system, "UPDATE chunk SET deaths = 2 WHERE idx = 0")
    report_worker(system, "y@three", starts=True)
    for expirations in range(1, 4):
        report_worker(system, "w@one", starts=True)
        held(system, run_id)
        for _ in range(6):
            later(system, 6)
            report_worker(system, "y@three")
        assert counted(system) == (2, min(expirations, 2), expirations < 3)
    ((state, reason),) = sql(system, "SELECT state, reason FROM chunk WHERE idx = 0")
    assert (state, "the last one: its worker died" in str(reason)) == ("quarantined", True)


@pytest.mark.parametrize(
    ("deaths", "worker_lives", "other", "counts"),
    [
        (1, True, "lives", False),  # not tried alone yet
        (2, True, "lives", True),
        (2, True, "none", True),
        (2, False, "lives", True),
        (2, False, "none", False),  # nobody lived who could tell
        (2, True, "died", False),
        (2, True, "died with it", True),
        (2, True, "does not start", True),
        (2, True, "is silent", False),
        (MOST_DEATHS, False, "died", True),
    ],
)
def test_what_a_death_tells(system: System, deaths: int, worker_lives: bool, other: str, counts: bool) -> None:
    run_id = make_run(system)
    report_worker(system, "w@one", starts=True)
    if other in {"lives", "is silent"}:
        report_worker(system, "x@two", starts=True)
    elif other.startswith("died"):
        what = [f"{run_id}/0"] if other == "died with it" else []
        sql(system, "INSERT INTO worker_death VALUES ('x@two', now() - interval '9 s', now(), :held)", held=what)
    elif other == "does not start":
        with transaction(system.engine) as connection:
            note_start(connection, "x@two")
    lease = held(system, run_id).lease
    if other == "is silent":
        sql(system, "UPDATE worker SET seen_at = now() - interval '11 s' WHERE name = 'x@two'")
    lease = Lease("chunk", lease.key, lease.token, deaths=deaths, worker="w@one")
    with transaction(system.engine) as connection:
        assert is_evidence(connection, lease, system.settings, worker_lives=worker_lives) is counts


def test_videos_and_runs_are_given_up_for_deaths_late_and_never_while_others_die(system: System) -> None:
    report_worker(system, "x@two", starts=True)
    later(system, 5)
    report_worker(system, "x@two")
    with transaction(system.engine) as connection:
        for deaths, counts in ((4, False), (5, True), (50, True)):
            lease = Lease("video", (uuid4(),), uuid4(), deaths=deaths)
            assert is_evidence(connection, lease, system.settings, worker_lives=True) is counts
    sql(system, "INSERT INTO worker_death VALUES ('y@three', now() - interval '9 s', now(), '{}')")
    with transaction(system.engine) as connection:
        assert not is_evidence(connection, lease, system.settings, worker_lives=True)


def test_the_last_error_is_one_of_a_trial(system: System) -> None:
    lease = Lease("chunk", (uuid4(), 0), uuid4(), errors=3)
    assert not is_suspect(lease, system.settings)
    assert is_suspect(Lease("chunk", (uuid4(), 0), uuid4(), errors=4), system.settings)
    once = system.settings.model_copy(update={"max_errors": 1})
    assert not is_suspect(Lease("chunk", (uuid4(), 0), uuid4()), once)


def test_workers_that_restart_again_and_again_are_found(system: System) -> None:
    for name, times in (("w@one", 4), ("a@two", 1), ("b@two", 1), ("c@two", 1), ("x@three", 2)):
        for _ in range(times):
            report_worker(system, name, starts=True)
            later(system, 60)
        tick(system)
    with transaction(system.engine) as connection:
        found = [(each.name, each.deaths) for each in select_restarting(connection)]
    assert found == [("w@one", 4), ("workers on two", 3)]


def test_a_worker_that_crashes_while_it_starts_is_found(system: System) -> None:
    for _ in range(3):
        with transaction(system.engine) as connection:
            note_start(connection, "w@one")
    report_worker(system, "w@one", starts=True)
    with transaction(system.engine) as connection:
        assert select_restarting(connection) == []
        note_start(connection, "w@one")
        (found,) = select_restarting(connection)
    assert (found.name, found.deaths) == ("w@one", 3)
