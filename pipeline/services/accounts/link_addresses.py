"""Make one-time links; only here is a link's token known."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from pipeline.core.link_kind import LinkKind
from pipeline.core.tokens import new_token, token_sha256
from pipeline.db.one_time_links import delete_done_links, insert_link
from pipeline.settings import Settings


def web_address(settings: Settings) -> str:
    """Where browsers reach the pages, without a slash at its end."""
    return (settings.web_url or f"http://localhost:{settings.web_port}").rstrip("/")


def make_link(connection: Connection, base: str, kind: LinkKind, **about: Any) -> str:
    """Make a link. Returns its address.

    Args:
        base: the pages' address.
        about: as `insert_link` takes it.
    """
    token = new_token()
    delete_done_links(connection)
    insert_link(connection, token_sha256(token), kind, **about)
    return f"{base}/link/{token}"
