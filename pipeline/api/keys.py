"""Keys with which programs sign in."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, status
from pydantic import BaseModel, Field

from pipeline.api.access import CallerOf, SystemOf, TeamOfPath, allow
from pipeline.api.body import Body
from pipeline.core.roles import Role
from pipeline.db.api_keys import ApiKey
from pipeline.services.accounts.keys import list_keys, make_key, revoke

router = APIRouter(tags=["keys"])


class NewKey(Body):
    """A key to make. Without `expires_in_days` it works until it is revoked."""

    name: Annotated[str, Field(examples=["camera laptop"])]
    role: Role = Role.COACH
    expires_in_days: Annotated[int | None, Field(ge=1, le=3650)] = None


class KeyOut(BaseModel):
    """A key, without its secret. `last_used_at` is exact to the minute."""

    id: UUID
    name: str
    prefix: str
    role: Role
    created_by: str | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class KeyMade(KeyOut):
    """A new key with its secret, which is shown this once."""

    key: str


class Keys(BaseModel):
    """All keys of a team that were not revoked, the newest first."""

    items: list[KeyOut]


@router.get("/teams/{team_id}/keys", **allow(Role.OWNER))
def get_keys(system: SystemOf, team: TeamOfPath) -> Keys:
    """The team's keys."""
    return Keys(items=[KeyOut(**_fields(key)) for key in list_keys(system, team.id)])


@router.post("/teams/{team_id}/keys", status_code=status.HTTP_201_CREATED, **allow(Role.OWNER))
def post_key(system: SystemOf, caller: CallerOf, team: TeamOfPath, given: NewKey) -> KeyMade:
    """Make a key."""
    key, secret = make_key(
        system, caller, team.id, name=given.name, role=given.role, expires_in_days=given.expires_in_days
    )
    return KeyMade(key=secret, **_fields(key))


@router.delete("/teams/{team_id}/keys/{key_id}", status_code=status.HTTP_204_NO_CONTENT, **allow(Role.OWNER))
def delete_key(system: SystemOf, caller: CallerOf, team: TeamOfPath, key_id: UUID) -> None:
    """Revoke a key, from the next request on."""
    revoke(system, caller, team.id, key_id)


def _fields(key: ApiKey) -> dict[str, Any]:
    return {name: getattr(key, name) for name in KeyOut.model_fields}
