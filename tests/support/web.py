"""The application served on loopback, and clients that ask it as a browser or a program does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any
from uuid import UUID

import urllib3

from pipeline.api.server import build_server
from pipeline.cli.processes import bound
from pipeline.core.roles import Role
from pipeline.db.accounts import find_account, insert_account, set_role
from pipeline.db.engine import transaction
from pipeline.db.teams import ensure_team
from pipeline.services.accounts.passwords import hash_password
from pipeline.services.accounts.sign_in import begin_session
from pipeline.services.system import System
from tests.support.harness import wait_until

PASSWORD = "correct horse battery"


@dataclass
class Client:
    """Somebody who asks: with the cookies that the answers set, or with a key."""

    origin: str
    key: str | None = None
    cookies: dict[str, str] = field(default_factory=dict)

    def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> urllib3.BaseHTTPResponse:
        """One request to `/api/v1` plus `path`; `body` as JSON, or bytes as they are."""
        sent = {"Origin": self.origin, **(headers or {})}
        if self.key is not None:
            sent["Authorization"] = f"Bearer {self.key}"
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if body is not None and not isinstance(body, bytes):
            body, sent["Content-Type"] = json.dumps(body).encode(), "application/json"
        path = path if path.startswith("/api/") else f"/api/v1{path}"
        answer = urllib3.request(
            method, f"{self.origin}{path}", body=body, headers=sent, retries=False, redirect=False, timeout=60
        )
        for header in answer.headers.getlist("set-cookie"):
            self.cookies |= {name: morsel.value for name, morsel in SimpleCookie(header).items()}
        return answer

    def get(self, path: str) -> Any:
        """What is at an address, as JSON; it must be there."""
        answer = self.ask("GET", path)
        assert answer.status == 200, answer.data
        return answer.json()


@contextmanager
def served(system: System, port: int = 0, *, trusted_proxies: str = "") -> Iterator[str]:
    """Serve the application for one block; gives its origin."""
    with bound("127.0.0.1", port) as listener:
        server = build_server(system, trusted_proxies=trusted_proxies)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            wait_until(lambda: server.started, 20)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()


def make_team(system: System, name: str) -> UUID:
    """A team of that name; its id."""
    with transaction(system.engine) as connection:
        return ensure_team(connection, name)


def signed_in(system: System, origin: str, email: str, **roles: Role) -> Client:
    """A browser in which somebody is signed in who has these roles, by the teams' names."""
    with transaction(system.engine) as connection:
        account = insert_account(connection, email, email.partition("@")[0], None)
        assert account is not None
        for team, role in roles.items():
            set_role(connection, ensure_team(connection, team), account.id, role)
    return Client(origin, cookies={"poseline": begin_session(system, account, "test")})


def with_password(system: System, email: str, password: str = PASSWORD) -> None:
    """An account that can sign in."""
    with transaction(system.engine) as connection:
        assert insert_account(connection, email, "A Coach", hash_password(password)) is not None


def account_id(system: System, email: str) -> UUID:
    """The id of the account of that address."""
    with transaction(system.engine) as connection:
        found = find_account(connection, email)
    assert found is not None
    return found[0].id


def token_of(url: str) -> str:
    """The token at the end of a link."""
    return url.rpartition("/")[2]
