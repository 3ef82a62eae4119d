"""Requests to a provider: over checked TLS, without redirects, and never for long, whatever it answers."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import urllib3

from pipeline.errors import ServiceUnavailable
from pipeline.services.oidc.config import OidcConfig

_TIMEOUT_S = 8.0
_LARGEST_BYTES = 2**20
#: A provider that hangs must not take every thread of the server.
_AT_ONCE = 8


@dataclass(frozen=True)
class Answer:
    """What the provider answered, with the names that Authlib knows from `requests`."""

    url: str
    status_code: int
    body: bytes

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            ValueError: it is none.
        """
        return json.loads(self.body)

    def raise_for_status(self) -> None:
        """Raise an error where this is no success.

        Raises:
            ServiceUnavailable: it is none.
        """
        if not 200 <= self.status_code < 300:
            raise ServiceUnavailable(f"{urlsplit(self.url).hostname} answered {self.status_code}; try again")


class ProviderHttp:
    """Connections to one provider. Certificates are checked against those that the system trusts."""

    def __init__(self, config: OidcConfig) -> None:
        self._name = config.name
        self._pool = urllib3.PoolManager(maxsize=_AT_ONCE, cert_reqs="CERT_REQUIRED", retries=False)
        self._turns = threading.BoundedSemaphore(_AT_ONCE)

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Answer:
        """One GET.

        Raises:
            ServiceUnavailable: the provider does not answer.
        """
        return self._ask("GET", url, headers or {}, None)

    def post(self, url: str, data: Mapping[str, str], headers: Mapping[str, str], auth: Any, **_: Any) -> Answer:
        """One POST of a form, as Authlib asks for it.

        Args:
            auth: an `authlib.oauth2.ClientAuth`, which adds who we are.

        Raises:
            ServiceUnavailable: the provider does not answer.
        """
        url, sent, body = auth.prepare("POST", url, dict(headers), urlencode(data))
        return self._ask("POST", url, sent, body.encode())

    def _ask(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        sent = {"User-Agent": "Poseline", "Accept": "application/json", "Accept-Encoding": "identity", **headers}
        until = time.monotonic() + _TIMEOUT_S
        with self._turn(), self._reached(url):
            answer = self._pool.request(
                method, url, body=body, headers=sent, redirect=False, preload_content=False,
                timeout=urllib3.Timeout(connect=_TIMEOUT_S / 2, read=_TIMEOUT_S),
            )  # fmt: skip
            try:
                data = b""
                while piece := answer.read1(2**16):
                    data += piece
                    if len(data) > _LARGEST_BYTES or time.monotonic() > until:
                        raise ServiceUnavailable(f"{self._name} answers without end; try again")
            finally:
                answer.close()
            return Answer(url, answer.status, data)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._turns.acquire(blocking=False):
            raise ServiceUnavailable(f"{self._name} keeps others waiting, too; try again in a moment")
        try:
            yield
        finally:
            self._turns.release()

    @contextmanager
    def _reached(self, url: str) -> Iterator[None]:
        try:
            yield
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ServiceUnavailable(
                f"{self._name} does not answer at {urlsplit(url).hostname}: {_reason(error)}; try again, or use a "
                "password"
            ) from error


def _reason(error: Exception) -> str:
    if "certificate" in str(error).lower():
        return "its certificate is not one that this machine trusts (SSL_CERT_FILE names another authority)"
    if isinstance(error, urllib3.exceptions.NameResolutionError):
        return "its name is not known"
    # Refused connections are a kind of connections that took too long, for urllib3.
    if isinstance(error, urllib3.exceptions.NewConnectionError):
        return "it takes no connection"
    return "it takes too long" if isinstance(error, urllib3.exceptions.TimeoutError) else type(error).__name__
