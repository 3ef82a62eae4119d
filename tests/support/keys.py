"""Keys of teams, as their owners make them."""

from __future__ import annotations

from pipeline.core.roles import Role
from pipeline.core.tokens import new_token, token_sha256
from pipeline.services.accounts.callers import KEY_MARK
from pipeline.services.system import System
from tests.support.harness import sql
from tests.support.web import make_team


def make_key(system: System, team: str, role: Role = Role.COACH) -> str:
    """The secret of a new key of a team."""
    secret = KEY_MARK + new_token()
    sql(
        system,
        "INSERT INTO api_key (team_id, name, prefix, secret_sha256, role) "
        "VALUES (:team, 'a test', :prefix, :sha, :role)",
        team=make_team(system, team),
        prefix=secret[:12],
        sha=token_sha256(secret),
        role=str(role),
    )
    return secret
