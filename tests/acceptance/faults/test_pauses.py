"""The pauses between attempts: doubled, bounded, and not the same for all that failed together."""

from __future__ import annotations

import pytest
from sqlalchemy import Integer, func, literal, select

from pipeline.db.engine import transaction
from pipeline.db.leases import backoff
from pipeline.services.system import System


@pytest.mark.parametrize(("failures", "shortest_s"), [(0, 2), (1, 4), (6, 128), (60, 128)])
def test_pauses_differ_by_up_to_a_quarter(system: System, failures: int, shortest_s: float) -> None:
    many = func.generate_series(1, 100).table_valued("n")
    with transaction(system.engine) as connection:
        pause = func.extract("epoch", backoff(2.0, literal(failures, Integer)))
        pauses = [float(each) for each in connection.execute(select(pause).select_from(many)).scalars()]
    assert shortest_s <= min(pauses) < max(pauses) <= shortest_s * 1.25
    assert len(set(pauses)) > 90
