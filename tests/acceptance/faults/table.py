"""Write docs/faults.md from the registry, the times, the last chaos soak and storm: `python -m …faults.table`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.acceptance.faults.registry import FAULTS, Fault
from tests.support.paths import ROOT

PAGE = ROOT / "docs" / "faults.md"
TIMES = ROOT / "docs" / "faults.json"
CHAOS = ROOT / "docs" / "chaos.json"
STORM = ROOT / "docs" / "storm.json"

_INTRODUCTION = """\
# Faults

What can go wrong, how the tests bring it about, and what must come of it. After each whose test is in
`tests/acceptance/faults` the same [standard checks](../tests/acceptance/faults/standard_checks.py) hold: every run
ended; what is exported is byte for byte what an undisturbed run gives; each frame once; nothing pending, finished once,
no lease; no message in Redis; no child process, no temporary file, no part of an upload left. The others have checks of
their own.

The suite itself is tested: without the clause that fences late commits, without the reconciler, and without the frame
check, a fault test fails each time ([test_negative_controls](../tests/acceptance/faults/test_negative_controls.py)).

This page is made from [the registry](../tests/acceptance/faults/registry.py) by `python -m
tests.acceptance.faults.table`. The seconds are from the end of the fault (or from a kill) to the end of the run, of one
trial on two cores, starting a worker included, with the leases of two seconds that the tests use; with the default of
30 s, add 28 s where a lease has to expire. `FAULT_TIMES=docs/faults.json python -m pytest
tests/acceptance/faults` measures them anew.

| | fault | injection | outcome | seconds, or until when | tests |
| --- | --- | --- | --- | --- | --- |
"""


def render(
    times: Mapping[str, float], chaos: Mapping[str, Any] | None = None, storm: Mapping[str, Any] | None = None
) -> str:
    """The page."""
    rows = "".join(_row(fault, times) for fault in FAULTS)
    return _INTRODUCTION + rows + _outages(times) + _chaos(chaos) + _storm(storm)


def _row(fault: Fault, times: Mapping[str, float]) -> str:
    shown = _seconds(times, *fault.timed) or fault.untimed
    injection = fault.injection + (f"; not here: {fault.not_here}" if fault.not_here else "")
    files = {test.partition("::")[0]: None for test in fault.tests}
    links = ", ".join(f"[{path.rpartition('/')[2].removesuffix('.py')}](../{path})" for path in files) or "none"
    return f"| {fault.number} | {fault.fault} | {injection} | {fault.outcome} | {shown} | {links} |\n"


def _seconds(times: Mapping[str, float], *names: str) -> str:
    """The longest of these; empty where none was measured."""
    measured = [times[name] for name in names if name in times]
    return f"{max(measured):.0f}" if measured else ""


def _outages(times: Mapping[str, float]) -> str:
    kinds = {
        "refused": "resets every connection, and refuses new ones",
        "frozen": "forwards nothing, and keeps connections open",
        "full": "answers that there is no room (of Postgres every table does)",
        "slow": "waits half a second before every piece of an answer",
        "long": "refuses for 150 s, with one worker and the settings that are the default",
    }
    servers = {"broker_url": "Redis", "database_url": "Postgres", "s3_endpoint": "the object store"}
    rows = "".join(
        f"| {does} | " + " | ".join(_seconds(times, f"{server} {kind}") for server in servers) + " |\n"
        for kind, does in kinds.items()
    )
    return f"""
## Outages

[test_outages](../tests/soak/test_outages.py) takes each server away in mid-chunk for 15 s, by a proxy before two
workers and a beat. Meanwhile none of them uses more than 30 % of a processor, or connects or logs in a loop;
afterwards both workers go on by themselves, no error is counted, and the run ends within 60 s. Workers come back to
Redis after pauses of random lengths, 30 s at most; work that waits for a server is tried again after at most 38 s, each
piece at a time of its own. Seconds from the end of the outage to the end of the run:

| the proxy | {" | ".join(servers.values())} |
| --- | --- | --- | --- |
{rows}"""


def _chaos(chaos: Mapping[str, Any] | None) -> str:
    if chaos is None:
        return ""
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(chaos["by_kind"].items()))
    return f"""
## Chaos

[test_chaos](../tests/soak/test_chaos.py) does a random fault every few seconds while runs are asked for, by a seed that
it prints. `make soak` takes {chaos["soak_minutes"]} minutes; the last figures kept here are of
{chaos["minutes"]:.0f} minutes with seed {chaos["seed"]}:

| faults | of them kills | runs | frames | lost | doubled | chunks given up | until all had ended |
| --- | --- | --- | --- | --- | --- | --- | --- |
| {chaos["faults"]} | {chaos["kills"]} | {chaos["runs"]} | {chaos["frames"]:,} | {chaos["lost"]} | {chaos["doubled"]} \
| {chaos["given_up"]} | {chaos["settled_s"]:.0f} s |

Faults by kind: {kinds}.
"""


def _storm(storm: Mapping[str, Any] | None) -> str:
    if storm is None:
        return ""
    kills = storm["kills"]
    return f"""
## A storm of kills

[test_kill_storm_long](../tests/soak/test_kill_storm_long.py), a part of `make soak`, kills a process of a small fleet
after every few chunks, by a seed: workers with work in their hands, decoders and their zygotes, processes in which a
chunk is tried alone, beat, the servers and their supervisor. No chunk may be given up, since none is at fault, and
every run has to export the bytes of an undisturbed one. The last figures, of seed {storm["seed"]}:

| kills | runs | chunks | deaths of chunks | most of one | tried alone | given up | exports that differ | minutes |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
| {sum(kills.values())} | {storm["runs"]} | {storm["chunks"]:,} | {storm["deaths"]:,} | {storm["most_deaths"]} \
| {storm["trials"]} | {storm["given_up"]} | {storm["differing"]} | {storm["seconds"] / 60:.0f} |

Kills by kind: {", ".join(f"{kind} {count}" for kind, count in sorted(kills.items()))}.
"""


def _read(path: Path) -> Any:
    return json.loads(path.read_text()) if path.exists() else None


def current() -> str:
    """The page as it should be now."""
    return render(_read(TIMES) or {}, _read(CHAOS), _read(STORM))


if __name__ == "__main__":
    PAGE.write_text(current())
