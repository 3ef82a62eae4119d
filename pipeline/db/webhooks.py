"""Webhooks: added and listed; what they are to be told is found, claimed, and noted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, func, null, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from pipeline.core.cursors import Cursor
from pipeline.core.states import RunState
from pipeline.db.engine import oldest_writer
from pipeline.db.leases import after as in_seconds
from pipeline.db.tables import account, run, video, webhook, webhook_delivery

EVENTS = {RunState.DONE: "run.done", RunState.FAILED: "run.failed"}


@dataclass(frozen=True)
class WebhookRow:
    """A webhook, without its secret.

    Args:
        created_by: the address of the account that added it.
    """

    id: UUID
    url: str
    created_by: str | None
    created_at: datetime


@dataclass(frozen=True)
class DeliveryRow:
    """One end of a run that a webhook is told.

    Args:
        next_at: when it is tried again; None once it was delivered or given up.
        answer: to the last attempt, in words.
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


@dataclass(frozen=True)
class Claimed:
    """A delivery that is to be made now."""

    id: UUID
    webhook_id: UUID
    event: str
    run_id: UUID
    team: str
    attempts: int
    url: str
    secret: str = field(repr=False)


def insert_webhook(connection: Connection, team_id: UUID, url: str, secret: str, created_by: UUID | None) -> UUID:
    """Add a webhook. It is told of runs that end from now on."""
    added = insert(webhook).values(
        team_id=team_id,
        url=url,
        secret=secret,
        created_by=created_by,
        created_at=func.clock_timestamp(),
        seen_until=func.clock_timestamp(),
    )
    webhook_id: UUID = connection.execute(added.returning(webhook.c.id)).scalar_one()
    return webhook_id


def select_webhooks(connection: Connection, team_id: UUID) -> list[WebhookRow]:
    """A team's webhooks, in the order in which they were added."""
    rows = connection.execute(
        select(webhook.c.id, webhook.c.url, webhook.c.created_at, account.c.email)
        .outerjoin(account, account.c.id == webhook.c.created_by)
        .where(webhook.c.team_id == team_id)
        .order_by(webhook.c.created_at, webhook.c.id)
    )
    return [WebhookRow(row.id, row.url, row.email, row.created_at) for row in rows]


def delete_webhook(connection: Connection, team_id: UUID, webhook_id: UUID) -> str | None:
    """Remove a team's webhook. Returns its address; None where there is none."""
    gone = webhook.delete().where(webhook.c.id == webhook_id, webhook.c.team_id == team_id).returning(webhook.c.url)
    url: str | None = connection.execute(gone).scalar_one_or_none()
    return url


def select_deliveries(
    connection: Connection, team_id: UUID, webhook_id: UUID, *, after: Cursor | None, limit: int
) -> list[DeliveryRow] | None:
    """What a team's webhook was told, or is to be, the newest first; None where there is no such webhook."""
    own = select(webhook.c.id).where(webhook.c.id == webhook_id, webhook.c.team_id == team_id)
    if connection.execute(own).first() is None:
        return None
    of = webhook_delivery.c
    statement = (
        select(webhook_delivery, video.c.name.label("video"))
        .join(run, run.c.id == of.run_id)
        .join(video, video.c.id == run.c.video_id)
        .where(of.webhook_id == webhook_id)
        .order_by(of.created_at.desc(), of.id.desc())
        .limit(limit)
    )
    if after is not None:
        statement = statement.where(tuple_(of.created_at, of.id) < tuple_(after.at, after.id))
    names = DeliveryRow.__dataclass_fields__
    return [DeliveryRow(**{name: row[name] for name in names}) for row in connection.execute(statement).mappings()]


_FIND = text("""
WITH told AS (
    SELECT id, team_id, seen_until FROM webhook FOR UPDATE SKIP LOCKED
), made AS (
    INSERT INTO webhook_delivery (webhook_id, run_id, event)
    SELECT told.id, run.id, 'run.' || run.state
    FROM told JOIN run ON run.team_id = told.team_id AND run.changed_at >= told.seen_until
    WHERE run.state IN ('done', 'failed')
    ON CONFLICT DO NOTHING
)
UPDATE webhook SET seen_until = greatest(webhook.seen_until, :seen) FROM told WHERE webhook.id = told.id
""")


def find_deliveries(connection: Connection) -> None:
    """Note what every webhook is to be told: of the runs that ended since it was last looked."""
    connection.execute(_FIND, {"seen": oldest_writer(connection)})


_CLAIM = text("""
WITH due AS (
    SELECT DISTINCT ON (webhook_id) id FROM webhook_delivery
    WHERE next_at <= clock_timestamp() ORDER BY webhook_id, next_at, id
), held AS (
    SELECT id FROM webhook_delivery WHERE id IN (SELECT id FROM due) AND next_at <= clock_timestamp()
    LIMIT :limit FOR UPDATE SKIP LOCKED
)
UPDATE webhook_delivery AS d SET next_at = clock_timestamp() + make_interval(secs => :lease_s), attempts = attempts + 1
FROM held, webhook, team WHERE d.id = held.id AND webhook.id = d.webhook_id AND team.id = webhook.team_id
RETURNING d.id, d.webhook_id, d.event, d.run_id, team.name AS team, d.attempts, webhook.url, webhook.secret
""")


def claim_deliveries(connection: Connection, limit: int, lease_s: float) -> Sequence[Claimed]:
    """Take deliveries that are due, one of each webhook at most; nobody else takes them for `lease_s`."""
    rows = connection.execute(_CLAIM, {"limit": limit, "lease_s": lease_s})
    return [Claimed(**row) for row in rows.mappings()]


def note_delivered(connection: Connection, delivery_id: UUID, answer: str) -> None:
    """Note that a webhook was told."""
    connection.execute(
        update(webhook_delivery)
        .where(webhook_delivery.c.id == delivery_id)
        .values(delivered_at=func.clock_timestamp(), next_at=null(), answer=answer)
    )


def note_undelivered(connection: Connection, claimed: Claimed, answer: str, again_in_s: float | None) -> None:
    """Note that an attempt failed; the webhook's others wait as long. None gives the delivery up."""
    of = webhook_delivery.c
    again = null() if again_in_s is None else in_seconds(again_in_s)
    connection.execute(update(webhook_delivery).where(of.id == claimed.id).values(next_at=again, answer=answer))
    if again_in_s is not None:
        waiting = (of.webhook_id == claimed.webhook_id, of.next_at < in_seconds(again_in_s), of.id != claimed.id)
        connection.execute(update(webhook_delivery).where(*waiting).values(next_at=in_seconds(again_in_s)))


def forget_deliveries(connection: Connection, older_than_s: float) -> None:
    """Remove deliveries that ended and are that old."""
    of = webhook_delivery.c
    connection.execute(webhook_delivery.delete().where(of.next_at.is_(None), of.created_at < in_seconds(-older_than_s)))
