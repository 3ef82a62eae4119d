"""A team's webhooks: added, listed, removed; what was told to each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from pipeline.core.audit import Action
from pipeline.core.cursors import Cursor
from pipeline.core.tokens import new_token
from pipeline.db.engine import transaction
from pipeline.db.webhooks import (
    DeliveryRow,
    WebhookRow,
    delete_webhook,
    insert_webhook,
    select_deliveries,
    select_webhooks,
)
from pipeline.errors import NotFound, UsageError
from pipeline.services.accounts.audit import note
from pipeline.services.accounts.callers import Caller
from pipeline.services.system import System
from pipeline.services.webhooks.target import check_url

MOST = 10
_SECRET_MARK = "whsec_"  # noqa: S105


@dataclass(frozen=True)
class DeliveryPage:
    """A page of deliveries, and where the next begins; None after the last."""

    deliveries: Sequence[DeliveryRow]
    next: Cursor | None


def add_webhook(system: System, caller: Caller, team_id: UUID, url: str) -> tuple[UUID, str]:
    """Add a webhook. Returns its id, and the secret with which it is signed, which is shown this once.

    Raises:
        UsageError: the address is not allowed, or the team has ten.
    """
    check_url(url, private=system.settings.webhook_private)
    secret = f"{_SECRET_MARK}{new_token()}"
    with transaction(system.engine) as connection:
        if len(select_webhooks(connection, team_id)) >= MOST:
            raise UsageError(f"a team has {MOST} webhooks at most; remove one first")
        account = caller.account
        webhook_id = insert_webhook(connection, team_id, url, secret, account.id if account else None)
        note(connection, caller, Action.WEBHOOK_CHANGED, team_id=team_id, subject=str(webhook_id), change="added")
    return webhook_id, secret


def list_webhooks(system: System, team_id: UUID) -> Sequence[WebhookRow]:
    """A team's webhooks."""
    with transaction(system.engine) as connection:
        return select_webhooks(connection, team_id)


def remove_webhook(system: System, caller: Caller, team_id: UUID, webhook_id: UUID) -> None:
    """Remove a webhook, with what was told to it; what is not told yet is not.

    Raises:
        NotFound: there is no such webhook.
    """
    with transaction(system.engine) as connection:
        if delete_webhook(connection, team_id, webhook_id) is None:
            raise NotFound("there is no such webhook; it may have been removed meanwhile")
        note(connection, caller, Action.WEBHOOK_CHANGED, team_id=team_id, subject=str(webhook_id), change="removed")


def list_deliveries(system: System, team_id: UUID, webhook_id: UUID, *, after: str | None, limit: int) -> DeliveryPage:
    """What a webhook was told and is to be told, the newest first.

    Raises:
        NotFound: there is no such webhook.
        UsageError: `after` is not the `next` of a page.
    """
    try:
        cursor = None if after is None else Cursor.parse(after)
    except ValueError as error:
        raise UsageError(f"after: {error}") from error
    with transaction(system.engine) as connection:
        found = select_deliveries(connection, team_id, webhook_id, after=cursor, limit=limit + 1)
    if found is None:
        raise NotFound("there is no such webhook; it may have been removed meanwhile")
    page = found[:limit]
    return DeliveryPage(page, Cursor(page[-1].created_at, page[-1].id) if len(found) > limit else None)
