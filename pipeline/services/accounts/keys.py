"""Keys with which programs sign in to one team."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from uuid import UUID

from pipeline.core.audit import Action
from pipeline.core.roles import Role
from pipeline.core.tokens import new_token, token_sha256
from pipeline.db.api_keys import ApiKey, insert_key, revoke_key, select_keys
from pipeline.db.engine import transaction
from pipeline.errors import NotFound, UsageError
from pipeline.services.accounts.audit import note
from pipeline.services.accounts.callers import KEY_MARK, Caller
from pipeline.services.accounts.names import check_name
from pipeline.services.system import System

_DAY_S = 86_400.0
_PREFIX_BYTES = 4


def make_key(
    system: System, caller: Caller | None, team_id: UUID, *, name: str, role: Role, expires_in_days: int | None
) -> tuple[ApiKey, str]:
    """Make a key. Returns it, and its secret, which is shown this once.

    Args:
        caller: who makes it; None for who has the command line.

    Raises:
        UsageError: the name is not fit, or the role is one that keys cannot have.
    """
    name = check_name(name)
    if role is Role.OWNER:
        raise UsageError("a key cannot be an owner: make it a coach's or a viewer's")
    prefix = f"{KEY_MARK}{secrets.token_hex(_PREFIX_BYTES)}"
    secret = f"{prefix}_{new_token()}"
    with transaction(system.engine) as connection:
        made = insert_key(
            connection,
            team_id,
            name=name,
            prefix=prefix,
            sha256=token_sha256(secret),
            role=role,
            created_by=None if caller is None or caller.account is None else caller.account.id,
            expires_in_s=None if expires_in_days is None else expires_in_days * _DAY_S,
        )
        note(connection, caller, Action.KEY_MADE, team_id=team_id, subject=name, prefix=prefix, role=str(role))
    return made, secret


def list_keys(system: System, team_id: UUID) -> Sequence[ApiKey]:
    """The keys of a team that were not revoked, the newest first."""
    with transaction(system.engine) as connection:
        return select_keys(connection, team_id)


def revoke(system: System, caller: Caller, team_id: UUID, key_id: UUID) -> None:
    """End a key, from the next request on.

    Raises:
        NotFound: there is no such key.
    """
    with transaction(system.engine) as connection:
        name = revoke_key(connection, team_id, key_id)
        if name is None:
            raise NotFound("there is no such key; it may have been revoked meanwhile")
        note(connection, caller, Action.KEY_REVOKED, team_id=team_id, subject=name)
