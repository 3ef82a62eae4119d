"""`poseline accounts`: the operator's way to let people in and out."""

from __future__ import annotations

import pytest

from pipeline.services.system import System
from tests.support.commands import printed, said
from tests.support.harness import sql
from tests.support.web import Client, served, token_of

pytestmark = pytest.mark.usefixtures("configured")


def test_an_operator_lets_people_in_and_out(system: System, capsys: pytest.CaptureFixture[str]) -> None:
    first = printed(capsys, "accounts", "link")["link"]
    assert "poseline accounts link" in said(capsys, "accounts")
    with served(system) as origin:
        owner = Client(origin)
        given = {"name": "Eva", "email": "eva@example.org", "password": "a long password"}
        assert owner.ask("POST", f"/links/{token_of(first)}", given).status == 200
        assert "name one" in said(capsys, "accounts", "link", code=2)

        added = printed(capsys, "accounts", "add", "Anna@example.org", "--team", "default", "--role", "coach")
        anna = Client(origin)
        assert anna.ask("POST", f"/links/{token_of(added['link'])}", {"password": "her own password"}).status == 200
        assert printed(capsys, "accounts", "add", "anna@example.org", "--team", "default")["link"] is None
        assert "did you mean" in said(capsys, "accounts", "add", "anna@example.org", "--team", "defautl", code=2)
        listed = {row["email"]: row for row in printed(capsys, "accounts", "list")}
        assert listed["eva@example.org"]["operator"] is True
        assert listed["anna@example.org"]["roles"] == {"default": "viewer"}
        assert "viewer of default" in said(capsys, "accounts", "list")

        link = printed(capsys, "accounts", "link", "anna@example.org", "--sign-in")["link"]
        assert Client(origin).ask("POST", f"/links/{token_of(link)}", {}).status == 200
        assert "every session has ended" in said(capsys, "accounts", "disable", "anna@example.org")
        assert anna.get("/session")["kind"] == "nobody"
        assert "disabled" in said(capsys, "accounts", "link", "anna@example.org", code=2)
        assert printed(capsys, "accounts", "disable", "anna@example.org", "--undo")["disabled"] is False
        assert "--yes" in said(capsys, "accounts", "remove", "anna@example.org", "--json", code=2)
        assert printed(capsys, "accounts", "remove", "anna@example.org", "--yes")["removed"] is True
        assert sql(system, "SELECT count(*) FROM account WHERE email LIKE 'anna%'") == [(0,)]
        assert "no account" in said(capsys, "accounts", "remove", "anna@example.org", "--yes", code=2)
