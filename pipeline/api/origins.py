"""Which pages are this server's own: scheme, host and port, as browsers compare them."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

_PORTS = {"http": 80, "https": 443}
_OF_SOCKETS = {"ws": "http", "wss": "https"}

Origin = tuple[str, str, int]


def origin_of(url: str | None) -> Origin | None:
    """Scheme, host and port of an address; None where it has none, such as `null`."""
    try:
        parts = urlsplit(url or "")
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not host:
        return None
    return parts.scheme, host, _PORTS[parts.scheme] if port is None else port


def is_own(scope: Scope, headers: Headers, web_url: Origin | None) -> bool:
    """Whether the `Origin` of a request is where it went, or the address that is set for browsers.

    Behind a proxy with TLS that is not trusted to say so, a request seems to have come over http: its address is set
    then.
    """
    origin = origin_of(headers.get("origin"))
    return origin is not None and origin in {web_url, _asked(scope, headers)}


def differs_in_scheme(scope: Scope, headers: Headers) -> bool:
    """Whether it would be its own, but for the scheme: a proxy has TLS, and this server knows nothing of it."""
    origin, asked = origin_of(headers.get("origin")), origin_of(f"https://{headers.get('host', '')}")
    return scope["scheme"] in {"http", "ws"} and origin is not None and origin == asked


def _asked(scope: Scope, headers: Headers) -> Origin | None:
    scheme = _OF_SOCKETS.get(scope["scheme"], scope["scheme"])
    return origin_of(f"{scheme}://{headers.get('host', '')}")
