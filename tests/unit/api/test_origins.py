"""Which pages are this server's own, and whose word on where a request comes from counts."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from pipeline.api.origins import origin_of
from pipeline.api.protection import Protection
from pipeline.api.server import trusted
from pipeline.errors import UsageError


async def _answer(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def ask(origin: str, host: str, scheme: str = "http", *, web_url: str | None = None) -> tuple[int, str]:
    """Status and body of a request that changes something and carries a cookie."""
    headers = [(b"host", host.encode()), (b"origin", origin.encode()), (b"cookie", b"poseline=x")]
    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": "/api/v1/x",
        "scheme": scheme,
        "headers": headers,
    }
    told: list[Message] = []

    async def send(message: Message) -> None:
        told.append(dict(message))

    async def receive() -> Message:
        return {"type": "http.request"}

    asyncio.run(Protection(_answer, web_origin=origin_of(web_url))(scope, receive, send))
    return told[0]["status"], told[1]["body"].decode()


@pytest.mark.parametrize(
    ("origin", "host", "scheme"),
    [
        ("http://localhost:8080", "localhost:8080", "http"),
        ("https://poses.club.org", "poses.club.org", "https"),
        ("https://poses.club.org", "poses.club.org:443", "https"),
        ("http://[::1]:8080", "[::1]:8080", "http"),
    ],
)
def test_a_page_of_this_server_may(origin: str, host: str, scheme: str) -> None:
    assert ask(origin, host, scheme)[0] == 204


@pytest.mark.parametrize(
    ("origin", "host", "scheme"),
    [
        ("http://poses.club.org", "poses.club.org", "https"),
        ("http://poses.club.org:443", "poses.club.org", "https"),
        ("https://poses.club.org:8443", "poses.club.org", "https"),
        ("https://evil.example", "poses.club.org", "https"),
        ("null", "poses.club.org", "https"),
        ("https://", "", "https"),
        ("https://poses.club.org:x", "poses.club.org:x", "https"),
    ],
)
def test_a_page_of_another_scheme_port_or_name_may_not(origin: str, host: str, scheme: str) -> None:
    status, body = ask(origin, host, scheme)
    assert status == 403
    assert "comes from another site's page" in body


def test_behind_a_proxy_with_tls_the_address_that_is_set_counts() -> None:
    status, body = ask("https://poses.club.org", "poses.club.org")
    assert status == 403
    assert "set POSELINE_WEB_URL to the page's address" in body
    assert ask("https://poses.club.org", "poses.club.org", web_url="https://poses.club.org/")[0] == 204
    assert ask("https://poses.club.org", "10.0.0.7:8080", web_url="https://poses.club.org")[0] == 204
    assert ask("http://poses.club.org", "10.0.0.7:8080", web_url="https://poses.club.org")[0] == 403


def test_proxies_are_addresses() -> None:
    assert trusted("") == []
    assert trusted("127.0.0.1, 10.0.0.0/8,") == ["127.0.0.1", "10.0.0.0/8"]
    assert trusted("127.0.0.1,*") == ["*"]
    for wrong in ("caddy", "10.0.0.1/8", "127.0.0.1;10.0.0.1"):
        with pytest.raises(UsageError, match="POSELINE_WEB_TRUSTED_PROXIES"):
            trusted(wrong)
