"""Keys of programs, and links to one video."""

from __future__ import annotations

import re

from pipeline.core.roles import Role
from pipeline.services.system import System
from tests.support.harness import sql
from tests.support.kept import stored_video
from tests.support.web import Client, make_team, signed_in, token_of


def test_a_key_is_shown_once_and_works_until_it_is_revoked(system: System, origin: str) -> None:
    team, other = make_team(system, "ours"), make_team(system, "theirs")
    owner = signed_in(system, origin, "owner@example.org", ours=Role.OWNER)
    made = owner.ask("POST", f"/teams/{team}/keys", {"name": "laptop", "role": "viewer", "expires_in_days": 30}).json()
    assert re.fullmatch(r"psl_[0-9a-f]{8}_[\w-]{43}", made["key"])
    assert made["key"].startswith(made["prefix"])
    assert made["key"] not in str(sql(system, "SELECT * FROM api_key"))
    program = Client(origin, key=made["key"])
    assert program.get("/teams")["items"] == [{"id": str(team), "name": "ours", "role": "viewer"}]
    assert program.ask("GET", f"/teams/{other}/members").status == 404
    assert program.ask("GET", f"/teams/{team}/keys").status == 403
    [listed] = owner.get(f"/teams/{team}/keys")["items"]
    assert listed["last_used_at"] is not None
    assert "key" not in listed
    assert owner.ask("DELETE", f"/teams/{team}/keys/{made['id']}").status == 204
    refused = program.ask("GET", "/teams")
    assert (refused.status, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert owner.get(f"/teams/{team}/keys")["items"] == []


def test_a_key_expires_and_is_never_an_owner(system: System, origin: str) -> None:
    team = make_team(system, "ours")
    owner = signed_in(system, origin, "owner@example.org", ours=Role.OWNER)
    assert owner.ask("POST", f"/teams/{team}/keys", {"name": "x", "role": "owner"}).status == 400
    made = owner.ask("POST", f"/teams/{team}/keys", {"name": "x", "expires_in_days": 1}).json()
    sql(system, "UPDATE api_key SET expires_at = now()")
    assert Client(origin, key=made["key"]).ask("GET", "/teams").status == 401
    assert Client(origin, key="psl_00000000_nothing").ask("GET", "/teams").status == 401


def test_a_share_shows_one_video_until_it_is_revoked(system: System, origin: str) -> None:
    video, other = stored_video(system, "sprint.mp4"), stored_video(system, "other.mp4")
    team = make_team(system, "team")
    coach = signed_in(system, origin, "coach@example.org", team=Role.COACH)
    shares = f"/teams/{team}/videos/{video}/shares"
    made = coach.ask("POST", shares, {"expires_in_days": 3}).json()
    assert coach.ask("POST", shares, {"expires_in_days": 0}).status == 422
    guest = Client(origin)
    opened = guest.ask("POST", f"/shares/{token_of(made['url'])}")
    assert opened.json() == {"team_id": str(team), "team": "team", "video_id": str(video), "video": "sprint.mp4"}
    assert "HttpOnly" in opened.headers["set-cookie"]
    assert guest.get("/session")["shared"]["video"] == "sprint.mp4"
    assert guest.get("/session")["teams"] == []
    for path in (f"/teams/{team}/members", shares, f"/teams/{team}/videos/{other}/shares"):
        assert guest.ask("GET", path).status == 404
    assert guest.ask("GET", "/teams").status == 401
    [listed] = coach.get(shares)["items"]
    assert "url" not in listed
    assert coach.ask("DELETE", f"/teams/{team}/videos/{other}/shares/{listed['id']}").status == 404
    assert coach.ask("DELETE", f"{shares}/{listed['id']}").status == 204
    assert guest.get("/session")["shared"] is None
    again = Client(origin).ask("POST", f"/shares/{token_of(made['url'])}")
    never = Client(origin).ask("POST", "/shares/nothing")
    assert (again.status, again.json()) == (never.status, never.json())


def test_opening_a_share_signs_nobody_out(system: System, origin: str) -> None:
    video = stored_video(system, "sprint.mp4")
    team = make_team(system, "team")
    coach = signed_in(system, origin, "coach@example.org", team=Role.COACH)
    other = signed_in(system, origin, "other@example.org", theirs=Role.OWNER)
    made = coach.ask("POST", f"/teams/{team}/videos/{video}/shares", {}).json()
    assert other.ask("POST", f"/shares/{token_of(made['url'])}").status == 200
    me = other.get("/session")
    assert (me["email"], me["shared"]["video"]) == ("other@example.org", "sprint.mp4")
    assert other.ask("GET", f"/teams/{team}/members").status == 404
