"""What `poseline web` logs: no password, no key, no token of a link or session, whatever goes wrong."""

from __future__ import annotations

import socket
from pathlib import Path

import urllib3

from pipeline.core.roles import Role
from pipeline.services.accounts.first_owner import new_password_link
from pipeline.services.system import System
from pipeline.settings import Settings
from tests.support.harness import processes, sql, wait_until
from tests.support.kept import stored_video
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
    with processes(settings, tmp_path / "logs") as running:
        running.start("web", "--port", str(port), POSELINE_LOG_LEVEL="DEBUG")
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
    for secret in secrets:
        assert secret not in said
