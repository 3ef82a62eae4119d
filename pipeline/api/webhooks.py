"""A team's webhooks, which are told when its runs end."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter, status
from pydantic import BaseModel, Field

from pipeline.api.access import CallerOf, SystemOf, TeamOfPath, allow
from pipeline.api.body import Body
from pipeline.api.videos import After, Limit
from pipeline.core.roles import Role
from pipeline.services.webhooks.manage import add_webhook, list_deliveries, list_webhooks, remove_webhook

router = APIRouter(tags=["webhooks"])


class NewWebhook(Body):
    """An address that is to be told."""

    url: str = Field(examples=["https://example.org/poses"])


class WebhookMade(BaseModel):
    """A new webhook with the secret by which its requests are signed, which is shown this once."""

    id: UUID
    secret: str


class WebhookOut(BaseModel):
    """A webhook, without its secret."""

    id: UUID
    url: str
    created_by: str | None
    created_at: datetime


class Webhooks(BaseModel):
    """All webhooks of a team."""

    items: list[WebhookOut]


class DeliveryOut(BaseModel):
    """One end of a run that a webhook was told, or is to be told.

    `next_at` is when it is tried again; null once it was delivered or given up. `answer` is that of the last attempt.
    """

    id: UUID
    event: str
    run_id: UUID
    video: str
    created_at: datetime
    attempts: int
    next_at: datetime | None
    delivered_at: datetime | None
    answer: str | None


class Deliveries(BaseModel):
    """Deliveries, the newest first; `next` is `after` of the page that follows."""

    items: list[DeliveryOut]
    next: str | None


@router.get("/teams/{team_id}/webhooks", **allow(Role.OWNER))
def get_webhooks(system: SystemOf, team: TeamOfPath) -> Webhooks:
    """The team's webhooks."""
    return Webhooks(items=[WebhookOut(**row.__dict__) for row in list_webhooks(system, team.id)])


@router.post("/teams/{team_id}/webhooks", status_code=status.HTTP_201_CREATED, **allow(Role.OWNER))
def post_webhook(system: SystemOf, caller: CallerOf, team: TeamOfPath, given: NewWebhook) -> WebhookMade:
    """Add a webhook: it is told of every run of the team that is done or failed from now on."""
    webhook_id, secret = add_webhook(system, caller, team.id, given.url)
    return WebhookMade(id=webhook_id, secret=secret)


@router.delete("/teams/{team_id}/webhooks/{webhook_id}", status_code=status.HTTP_204_NO_CONTENT, **allow(Role.OWNER))
def delete_webhook(system: SystemOf, caller: CallerOf, team: TeamOfPath, webhook_id: UUID) -> None:
    """Remove a webhook."""
    remove_webhook(system, caller, team.id, webhook_id)


@router.get("/teams/{team_id}/webhooks/{webhook_id}/deliveries", **allow(Role.OWNER))
def get_deliveries(
    system: SystemOf, team: TeamOfPath, webhook_id: UUID, after: After = None, limit: Limit = 50
) -> Deliveries:
    """What a webhook was told, with its answers, and what it is to be told."""
    page = list_deliveries(system, team.id, webhook_id, after=after, limit=limit)
    items: list[Any] = [DeliveryOut(**row.__dict__) for row in page.deliveries]
    return Deliveries(items=items, next=None if page.next is None else str(page.next))
