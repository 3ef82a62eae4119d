"""The application with a provider that signs people in, and browsers that go there and come back."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import urllib3
from pydantic import SecretStr

from pipeline.services.system import System
from tests.support.oidc_provider import CLIENT_ID, CLIENT_SECRET, OidcProvider
from tests.support.web import Client, served

#: Whom the provider has signed in, where a test does not say.
ANNA = {"sub": "anna-1", "email": "anna@club.org", "email_verified": True, "name": "Anna"}


@dataclass(frozen=True)
class OidcSite:
    """The application, and its provider."""

    system: System
    origin: str
    provider: OidcProvider

    def browser(self) -> Client:
        """A browser without cookies."""
        return Client(self.origin)

    def go(self, browser: Client, **begin: Any) -> dict[str, str]:
        """Begin to sign in, and be signed in at the provider. Returns the query with which the browser comes back."""
        begun = browser.ask("POST", "/session/provider", begin)
        assert begun.status == 200, begun.data
        there = urllib3.request("GET", begun.json()["url"], redirect=False, retries=False)
        back = urlsplit(there.headers["location"])
        assert f"{back.scheme}://{back.netloc}{back.path}" == f"{self.origin}/signed-in"
        return {name: values[0] for name, values in parse_qs(back.query).items()}

    def come(self, browser: Client, back: dict[str, str]) -> urllib3.BaseHTTPResponse:
        """Come back, as the page does it."""
        return browser.ask("POST", "/session/provider/return", back)

    def sign_in(self, browser: Client, **begin: Any) -> urllib3.BaseHTTPResponse:
        """The whole way."""
        return self.come(browser, self.go(browser, **begin))


def with_provider(system: System, provider: OidcProvider, web_url: str, **more: Any) -> System:
    """The system with this provider set; `more` of its settings."""
    secret = SecretStr(CLIENT_SECRET)
    given = {"oidc_issuer": provider.issuer, "oidc_client_id": CLIENT_ID, "oidc_client_secret": secret}
    settings = system.settings.model_copy(update={**given, "oidc_name": "Club", "web_url": web_url, **more})
    return dataclasses.replace(system, settings=settings)


@contextmanager
def oidc_site(system: System, provider: OidcProvider, *, host: str = "127.0.0.1", **more: Any) -> Iterator[OidcSite]:
    """Serve it for one block; `more` of its settings."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    origin = f"http://{host}:{port}"
    own = with_provider(system, provider, origin, **more)
    provider.claims = dict(ANNA)
    with served(own, port):
        yield OidcSite(own, origin, provider)
