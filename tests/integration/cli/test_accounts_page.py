"""The examples of docs/web.md on accounts and keys do what the page says."""

from __future__ import annotations

import re
import shlex

import pytest

from pipeline.core.roles import Role
from pipeline.services.system import System
from tests.support.commands import said
from tests.support.paths import ROOT
from tests.support.web import Client, make_team, served, signed_in

pytestmark = pytest.mark.usefixtures("configured")

PAGE = (ROOT / "docs" / "web.md").read_text().partition("## Accounts, roles, keys\n")[2].partition("\n## ")[0]
COMMANDS = re.findall(r"^\$ (poseline .*)\n((?:(?!\$ |```).*\n)*)", PAGE, re.M)
REQUESTS = re.findall(r"^\$ curl (.*)$", PAGE, re.M)


def test_every_command_prints_what_the_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(COMMANDS) == 7
    for command, shown in COMMANDS:
        told = said(capsys, *shlex.split(command)[1:])
        assert re.sub(r"/link/[\w-]{43}", "/link/…", told) == re.sub(r"/link/\w+…", "/link/…", shown), command


def test_every_request_is_answered(system: System) -> None:
    assert len(REQUESTS) == 2
    with served(system) as origin:
        team = make_team(system, "ours")
        owner = signed_in(system, origin, "owner@example.org", ours=Role.OWNER)
        key = owner.ask("POST", f"/teams/{team}/keys", {"name": "camera laptop"}).json()["key"]
        for request in REQUESTS:
            option, header, address = shlex.split(request)
            assert (option, header) == ("-H", "Authorization: Bearer $KEY")
            path = address.removeprefix("$POSELINE").replace("$TEAM", str(team))
            assert Client(origin, key=key).get(path)["items"], request
