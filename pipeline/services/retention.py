"""How long a team keeps what: the rules, and what they would remove now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from pipeline.core.object_keys import export_key
from pipeline.core.retention import Kind, format_period
from pipeline.db.engine import transaction
from pipeline.db.outlived import bytes_of_frame, count_outlived, select_outlived
from pipeline.db.retention import Rule, select_rules, set_rule
from pipeline.db.teams import ensure_team, find_team_id, select_teams
from pipeline.services.system import System
from pipeline.services.teams import require_team
from pipeline.storage.store_errors import ObjectMissing

GRACE_S = 3600.0
_EXAMPLES = 5
#: So many exports are asked for their size; the rest is taken to be like them.
_SIZES_ASKED = 200


@dataclass(frozen=True)
class TeamRules:
    """What one team keeps for how many days; None for ever."""

    team: str
    days: Mapping[Kind, int | None]

    def to_dict(self) -> dict[str, object]:
        """The rules as JSON fields."""
        return {"team": self.team, **{str(kind): format_period(days) for kind, days in self.days.items()}}


@dataclass(frozen=True)
class WouldGo:
    """What a rule would remove now.

    Args:
        size_bytes: of objects and frames; None where it is not known.
        estimated: the size is that of some of them, or of an average row.
        examples: names of the videos that it is about, the oldest first.
    """

    rule: Rule
    number: int
    size_bytes: int | None
    estimated: bool
    frames: int
    oldest: datetime | None
    examples: tuple[str, ...]

    def to_dict(self) -> dict[str, object]:
        """What would go as JSON fields."""
        fields: dict[str, Any] = {"team": self.rule.team, "kind": str(self.rule.kind)}
        fields |= {"keep": format_period(self.rule.days), "number": self.number, "bytes": self.size_bytes}
        oldest = None if self.oldest is None else self.oldest.isoformat()
        return {
            **fields,
            "bytes_estimated": self.estimated,
            "frames": self.frames,
            "oldest": oldest,
            "examples": list(self.examples),
        }


def set_retention(
    system: System, team: str, kind: Kind, days: int | None, *, begins_in_s: float = GRACE_S
) -> TeamRules:
    """Have a team keep something for so many days, or for ever (None).

    Args:
        begins_in_s: what is older goes after that, so that a mistake can be taken back.

    Raises:
        UnknownTeam: there is no such team.
    """
    require_team(system, team)
    with transaction(system.engine) as connection:
        set_rule(connection, ensure_team(connection, team), kind, days, begins_in_s)
    return list_retention(system, team)[0]


def list_retention(system: System, team: str | None = None) -> list[TeamRules]:
    """What every team keeps, or one, by name.

    Raises:
        UnknownTeam: there is no such team.
    """
    if team is not None:
        require_team(system, team)
    with transaction(system.engine) as connection:
        rules = {(rule.team, rule.kind): rule.days for rule in select_rules(connection, team)}
        names = [row.name for row in select_teams(connection)] if team is None else [team]
    return [TeamRules(name, {kind: rules.get((name, kind)) for kind in Kind}) for name in names]


def what_would_go(system: System, team: str, kind: Kind, days: int) -> WouldGo:
    """What a rule that is not set would remove now.

    Raises:
        UnknownTeam: there is no such team.
    """
    require_team(system, team)
    with transaction(system.engine) as connection:
        team_id = find_team_id(connection, team) or UUID(int=0)  # the default team, before it has anything
    return _would_go(system, Rule(team_id, team, kind, days))


def iter_what_would_go(system: System, team: str | None = None) -> Iterator[WouldGo]:
    """What the rules of every team, or of one, would remove now. Nothing is removed.

    Raises:
        UnknownTeam: there is no such team.
    """
    if team is not None:
        require_team(system, team)
    with transaction(system.engine) as connection:
        rules = select_rules(connection, team)
    for rule in rules:
        yield _would_go(system, rule)


def _would_go(system: System, rule: Rule) -> WouldGo:
    with transaction(system.engine) as connection:
        found = count_outlived(connection, rule, _EXAMPLES)
        of_frame = bytes_of_frame(connection) if found.frames else None
    size_bytes, estimated = found.size_bytes, False
    if rule.kind is Kind.EXPORTS and found.number:
        size_bytes, estimated = _size_of_exports(system, rule, found.number)
    elif found.frames and of_frame is not None:
        size_bytes, estimated = int(found.frames * of_frame), True
    return WouldGo(rule, found.number, size_bytes, estimated, found.frames, found.oldest, tuple(found.examples))


def _size_of_exports(system: System, rule: Rule, number: int) -> tuple[int, bool]:
    with transaction(system.engine) as connection:
        ids = select_outlived(connection, rule, _SIZES_ASKED)
    total = 0
    for run_id in ids:
        try:
            total += system.store.head(export_key(run_id)).size_bytes
        except ObjectMissing:
            continue
    return (total * number // max(len(ids), 1), number > len(ids))
