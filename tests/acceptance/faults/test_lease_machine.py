"""Claims, heartbeats, commits, releases, expiries, cancels, doubled messages and sweeps in any order, on real Postgres.

Hypothesis draws the order; POSELINE_SOAK, or `make soak`, draws more. A model in plain Python knows whose lease counts.
"""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase
from hypothesis import settings as how
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pipeline.db.chunks import ClaimedChunk
from pipeline.db.engine import transaction
from pipeline.db.leases import release, renew_lease
from pipeline.db.run_ends import claim_finish, mark_done
from pipeline.errors import LeaseLost
from pipeline.services.cancel import cancel_run
from pipeline.services.reconcile import tick
from pipeline.services.system import System
from tests.integration.db.test_chunks import FRAMES, PER_CHUNK, claim, commit, make_run
from tests.support.harness import sql

CHUNKS = FRAMES // PER_CHUNK
SOAK = bool(os.environ.get("POSELINE_SOAK"))
EXAMPLES, STEPS = (150, 40) if SOAK else (10, 25)
indexes = st.integers(0, CHUNKS - 1)


class LeaseMachine(RuleBasedStateMachine):
    """One run of three chunks, and any number of workers that may be dead, late or doubled."""

    claims = Bundle("claims")

    def __init__(self, system: System) -> None:
        super().__init__()
        self.system = system
        #: The attempt that holds each chunk, as the model sees it.
        self.holder: dict[int, ClaimedChunk] = {}
        #: The score that each committed chunk was written with, in its order of commits.
        self.committed: dict[int, float] = {}
        self.attempts = 0
        self.ends: list[str] = []

    @initialize()
    def plan(self) -> None:
        self.run_id = make_run(self.system)

    @property
    def is_open(self) -> bool:
        return not self.ends and len(self.committed) < CHUNKS

    @rule(target=claims, idx=indexes)
    def deliver(self, idx: int) -> object:
        """A message arrives, for the first time or again."""
        claimed = claim(self.system, self.run_id, idx)
        free = self.is_open and idx not in self.committed and idx not in self.holder
        assert (claimed is not None) is free
        if claimed is None:
            return multiple()
        self.holder[idx] = claimed
        return claimed

    def holds(self, claimed: ClaimedChunk) -> bool:
        return not self.ends and self.holder.get(claimed.plan.idx) is claimed

    @rule(claimed=claims)
    def heartbeat(self, claimed: ClaimedChunk) -> None:
        with transaction(self.system.engine) as connection:
            if self.holds(claimed):
                renew_lease(connection, claimed.lease, 30, frames_done=1)
            else:
                with pytest.raises(LeaseLost):
                    renew_lease(connection, claimed.lease, 30, frames_done=1)

    @rule(claimed=claims)
    def commit(self, claimed: ClaimedChunk) -> None:
        """An attempt ends, in time, too late, or for the second time."""
        self.attempts += 1
        score = self.attempts / 1000
        if self.holds(claimed):
            idx = claimed.plan.idx
            del self.holder[idx]
            assert idx not in self.committed
            self.committed[idx] = score
            assert commit(self.system, claimed, score) is (len(self.committed) == CHUNKS)
        else:
            with pytest.raises(LeaseLost):
                commit(self.system, claimed, score)

    @rule(claimed=consumes(claims), failed=st.booleans())
    def release(self, claimed: ClaimedChunk, failed: bool) -> None:
        with transaction(self.system.engine) as connection:
            errors = release(connection, claimed.lease, error="it broke" if failed else None)
        assert (errors is not None) is self.holds(claimed)
        if errors is not None:
            del self.holder[claimed.plan.idx]

    @rule(idx=indexes)
    def expire(self, idx: int) -> None:
        """A worker stops renewing; the sweep frees its chunk."""
        expired = sql(
            self.system,
            "UPDATE chunk SET lease_until = now() - interval '1 s' WHERE run_id = :id AND idx = :idx "
            "AND lease_token IS NOT NULL RETURNING idx",
            id=self.run_id,
            idx=idx,
        )
        tick(self.system)
        assert bool(expired) is (self.holder.pop(idx, None) is not None and not self.ends)

    @precondition(lambda self: self.attempts > 4)
    @rule()
    def cancel(self) -> None:
        was_open = cancel_run(self.system, self.run_id, team=None).was_open
        assert was_open is not bool(self.ends)
        if was_open:
            self.ends.append("cancelled")
            self.holder.clear()

    @rule(times=st.integers(1, 2))
    def finish(self, times: int) -> None:
        """The message to finish arrives, once or twice."""
        for _ in range(times):
            with transaction(self.system.engine) as connection:
                lease = claim_finish(connection, self.run_id, "w", 30)
                due = len(self.committed) == CHUNKS and not self.ends
                assert (lease is not None) is due
                if lease is not None:
                    mark_done(connection, lease, {})
                    self.ends.append("done")

    @invariant()
    def the_rows_say_the_same(self) -> None:
        if not hasattr(self, "run_id"):
            return
        [(state, pending)] = sql(self.system, "SELECT state, chunks_pending FROM run WHERE id = :id", id=self.run_id)
        assert len(self.ends) <= 1
        if self.ends:
            assert state == self.ends[0]
        else:
            assert (state == "finishing") is (len(self.committed) == CHUNKS)
        rows = sql(
            self.system,
            "SELECT idx, state, lease_token IS NOT NULL, (SELECT count(*) FROM frame f WHERE f.run_id = chunk.run_id "
            "AND f.frame >= first_frame AND f.frame < first_frame + frames), (SELECT max(scores[1])::float FROM frame "
            "f WHERE f.run_id = chunk.run_id AND chunk_idx = idx) FROM chunk WHERE run_id = :id ORDER BY idx",
            id=self.run_id,
        )
        if state != "cancelled":
            assert pending == sum(state != "done" for _, state, *_ in rows), "pending is not what is to be done"
        for idx, chunk_state, leased, frames, score in rows:
            number = int(str(idx))
            assert (chunk_state == "done") is (number in self.committed)
            assert bool(leased) is (number in self.holder and not self.ends)
            assert frames == (PER_CHUNK if number in self.committed else 0), "frames without a commit, or twice"
            if number in self.committed:
                assert score == pytest.approx(self.committed[number]), "frames of an attempt that did not commit"
        assert (
            sql(
                self.system,
                "SELECT frame FROM frame WHERE run_id = :id GROUP BY frame HAVING count(*) > 1",
                id=self.run_id,
            )
            == []
        )

    def teardown(self) -> None:
        if hasattr(self, "run_id"):
            sql(self.system, "DELETE FROM run WHERE id = :id", id=self.run_id)


@pytest.mark.timeout(1800 if SOAK else 120)
def test_whatever_happens_in_whatever_order(system: System) -> None:
    patient = system.settings.model_copy(update={"max_expirations": 10_000, "backoff_s": 0.0, "max_errors": 10_000})
    machine = replace(system, settings=patient)
    run_state_machine_as_test(
        lambda: LeaseMachine(machine),
        settings=how(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            derandomize=not SOAK,
            suppress_health_check=list(HealthCheck),
            # Where a clause was taken out, the first order that goes wrong is enough.
            report_multiple_bugs=SOAK,
            phases=(Phase.generate, *([Phase.shrink] if SOAK else [])),
        ),
    )
