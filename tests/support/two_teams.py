"""Two teams that have one of everything, and everybody who may ask for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from pipeline.core.roles import Role
from pipeline.core.tokens import token_sha256
from pipeline.db.accounts import find_account, insert_account, make_operator, set_role
from pipeline.db.engine import transaction
from pipeline.services.accounts.sign_in import begin_session
from pipeline.services.system import System
from tests.support.harness import sql
from tests.support.kept import done_run, stored_video
from tests.support.web import Client, account_id, make_team, signed_in, token_of


@dataclass(frozen=True)
class World:
    """What a team has.

    Args:
        ids: one of each thing of it, by the name that paths give it.
        keys, shares: secrets that work, by their roles or what became of them.
    """

    team: str
    team_id: UUID
    owner: Client
    ids: Mapping[str, str]
    keys: Mapping[str, str] = field(default_factory=dict)
    shares: Mapping[str, Client] = field(default_factory=dict)


def make_world(system: System, origin: str, team: str) -> World:
    """A team, whose name is in the name of everything that it has."""
    team_id = make_team(system, team)
    owner = signed_in(system, origin, f"owner@{team}.test", **{team: Role.OWNER})
    signed_in(system, origin, f"member@{team}.test", **{team: Role.VIEWER})
    video = stored_video(system, f"{team}.mp4", team=team, tags={"of": team})
    run = done_run(system, video)
    at = f"/teams/{team_id}"

    def made(path: str, body: object) -> dict[str, str]:
        answer = owner.ask("POST", f"{at}{path}", body)
        assert answer.status == 201, answer.data
        found: dict[str, str] = answer.json()
        return found

    invitation = made("/invitations", {"role": "viewer", "email": f"invited@{team}.test"})
    made_keys = {
        name: made("/keys", {"name": f"{name} of {team}", "role": role})
        for name, role in (("viewer", "viewer"), ("coach", "coach"), ("revoked", "coach"), ("expired", "coach"))
    }
    owner.ask("DELETE", f"{at}/keys/{made_keys['revoked']['id']}")
    sql(system, "UPDATE api_key SET expires_at = now() WHERE id = :id", id=made_keys["expired"]["id"])
    spare_key = made("/keys", {"name": f"spare of {team}"})
    share_links = {name: made(f"/videos/{video}/shares", {}) for name in ("works", "revoked", "spare")}
    shares = {}
    for name, link in share_links.items():
        shares[name] = Client(origin)
        assert shares[name].ask("POST", f"/shares/{token_of(link['url'])}").status == 200
    owner.ask("DELETE", f"{at}/videos/{video}/shares/{share_links['revoked']['id']}")
    upload = made("/uploads", {"name": f"{team} upload.mp4", "size_bytes": 5})["upload"]
    webhook = made("/webhooks", {"url": f"https://{team}.example.org/told"})
    session = owner.get("/account/sessions")["items"][0]["id"]
    ids = {
        "team_id": str(team_id),
        "account_id": str(account_id(system, f"member@{team}.test")),
        "session_id": session,
        "video_id": str(video),
        "run_id": str(run),
        "upload_id": upload["id"],  # type: ignore[index]
        "invitation_id": invitation["id"],
        "webhook_id": webhook["id"],
        "key_id": spare_key["id"],
        "share_id": share_links["spare"]["id"],
    }
    return World(team, team_id, owner, ids, {name: key["key"] for name, key in made_keys.items()}, shares)


@dataclass(frozen=True)
class Who:
    """Somebody who asks.

    Args:
        role: in the first team.
        client: makes what they ask with, anew each time: some endpoints end sessions.
    """

    name: str
    kind: Literal["nobody", "account", "key", "share"]
    client: Callable[[], Client]
    role: Role | None = None
    operator: bool = False


def everybody(system: System, origin: str, ours: World) -> list[Who]:
    """Every kind of caller, with rights in the first team or none."""

    def account(name: str, role: Role | None = None, *, operator: bool = False) -> Who:
        def client() -> Client:
            with transaction(system.engine) as connection:
                email = f"{name.replace(' ', '.')}@{ours.team}.test"
                insert_account(connection, email, name, None)
                found = find_account(connection, email)
                assert found is not None
                if role is not None:
                    set_role(connection, ours.team_id, found[0].id, role)
                if operator:
                    make_operator(connection, found[0].id)
            return Client(origin, cookies={"poseline": begin_session(system, found[0], "walk")})

        return Who(name, "account", client, role, operator)

    def over(change: str) -> Callable[[], Client]:
        def client() -> Client:
            ended = account("gone", Role.OWNER).client()
            sql(system, change, token=token_sha256(ended.cookies["poseline"]))
            return ended

        return client

    key, shared = ours.keys, ours.shares
    return [
        Who("nobody", "nobody", lambda: Client(origin)),
        Who("ended session", "nobody", over("DELETE FROM web_session WHERE token_sha256 = :token")),
        Who("expired session", "nobody", over("UPDATE web_session SET expires_at = now() WHERE token_sha256 = :token")),
        Who("revoked key", "nobody", lambda: Client(origin, key=key["revoked"])),
        Who("expired key", "nobody", lambda: Client(origin, key=key["expired"])),
        Who("revoked share", "nobody", lambda: Client(origin, cookies=dict(shared["revoked"].cookies))),
        Who("share", "share", lambda: Client(origin, cookies=dict(shared["works"].cookies))),
        Who("viewer key", "key", lambda: Client(origin, key=key["viewer"]), Role.VIEWER),
        Who("coach key", "key", lambda: Client(origin, key=key["coach"]), Role.COACH),
        account("viewer", Role.VIEWER),
        account("coach", Role.COACH),
        account("second owner", Role.OWNER),
        account("operator", operator=True),
        account("stranger"),
    ]
