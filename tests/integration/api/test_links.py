"""One-time links: first owner, invitations, sign-in, new passwords. Each works once, and only for a time."""

from __future__ import annotations

import threading
from uuid import uuid4

import pytest

from pipeline.core.link_kind import LinkKind
from pipeline.core.roles import Role
from pipeline.db.engine import transaction
from pipeline.services.accounts.first_owner import demo_link, first_owner_link, new_password_link, sign_in_link
from pipeline.services.accounts.link_addresses import make_link
from pipeline.services.system import System
from tests.support.harness import sql
from tests.support.web import PASSWORD, Client, account_id, make_team, signed_in, token_of, with_password

ANNA = {"name": "Anna", "email": "anna@example.org", "password": PASSWORD}


def test_the_first_owner_makes_an_account_and_owns_every_team(system: System, origin: str) -> None:
    make_team(system, "early")
    earlier, link = first_owner_link(system), first_owner_link(system)
    assert earlier is not None
    assert link is not None
    browser = Client(origin)
    assert browser.ask("GET", f"/links/{token_of(earlier)}").status == 404, "a newer one was printed"
    assert browser.get(f"/links/{token_of(link)}")["kind"] == "first_owner"
    short = browser.ask("POST", f"/links/{token_of(link)}", {**ANNA, "password": "short"})
    assert (short.status, "at least 10 characters" in short.json()["detail"]) == (400, True)
    me = browser.ask("POST", f"/links/{token_of(link)}", ANNA).json()
    assert (me["email"], me["operator"]) == ("anna@example.org", True)
    assert [(team["name"], team["role"]) for team in me["teams"]] == [("default", "owner"), ("early", "owner")]
    assert Client(origin).ask("POST", f"/links/{token_of(link)}", ANNA).status == 404
    assert first_owner_link(system) is None
    assert sql(system, "SELECT count(*) FROM one_time_link WHERE token_sha256 = :token", token=token_of(link)) == [(0,)]


def test_an_invitation_works_for_one_of_two_browsers_at_once(system: System, origin: str) -> None:
    team = make_team(system, "ours")
    owner = signed_in(system, origin, "owner@example.org", ours=Role.OWNER)
    made = owner.ask("POST", f"/teams/{team}/invitations", {"role": "coach"}).json()
    answers: list[int] = []

    def accept(number: int) -> None:
        filled = {**ANNA, "email": f"anna{number}@example.org"}
        answers.append(Client(origin).ask("POST", f"/links/{token_of(made['url'])}", filled).status)

    threads = [threading.Thread(target=accept, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200, 404, 404, 404]
    assert sorted(member["role"] for member in owner.get(f"/teams/{team}/members")["items"]) == ["coach", "owner"]
    assert sql(system, "SELECT count(*) FROM account") == [(2,)], "who came late has made no account"
    assert owner.get(f"/teams/{team}/invitations")["items"] == []


def test_an_invitation_for_an_address_is_for_nobody_else(system: System, origin: str) -> None:
    team = make_team(system, "ours")
    owner = signed_in(system, origin, "owner@example.org", ours=Role.OWNER)
    made = owner.ask("POST", f"/teams/{team}/invitations", {"role": "owner", "email": "Anna@example.org"}).json()
    mallory, path = signed_in(system, origin, "mallory@example.org"), f"/links/{token_of(made['url'])}"
    for other in (mallory.ask("POST", path, {}), Client(origin).ask("POST", path, {**ANNA, "email": "m@example.org"})):
        assert (other.status, "is for " in other.json()["detail"]) == (400, True)
    assert mallory.ask("GET", f"/teams/{team}/members").status == 404
    assert sql(system, "SELECT count(*) FROM account WHERE email = 'm@example.org'") == [(0,)]
    assert Client(origin).ask("POST", path, ANNA).status == 200


def test_who_has_an_account_joins_with_it(system: System, origin: str) -> None:
    team = make_team(system, "ours")
    owner = signed_in(system, origin, "owner@example.org", ours=Role.OWNER)
    anna = signed_in(system, origin, "anna@example.org")
    with_password(system, "ben@example.org")

    def invited(role: str) -> str:
        return token_of(owner.ask("POST", f"/teams/{team}/invitations", {"role": role}).json()["url"])

    joined = anna.ask("POST", f"/links/{invited('viewer')}", {})
    assert [(each["name"], each["role"]) for each in joined.json()["teams"]] == [("ours", "viewer")]
    assert anna.ask("POST", f"/links/{invited('coach')}", {}).json()["teams"][0]["role"] == "coach"
    assert anna.ask("POST", f"/links/{invited('viewer')}", {}).json()["teams"][0]["role"] == "coach", "never less"
    link = invited("viewer")
    ben = Client(origin)
    wrong = ben.ask("POST", f"/links/{link}", {"email": "ben@example.org", "password": "not his password"})
    assert wrong.status == 401
    assert ben.ask("POST", f"/links/{link}", {"email": "Ben@example.org", "password": PASSWORD}).status == 200
    assert [team["name"] for team in ben.get("/teams")["items"]] == ["ours"]


def test_an_invitation_can_be_taken_back(system: System, origin: str) -> None:
    team = make_team(system, "ours")
    owner = signed_in(system, origin, "owner@example.org", ours=Role.OWNER)
    made = owner.ask("POST", f"/teams/{team}/invitations", {"role": "viewer"}).json()
    assert [each["id"] for each in owner.get(f"/teams/{team}/invitations")["items"]] == [made["id"]]
    assert owner.ask("DELETE", f"/teams/{team}/invitations/{made['id']}").status == 204
    assert Client(origin).ask("POST", f"/links/{token_of(made['url'])}", ANNA).status == 404


def test_a_new_password_ends_every_session(system: System, origin: str) -> None:
    with_password(system, "anna@example.org")
    old = Client(origin)
    assert old.ask("POST", "/session", {"email": "anna@example.org", "password": PASSWORD}).status == 200
    new = Client(origin)
    link = token_of(new_password_link(system, "anna@example.org"))
    assert new.get(f"/links/{link}")["email"] == "anna@example.org"
    assert new.ask("POST", f"/links/{link}", {"password": "another long password"}).status == 200
    assert new.get("/session")["kind"] == "account"
    assert old.get("/session")["kind"] == "nobody"
    again = Client(origin).ask("POST", "/session", {"email": "anna@example.org", "password": "another long password"})
    assert again.status == 200


def test_a_link_signs_in_once_without_a_password(system: System, origin: str) -> None:
    team = make_team(system, "default")
    link = token_of(demo_link(system, "demo", uuid4()).partition("#")[0])
    assert first_owner_link(system) is None
    browser = Client(origin)
    assert browser.get(f"/links/{link}")["kind"] == "sign_in"
    assert browser.get(f"/links/{link}")["kind"] == "sign_in", "a look does not use it up: messengers look, too"
    assert browser.ask("POST", f"/links/{link}", {}).status == 200
    assert browser.get(f"/teams/{team}/members")["items"][0]["role"] == "owner"
    assert Client(origin).ask("POST", f"/links/{link}", {}).status == 404
    video = uuid4()
    again, _, path = demo_link(system, "late", video).partition("#")
    assert token_of(again) != link
    assert path == f"/t/{make_team(system, 'late')}/videos/{video}"
    assert "late" in [team["name"] for team in browser.get("/session")["teams"]]
    assert sql(system, "SELECT count(*) FROM account") == [(1,)]


@pytest.mark.parametrize("kind", list(LinkKind))
def test_a_link_that_is_too_old_is_as_one_that_never_was(system: System, origin: str, kind: LinkKind) -> None:
    team = make_team(system, "ours")
    signed_in(system, origin, "anna@example.org")
    about = {
        LinkKind.INVITATION: {"team_id": team, "role": Role.OWNER},
        LinkKind.FIRST_OWNER: {},
    }.get(kind, {"account_id": account_id(system, "anna@example.org")})
    with transaction(system.engine) as connection:
        link = token_of(make_link(connection, "", kind, **about))
    browser = Client(origin)
    assert browser.get(f"/links/{link}")["kind"] == kind
    sql(system, "UPDATE one_time_link SET expires_at = now()")
    for method in ("GET", "POST"):
        old = browser.ask(method, f"/links/{link}", {} if method == "POST" else None)
        never = browser.ask(method, "/links/nothing", {} if method == "POST" else None)
        assert (old.status, old.json()) == (never.status, never.json())
        assert old.status == 404


def test_a_disabled_account_gets_in_by_no_link(system: System, origin: str) -> None:
    signed_in(system, origin, "anna@example.org")
    link = token_of(sign_in_link(system, "anna@example.org"))
    sql(system, "UPDATE account SET disabled_at = now()")
    assert Client(origin).ask("POST", f"/links/{link}", {}).status == 404
