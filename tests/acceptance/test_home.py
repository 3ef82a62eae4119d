"""One home for each user: what one directory analysed, another one shows, and one stack serves both."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator
from pathlib import Path

import psutil
import pytest

from pipeline.local.home import SERVERS
from tests.support.ordinary_user import NOBODY, Person, person

pytestmark = pytest.mark.timeout(240)

#: Start some servers of a home, which are enough to find it by.
START = """
import sys
from pathlib import Path
from pipeline.local.stack import prepare_servers, up
names = sys.argv[1:]
up(Path(".poseline").absolute(), only=names, prepare=prepare_servers if len(names) == 3 else lambda _: None)
"""


@pytest.fixture(
    params=[
        pytest.param(None, id="this user"),
        pytest.param(NOBODY, id="an ordinary user", marks=pytest.mark.soak),
    ]
)
def somebody(request: pytest.FixtureRequest) -> Iterator[Person]:
    with person(request.param) as found:
        yield found
        poseline(found, "down", "--json")


def poseline(who: Person, *args: str, at: str = ".", code: int = 0) -> tuple[str, str]:
    """Run one command in a directory of theirs; returns what it printed to stdout and to stderr."""
    done = who.run("-m", "pipeline.cli.main", *args, at=at)
    assert done.returncode == code, done.stderr
    return done.stdout, done.stderr


def start_servers(who: Person, at: str, names: Collection[str] = SERVERS) -> None:
    """Start servers of a home in a directory of theirs."""
    done = who.run("-c", START, *names, at=at)
    assert done.returncode == 0, done.stderr


def supervisors(below: Path) -> list[int]:
    """The supervisors of every home below a directory."""
    found = psutil.process_iter(["pid", "cmdline"])
    return [
        each.info["pid"]
        for each in found
        if "pipeline.local.supervisor" in (args := each.info["cmdline"] or []) and args[-1].startswith(f"{below}/")
    ]


def test_another_directory_has_the_same_stack_and_the_same_history(somebody: Person, short_clip: Path) -> None:
    clip = somebody.place / "match.mp4"
    clip.write_bytes(short_clip.read_bytes())
    clip.chmod(0o644)
    line = "home: ~/.local/share/poseline (local stack)"
    at_monday, at_tuesday = "monday", "tuesday/of all days"

    out, said = poseline(somebody, "status", at=at_monday, code=1)
    assert out.splitlines()[0] == line
    assert "`poseline up` starts it" in out
    assert said == ""

    _, said = poseline(somebody, "analyze", str(clip), at=at_monday)
    assert said.splitlines()[0] == "new local stack in ~/.local/share/poseline"
    [supervisor] = supervisors(somebody.place)

    [run] = json.loads(poseline(somebody, "runs", "--json", at=at_tuesday)[0])
    assert (run["state"], run["frames"]) == ("done", 120)
    out, said = poseline(somebody, "runs", at=at_tuesday)
    assert run["run_id"][:8] in out
    assert line not in out, "stdout is the table alone"
    assert said.splitlines()[-1] == line
    [again] = json.loads(poseline(somebody, "analyze", str(clip), "--json", at=at_tuesday)[0])
    assert (again["run_id"], again["existed"]) == (run["run_id"], True)

    status = json.loads(poseline(somebody, "status", "--json", at=at_tuesday)[0])
    home = somebody.place.resolve() / "home" / ".local" / "share" / "poseline"
    assert (status["home"], status["servers"], status["running"]) == (str(home), "local", True)
    assert supervisors(somebody.place) == [supervisor]
    leaders = {os.getpgid(service["pid"]) for service in status["services"] if service["pid"]}
    parents = {psutil.Process(leader).ppid() for leader in leaders}
    assert parents == {supervisor}, "one stack's processes, and no other's"
    assert sorted(path.name for path in somebody.place.rglob(".poseline")) == []


def test_a_checkout_s_own_home_is_found_from_below_it() -> None:
    with person(None) as me:
        start_servers(me, "checkout")
        home = me.place.resolve() / "checkout" / ".poseline"
        try:
            status = json.loads(poseline(me, "status", "--json", at="checkout/deep/below")[0])
            assert (status["home"], status["running"]) == (str(home), True)
            _, said = poseline(me, "runs", at="checkout/deep")
            assert said.splitlines()[-1] == f"home: {home} (local stack)"
            elsewhere = json.loads(poseline(me, "status", "--json", at="elsewhere", code=1)[0])
            assert not elsewhere["running"]
            poseline(me, "down", at="checkout/deep")
            assert supervisors(me.place) == []
        finally:
            poseline(me, "down", "--home", str(home))


def test_a_home_of_an_ordinary_user_is_not_trusted_by_another() -> None:
    """Root in a directory of somebody who left a home there: it is passed over, and its servers are not spoken to."""
    with person(NOBODY) as theirs, person(None) as mine:
        start_servers(theirs, "trap", ["valkey"])
        trap = theirs.place.resolve() / "trap"
        try:
            done = mine.run("-m", "pipeline.cli.main", "status", at=str(trap))
            assert done.returncode == 1, done.stderr
            assert done.stderr.splitlines() == [f"passed over {trap}/.poseline: it belongs to another user"]
            assert done.stdout.splitlines()[0] == "home: ~/.local/share/poseline (local stack)"
        finally:
            poseline(theirs, "down", at="trap")
