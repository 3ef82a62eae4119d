"""What people change about their own account."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request, status
from pydantic import BaseModel, Field

from pipeline.api.access import AccountOf, SystemOf, allow_accounts, session_cookie
from pipeline.api.session import address_of
from pipeline.db.accounts import AccountRow
from pipeline.services.accounts.own_account import (
    change_email,
    change_password,
    end_session,
    has_password,
    list_sessions,
    rename,
    reread,
)
from pipeline.services.oidc.own_provider import connected_with
from pipeline.services.system import System

router = APIRouter(tags=["account"])


class ProviderOut(BaseModel):
    """As whom the provider signs an account in: the address that it gave last."""

    email: str | None
    connected_at: datetime


class AccountOut(BaseModel):
    """One's own account; `provider` where it is connected with the one that is set."""

    email: str
    name: str
    operator: bool
    has_password: bool
    provider: ProviderOut | None


class AccountChange(BaseModel):
    """What to change; what is not named stays. Another address needs the `password`."""

    name: str | None = None
    email: Annotated[str | None, Field(examples=["anna@example.org"])] = None
    password: str = ""


class PasswordChange(BaseModel):
    """A new password, and the one so far, where there is one."""

    current: str = ""
    new: str


class SessionOut(BaseModel):
    """A browser that is signed in; `client` is what it calls itself."""

    id: UUID
    client: str
    created_at: datetime
    seen_at: datetime
    this: bool


class Sessions(BaseModel):
    """All sessions of an account, the one used last first."""

    items: list[SessionOut]


@router.get("/account", **allow_accounts())
def get_account(system: SystemOf, account: AccountOf) -> AccountOut:
    """One's own account."""
    return _out(system, account)


@router.patch("/account", **allow_accounts())
def patch_account(system: SystemOf, request: Request, account: AccountOf, given: AccountChange) -> AccountOut:
    """Change one's own name or e-mail address."""
    if given.email is not None:
        change_email(system, account, given.email, given.password, address=address_of(request))
    if given.name is not None:
        rename(system, account, given.name)
    return _out(system, reread(system, account))


@router.post("/account/password", status_code=status.HTTP_204_NO_CONTENT, **allow_accounts())
def post_password(system: SystemOf, request: Request, account: AccountOf, given: PasswordChange) -> None:
    """Change one's own password. Every other session ends."""
    token = request.cookies.get(session_cookie(request), "")
    change_password(system, account, given.current, given.new, token=token, address=address_of(request))


@router.get("/account/sessions", **allow_accounts())
def get_sessions(system: SystemOf, request: Request, account: AccountOf) -> Sessions:
    """Where one is signed in."""
    rows = list_sessions(system, account, token=request.cookies.get(session_cookie(request), ""))
    return Sessions(
        items=[
            SessionOut(id=row.id, client=row.client, created_at=row.created_at, seen_at=row.seen_at, this=this)
            for row, this in rows
        ]
    )


@router.delete("/account/sessions/{session_id}", status_code=status.HTTP_204_NO_CONTENT, **allow_accounts())
def delete_own_session(system: SystemOf, account: AccountOf, session_id: UUID) -> None:
    """End one of one's own sessions."""
    end_session(system, account, session_id)


def _out(system: System, account: AccountRow) -> AccountOut:
    connected = connected_with(system, account)
    return AccountOut(
        email=account.email,
        name=account.name,
        operator=account.operator,
        has_password=has_password(system, account),
        provider=None if connected is None else ProviderOut.model_validate(connected, from_attributes=True),
    )
