"""Requests to the API: with the key, over checked TLS, its problems raised as the errors that they are."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlencode

import urllib3

from pipeline import errors
from pipeline.errors import NotSignedIn, PoselineError, ServiceUnavailable, TooManyAttempts, UsageError

#: What asks for nothing new may be asked again.
_RETRIES = urllib3.Retry(
    total=4,
    connect=4,
    read=2,
    redirect=0,
    status=4,
    other=0,
    backoff_factor=0.3,
    status_forcelist=(502, 503, 504),
    allowed_methods=("GET", "PUT"),
    raise_on_status=False,
    raise_on_redirect=False,
)
# What comes of them is told as one error, in one line.
logging.getLogger("urllib3").setLevel(logging.ERROR)
_CONNECT_S, _ANSWER_S = 10.0, 60.0
#: What a server works on before it answers, such as drawing a video.
LONG_S = 6 * 3600.0
_PIECE_BYTES = 2**18


class Http:
    """One server, and the key that is sent to it alone.

    Raises:
        ServiceUnavailable: by every method: it does not answer.
        PoselineError: by every method: as the server says.
    """

    def __init__(self, origin: str, key: str) -> None:
        self.origin = origin
        self._headers = {"Authorization": f"Bearer {key}"}
        # Certificates are checked against the system's; redirects would carry the key elsewhere.
        self._pool = urllib3.PoolManager(maxsize=16, cert_reqs="CERT_REQUIRED", retries=_RETRIES)

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def get(self, path: str, **query: Any) -> Any:
        """What is at an address, as JSON; values of the query that are None or empty are left out."""
        return self.ask("GET", path, query=query).json()

    def post(self, path: str, body: Any = None, *, timeout_s: float = _ANSWER_S) -> Any:
        """The answer to a POST, as JSON."""
        return self.ask("POST", path, body=body, timeout_s=timeout_s).json()

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = _ANSWER_S,
        stream: bool = False,
    ) -> urllib3.BaseHTTPResponse:
        """One request to the API; `body` as JSON, or bytes as they are."""
        sent = {**self._headers, **(headers or {})}
        if body is not None and not isinstance(body, bytes):
            body, sent["Content-Type"] = json.dumps(body).encode(), "application/json"
        given = {name: value for name, value in (query or {}).items() if value not in (None, "", [], ())}
        url = f"{self.origin}/api/v1{path}{f'?{urlencode(given, doseq=True, quote_via=quote)}' if given else ''}"
        timeout = urllib3.Timeout(connect=_CONNECT_S, read=timeout_s)
        with self._reached():
            answer = self._pool.request(
                method, url, body=body, headers=sent, timeout=timeout, redirect=False, preload_content=not stream
            )
        if not 200 <= answer.status < 300:
            with self._reached():
                data = answer.data
            raise problem_of(self.origin, answer.status, data)
        return answer

    def iter_answer(self, answer: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        """The bytes of an answer that is read as a stream, in pieces.

        Raises:
            ServiceUnavailable: the server ended before the answer did.
        """
        try:
            with self._reached():
                yield from answer.stream(_PIECE_BYTES)
        finally:
            answer.close()

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except urllib3.exceptions.HTTPError as error:
            raise ServiceUnavailable(f"{self.origin} does not answer ({_reason(error)}); {_fix(error)}") from error


_SPEAKS_NO_TLS = "WRONG_VERSION_NUMBER"


def _reason(error: urllib3.exceptions.HTTPError) -> str:
    cause = error.reason if isinstance(error, urllib3.exceptions.MaxRetryError) and error.reason else error
    text = str(cause)
    if _SPEAKS_NO_TLS in text:
        return "it speaks no TLS"
    return text.rpartition("): ")[2].rpartition(": ")[2] or type(cause).__name__


def _fix(error: urllib3.exceptions.HTTPError) -> str:
    if "certificate" in str(error).lower():
        return "its certificate is not one that this machine trusts; name the authority's file in SSL_CERT_FILE"
    if _SPEAKS_NO_TLS in str(error):
        return "a Poseline on this machine is at http://localhost:PORT, every other one needs TLS"
    return "check the address and the network"


def problem_of(origin: str, status: int, data: bytes) -> PoselineError:
    """The error that an answer stands for."""
    try:
        found = json.loads(data)
        kind, detail = str(found["type"]).removeprefix("urn:poseline:"), str(found["detail"])
    except (ValueError, KeyError, TypeError):
        if status == 413:
            return UsageError(f"something between here and {origin} takes no request of this size; raise its limit")
        kind_of = ServiceUnavailable if status >= 500 else UsageError
        return kind_of(f"{origin} answered {status} and no reason; is it a Poseline server?")
    name = "".join(part.capitalize() for part in kind.split("-"))
    cls = getattr(errors, name, None)
    if cls is NotSignedIn:
        return NotSignedIn(f"{detail}; then sign in with `poseline login {origin}`")
    if isinstance(cls, type) and issubclass(cls, PoselineError) and cls is not TooManyAttempts:
        return cls(detail)
    return (PoselineError if status >= 500 else UsageError)(detail)
