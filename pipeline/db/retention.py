"""How long teams keep what, and when each rule is looked at next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, case, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from pipeline.core.retention import Kind
from pipeline.db.leases import after
from pipeline.db.tables import retention, team


@dataclass(frozen=True)
class Rule:
    """That a team keeps something for so many days."""

    team_id: UUID
    team: str
    kind: Kind
    days: int


def set_rule(connection: Connection, team_id: UUID, kind: Kind, days: int | None, begins_in_s: float) -> None:
    """Have a team keep something for so many days; None for ever.

    Args:
        begins_in_s: what goes because it is kept for a shorter time now goes after that.
    """
    if days is None:
        connection.execute(delete(retention).where(retention.c.team_id == team_id, retention.c.kind == str(kind)))
        return
    begins = after(begins_in_s)
    next_at = case((retention.c.days > days, begins), else_=retention.c.next_at)
    connection.execute(
        insert(retention)
        .values(team_id=team_id, kind=str(kind), days=days, next_at=begins)
        .on_conflict_do_update(index_elements=["team_id", "kind"], set_={"days": days, "next_at": next_at})
    )


def select_rules(connection: Connection, team_name: str | None = None) -> list[Rule]:
    """The rules of every team, or of one, by the teams' names."""
    statement = select(retention.c.team_id, team.c.name, retention.c.kind, retention.c.days).join(team)
    if team_name is not None:
        statement = statement.where(team.c.name == team_name)
    return [_rule(row) for row in connection.execute(statement.order_by(team.c.name, retention.c.kind))]


def claim_due_rule(connection: Connection, look_again_s: float) -> Rule | None:
    """The rule that has waited longest to be looked at; None where none is due. It is due again after that time, so
    that nobody else takes it meanwhile, and it is taken up again if whoever has it dies."""
    due = (
        select(retention.c.team_id, retention.c.kind)
        .where(retention.c.next_at <= func.clock_timestamp())
        .order_by(retention.c.next_at)
        .limit(1)
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    row = connection.execute(
        update(retention)
        .where(retention.c.team_id == due.c.team_id, retention.c.kind == due.c.kind, team.c.id == due.c.team_id)
        .values(next_at=after(look_again_s))
        .returning(retention.c.team_id, team.c.name, retention.c.kind, retention.c.days)
    ).first()
    return None if row is None else _rule(row)


def look_again(connection: Connection, rule: Rule, seconds: float) -> None:
    """Have a rule looked at again after that time."""
    of_rule = (retention.c.team_id == rule.team_id, retention.c.kind == str(rule.kind))
    connection.execute(update(retention).where(*of_rule).values(next_at=after(seconds)))


def _rule(row: Sequence[object]) -> Rule:
    team_id, name, kind, days = row
    return Rule(team_id, str(name), Kind(str(kind)), int(str(days)))  # type: ignore[arg-type]
