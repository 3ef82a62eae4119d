"""What `poseline web` logs: no password, no key, no token of a link or session, whatever goes wrong."""

from __future__ import annotations

import socket
from pathlib import Path

import urllib3

from pipeline.core.roles import Role
from pipeline.services.accounts.first_owner import new_password_link
from pipeline.services.accounts.operate import add_account
from pipeline.services.system import System
from pipeline.settings import Settings
from tests.support.harness import processes, sql, wait_until
from tests.support.kept import stored_video
from tests.support.oidc_provider import CLIENT_ID, CLIENT_SECRET, oidc_provider
from tests.support.oidc_site import OidcSite
from tests.support.web import PASSWORD, Client, make_team, signed_in, token_of, with_password


def is_up(origin: str) -> bool:
    try:
        return urllib3.request("GET", f"{origin}/api/v1/health", retries=False, timeout=2).status == 200
    except urllib3.exceptions.HTTPError:
        return False


def test_no_secret_is_logged(system: System, settings: Settings, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    origin = f"http://127.0.0.1:{port}"
    with oidc_provider() as provider, processes(settings, tmp_path / "logs") as running:
        site = OidcSite(system, origin, provider)
        running.start(
            *("web", "--port", str(port)),
            POSELINE_LOG_LEVEL="DEBUG",
            POSELINE_WEB_URL=origin,
            POSELINE_OIDC_ISSUER=provider.issuer,
            POSELINE_OIDC_CLIENT_ID=CLIENT_ID,
            POSELINE_OIDC_CLIENT_SECRET=CLIENT_SECRET,
        )
        wait_until(lambda: is_up(origin), 60, "poseline web")
        video, team = stored_video(system, "sprint.mp4"), make_team(system, "team")
        owner = signed_in(system, origin, "owner@example.org", team=Role.OWNER)
        key = owner.ask("POST", f"/teams/{team}/keys", {"name": "laptop"}).json()["key"]
        share = owner.ask("POST", f"/teams/{team}/videos/{video}/shares", {}).json()["url"]
        invitation = owner.ask("POST", f"/teams/{team}/invitations", {"role": "viewer"}).json()["url"]
        with_password(system, "anna@example.org")
        reset = new_password_link(system, "anna@example.org")
        secrets = [PASSWORD, "a wrong password", key, *owner.cookies.values()]
        secrets += [token_of(url) for url in (share, invitation, reset)]

        anna = Client(origin)
        for password, status in (("a wrong password", 401), (PASSWORD, 200)):
            body = {"email": "anna@example.org", "password": password}
            assert anna.ask("POST", "/session", body).status == status
        assert Client(origin, key=key).ask("GET", "/teams").status == 200
        assert Client(origin, key=key + "x").ask("GET", "/teams").status == 401
        assert Client(origin).ask("POST", f"/shares/{token_of(share)}").status == 200
        assert Client(origin).ask("GET", f"/links/{token_of(reset)}").status == 200
        assert Client(origin).ask("PUT", f"/links/{token_of(reset)}", {}).status == 405
        # By the provider: signed in, and a token that is not believed.
        provider.claims = {"sub": "carl's subject", "email": "carl@example.org", "email_verified": True}
        add_account(system, "carl@example.org", name=None, team="team", role=Role.VIEWER, operator=False)
        carl, tokens = Client(origin), []
        for nonce, status in ((None, 200), ("another", 401)):
            provider.claimed = lambda claims, nonce=nonce: {**claims, "nonce": nonce or claims["nonce"]}
            provider.signed = lambda claims: tokens.append(provider.sign(claims)) or tokens[-1]
            back = site.go(carl)
            assert site.come(carl, back).status == status
            secrets += [back["code"], back["state"], *carl.cookies.values()]
        secrets += [*tokens, CLIENT_SECRET, "carl's subject", "carl@example.org"]
        # What nobody expects: the database refuses a row, with all that is in it.
        sql(system, "ALTER TABLE account ADD CONSTRAINT broken CHECK (name <> 'Ben')")
        given = {"name": "Ben", "email": "ben@example.org", "password": PASSWORD}
        failed = Client(origin).ask("POST", f"/links/{token_of(invitation)}", given)
        assert (failed.status, failed.json()["type"]) == (500, "urn:poseline:unexpected-error")
        assert Client(origin).ask("POST", f"/shares/{token_of(share)}", headers={"Cookie": "x" * 5000}).status == 200
        secrets += [*anna.cookies.values(), "$argon2", "ben@example.org"]
    said = "".join(log.read_text() for log in (tmp_path / "logs").glob("web-*.log"))
    assert "path=/links/{token}" in said.replace("/api/v1", ""), "the control: that error is in the log"
    assert "violates check constraint" in said
    assert "oidc_not_believed" in said
    for secret in secrets:
        assert secret not in said
