"""The list of faults is whole, each has tests that exist, and its page is up to date."""

from __future__ import annotations

import ast
import json

import pytest

from tests.acceptance.faults.registry import FAULTS, Fault
from tests.acceptance.faults.table import PAGE, TIMES, current
from tests.support.paths import ROOT


def test_no_fault_is_missing() -> None:
    assert [fault.number for fault in FAULTS] == list(range(1, 43))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: str(fault.number))
def test_every_fault_has_tests_or_a_reason(fault: Fault) -> None:
    assert fault.tests or fault.not_here
    for test in fault.tests:
        path, _, name = test.partition("::")
        tree = ast.parse((ROOT / path).read_text())
        names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert name.partition("[")[0] in names, test


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: str(fault.number))
def test_every_fault_has_a_time_of_recovery_or_says_what_passes_instead(fault: Fault) -> None:
    times = json.loads(TIMES.read_text())
    assert bool(fault.timed) is not bool(fault.untimed)
    assert [name for name in fault.timed if name not in times] == [], (
        "measure it: FAULT_TIMES=docs/faults.json pytest …"
    )


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == current(), "run `python -m tests.acceptance.faults.table`"
