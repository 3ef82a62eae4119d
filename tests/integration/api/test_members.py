"""Members and their roles, own accounts, and what takes effect at the next request."""

from __future__ import annotations

import threading

from pipeline.core.roles import Role
from pipeline.services.accounts.operate import disable_account
from pipeline.services.system import System
from tests.support.web import PASSWORD, Client, account_id, make_team, signed_in, with_password


def test_another_role_counts_at_the_next_request(system: System, origin: str) -> None:
    team = make_team(system, "ours")
    owner = signed_in(system, origin, "owner@example.org", ours=Role.OWNER)
    anna = signed_in(system, origin, "anna@example.org", ours=Role.VIEWER)
    anna_at = f"/teams/{team}/members/{account_id(system, 'anna@example.org')}"
    assert anna.ask("GET", f"/teams/{team}/keys").status == 403
    assert owner.ask("PATCH", anna_at, {"role": "owner"}).json()["role"] == "owner"
    assert anna.ask("GET", f"/teams/{team}/keys").status == 200
    assert owner.ask("PATCH", anna_at, {"role": "king"}).status == 422
    assert owner.ask("DELETE", anna_at).status == 204
    assert anna.ask("GET", f"/teams/{team}/members").status == 404
    assert owner.ask("DELETE", anna_at).status == 404


def test_a_team_keeps_an_owner_also_when_two_go_at_once(system: System, origin: str) -> None:
    team = make_team(system, "ours")
    owners = [signed_in(system, origin, f"owner{number}@example.org", ours=Role.OWNER) for number in range(3)]
    answers: list[int] = []
    threads = [
        threading.Thread(target=lambda each=each: answers.append(each.ask("POST", f"/teams/{team}/leave").status))
        for each in owners
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [204, 204, 400]
    [last] = [each for each in owners if each.get("/teams")["items"]]
    [member] = last.get(f"/teams/{team}/members")["items"]
    at = f"/teams/{team}/members/{member['account_id']}"
    for refused in (last.ask("DELETE", at), last.ask("PATCH", at, {"role": "coach"})):
        assert (refused.status, "needs an owner" in refused.json()["detail"]) == (400, True)


def test_operators_make_teams_and_see_no_others(system: System, origin: str) -> None:
    theirs = make_team(system, "theirs")
    operator = signed_in(system, origin, "operator@example.org")
    assert operator.ask("POST", "/teams", {"name": "new"}).status == 403
    with_operator(system, "operator@example.org")
    made = operator.ask("POST", "/teams", {"name": " new  team "})
    assert (made.status, made.json()["name"], made.json()["role"]) == (201, "new team", "owner")
    assert operator.ask("POST", "/teams", {"name": "new team"}).status == 400
    assert operator.ask("POST", "/teams", {"name": "a\nb/../c\x00"}).status in {400, 422}
    assert operator.ask("GET", f"/teams/{theirs}/members").status == 404


def with_operator(system: System, email: str) -> None:
    from tests.support.harness import sql  # noqa: PLC0415

    sql(system, "UPDATE account SET operator = true WHERE email = :email", email=email)


def sign_in(origin: str, password: str = PASSWORD) -> Client:
    browser = Client(origin)
    assert browser.ask("POST", "/session", {"email": "anna@example.org", "password": password}).status == 200
    return browser


def test_another_password_ends_the_other_sessions(system: System, origin: str) -> None:
    with_password(system, "anna@example.org")
    here, there = sign_in(origin), sign_in(origin)
    assert here.ask("POST", "/account/password", {"current": "wrong", "new": "a new password"}).status == 401
    assert here.ask("POST", "/account/password", {"current": PASSWORD, "new": "short"}).status == 400
    assert here.ask("POST", "/account/password", {"current": PASSWORD, "new": "a new password"}).status == 204
    assert here.get("/session")["kind"] == "account"
    assert there.get("/session")["kind"] == "nobody"
    sign_in(origin, "a new password")


def test_people_see_and_end_their_own_sessions_alone(system: System, origin: str) -> None:
    with_password(system, "anna@example.org")
    here, there = sign_in(origin), sign_in(origin)
    other = signed_in(system, origin, "other@example.org")
    sessions = here.get("/account/sessions")["items"]
    assert [each["this"] for each in sessions].count(True) == 1
    [away] = [each["id"] for each in sessions if not each["this"]]
    assert other.ask("DELETE", f"/account/sessions/{away}").status == 404
    assert here.ask("DELETE", f"/account/sessions/{away}").status == 204
    assert there.get("/session")["kind"] == "nobody"


def test_people_change_their_name_and_address(system: System, origin: str) -> None:
    with_password(system, "anna@example.org")
    signed_in(system, origin, "other@example.org")
    anna = sign_in(origin)
    assert anna.ask("PATCH", "/account", {"name": "Anna B."}).json()["name"] == "Anna B."
    change = {"email": "Anna2@Example.org", "password": "wrong one here"}
    assert anna.ask("PATCH", "/account", change).status == 401
    assert anna.ask("PATCH", "/account", {**change, "password": PASSWORD}).json()["email"] == "anna2@example.org"
    taken = anna.ask("PATCH", "/account", {"email": "other@example.org", "password": PASSWORD})
    assert taken.status == 400
    assert anna.ask("PATCH", "/account", {"email": "none", "password": PASSWORD}).status == 400
    assert anna.get("/account")["email"] == "anna2@example.org"


def test_a_disabled_account_is_out_at_once(system: System, origin: str) -> None:
    with_password(system, "anna@example.org")
    anna = sign_in(origin)
    disable_account(system, "anna@example.org", disabled=True)
    assert anna.get("/session")["kind"] == "nobody"
    body = {"email": "anna@example.org", "password": PASSWORD}
    assert Client(origin).ask("POST", "/session", body).status == 401
    disable_account(system, "anna@example.org", disabled=False)
    assert anna.get("/session")["kind"] == "nobody", "its sessions have ended"
    sign_in(origin)
