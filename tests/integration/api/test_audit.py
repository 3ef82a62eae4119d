"""Who did what: noted, paged, kept for as long as the team says, and without addresses that were erased."""

from __future__ import annotations

import re
from uuid import UUID

from pipeline.core.retention import Kind
from pipeline.core.roles import Role
from pipeline.services.accounts.first_owner import new_password_link
from pipeline.services.accounts.operate import remove_account
from pipeline.services.erase.targets import begin_erasure, find_asked
from pipeline.services.erase.work import go_on
from pipeline.services.retention import iter_what_would_go, set_retention
from pipeline.services.retention_sweep import run_retention
from pipeline.services.system import System
from tests.support.endpoints import endpoints_of
from tests.support.harness import sql
from tests.support.kept import requested_run
from tests.support.two_teams import make_world
from tests.support.web import PASSWORD, Client, account_id, make_team, signed_in, token_of, with_password


def entries(owner: Client, team: object) -> list[tuple[str, str, str]]:
    page = owner.get(f"/teams/{team}/audit?limit=500")
    return [(entry["actor"], entry["action"], entry["subject"]) for entry in reversed(page["items"])]


def test_what_is_done_in_a_team_is_noted(system: System, origin: str) -> None:
    team = make_team(system, "ours")
    owner = signed_in(system, origin, "owner@example.org", ours=Role.OWNER)
    url = owner.ask("POST", f"/teams/{team}/invitations", {"role": "viewer", "email": "anna@example.org"}).json()["url"]
    anna = Client(origin)
    anna.ask("POST", f"/links/{token_of(url)}", {"name": "Anna", "email": "anna@example.org", "password": PASSWORD})
    Client(origin).ask("POST", "/session", {"email": "anna@example.org", "password": "wrong"})
    owner.ask("PATCH", f"/teams/{team}/members/{account_id(system, 'anna@example.org')}", {"role": "coach"})
    key = owner.ask("POST", f"/teams/{team}/keys", {"name": "laptop"}).json()
    owner.ask("DELETE", f"/teams/{team}/keys/{key['id']}")
    anna.ask("POST", f"/teams/{team}/leave")
    assert entries(owner, team) == [
        ("owner@example.org", "signed_in", ""),
        ("owner@example.org", "invited", "anna@example.org"),
        ("anna@example.org", "joined", ""),
        ("anna@example.org", "signed_in", ""),
        ("anna@example.org", "sign_in_failed", ""),
        ("owner@example.org", "role_changed", "anna@example.org"),
        ("owner@example.org", "key_made", "laptop"),
        ("owner@example.org", "key_revoked", "laptop"),
        ("anna@example.org", "left", ""),
    ]
    kept = str(sql(system, "SELECT * FROM audit"))
    assert not any(secret in kept for secret in (key["key"], token_of(url), PASSWORD))


def test_the_log_is_read_in_pages(system: System, origin: str) -> None:
    team = make_team(system, "ours")
    owner = signed_in(system, origin, "owner@example.org", ours=Role.OWNER)
    for number in range(7):
        owner.ask("POST", f"/teams/{team}/keys", {"name": f"key {number}"})
    seen, after = [], ""
    while after is not None:
        page = owner.get(f"/teams/{team}/audit?limit=3{after and f'&after={after}'}")
        seen += [entry["subject"] for entry in page["items"]]
        after = page["next"]
    assert seen == [f"key {number}" for number in reversed(range(7))] + [""]
    assert owner.ask("GET", f"/teams/{team}/audit?after=x").status == 422


def test_a_team_keeps_its_log_as_long_as_it_says(system: System, origin: str) -> None:
    team = make_team(system, "ours")
    owner = signed_in(system, origin, "owner@example.org", ours=Role.OWNER)
    signed_in(system, origin, "other@example.org", theirs=Role.OWNER)
    sql(system, "UPDATE audit SET at = at - interval '40 days'")
    owner.ask("POST", f"/teams/{team}/keys", {"name": "new"})
    set_retention(system, "ours", Kind.AUDIT, 30)
    assert [each.number for each in iter_what_would_go(system, "ours")] == [1]
    run_retention(system, "ours")
    assert entries(owner, team) == [("owner@example.org", "key_made", "new")]
    assert sql(system, "SELECT count(*) FROM audit WHERE team_id <> :team", team=team) == [(1,)]


def everything(system: System) -> str:
    """Every row of every table that says who somebody is."""
    tables = ("account", "membership", "web_session", "one_time_link", "api_key", "share", "audit", "sign_in_failure")
    return "\n".join(str(sql(system, f"SELECT * FROM {table}")) for table in tables)


def test_an_erased_account_leaves_no_address(system: System, origin: str) -> None:
    team = make_team(system, "ours")
    owner = signed_in(system, origin, "owner@example.org", ours=Role.OWNER)
    owner.ask("POST", f"/teams/{team}/invitations", {"role": "viewer", "email": "anna@example.org"})
    with_password(system, "anna@example.org")
    new_password_link(system, "anna@example.org")
    for password in ("wrong", PASSWORD):
        Client(origin).ask("POST", "/session", {"email": "anna@example.org", "password": password})
    Client(origin).ask("POST", "/session", {"email": "anna@example.org", "password": "wrong"})
    assert "anna@example.org" in everything(system)
    remove_account(system, "anna@example.org")
    assert "anna@" not in everything(system)
    assert ("owner@example.org", "invited", "erased account") in entries(owner, team)


def test_an_erased_team_leaves_no_address_of_its_own_members(system: System, origin: str) -> None:
    signed_in(system, origin, "only@example.org", ours=Role.OWNER)
    both = signed_in(system, origin, "both@example.org", ours=Role.COACH, theirs=Role.OWNER)
    erasure = begin_erasure(system, find_asked(system, [], team="ours", tags={}), "test")
    assert go_on(system, erasure)
    assert "only@" not in everything(system)
    assert [team["name"] for team in both.get("/teams")["items"]] == ["theirs"]


#: What changes nothing of a team: questions, uploads before they are complete, a copy for browsers.
NOT_NOTED = re.compile(r"/runs/poll|/verify|/uploads(/{upload_id})?$|/parts/|/proxy")


def test_whatever_changes_something_of_a_team_is_noted(system: System, origin: str) -> None:
    """From the OpenAPI document, so that a new endpoint cannot forget it."""
    world = make_world(system, origin, "lynx")
    ids = {**world.ids, "run_id": str(requested_run(system, UUID(world.ids["video_id"]), params="open"))}
    noted, silent = [], []
    for endpoint in endpoints_of(world.owner.get("/openapi.json"), ids):
        if endpoint.method == "GET" or "{team_id}" not in endpoint.path or endpoint.path.endswith("/leave"):
            continue
        before = sql(system, "SELECT count(*) FROM audit")
        of_video = endpoint.path.endswith("{video_id}")
        changed = {"tags": {"a": "b"}} if of_video else {"role": "coach"}
        body = {"PATCH": changed, "DELETE": {"confirm": "lynx.mp4"} if of_video else None}.get(endpoint.method)
        answer = world.owner.ask(endpoint.method, endpoint.at(ids), body or endpoint.filled(ids))
        if answer.status < 300:
            grown = sql(system, "SELECT count(*) FROM audit") != before
            (noted if grown else silent).append(str(endpoint))
    assert [each for each in silent if not NOT_NOTED.search(each)] == []
    assert len(noted) > 12, "the control: most of them were done, and noted"
    assert not any("lynx.mp4" in str(row) for row in sql(system, "SELECT subject, detail FROM audit")), "it is erased"
