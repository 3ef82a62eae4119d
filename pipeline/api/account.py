"""What people change about their own account."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Request, status
from pydantic import BaseModel, Field

from pipeline.api.access import AccountOf, SystemOf, allow_accounts, confirmation_cookie, session_cookie
from pipeline.api.body import Body
from pipeline.api.session import address_of
from pipeline.db.accounts import AccountRow
from pipeline.services.accounts.own_account import (
    Shown,
    change_email,
    change_password,
    end_session,
    has_confirmed,
    has_password,
    list_sessions,
    needs,
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
    """One's own account; `provider` where it is connected with the one that is set.

    `needs` is what shows that a change of address or password is the owner's; `confirmed` that the provider was asked a
    moment ago.
    """

    email: str
    name: str
    operator: bool
    has_password: bool
    provider: ProviderOut | None
    needs: Literal["password", "provider", "nothing"]
    confirmed: bool


class AccountChange(Body):
    """What to change; what is not named stays.

    Another address needs the `password`, or, without one, to be confirmed with the provider.
    """

    name: str | None = None
    email: Annotated[str | None, Field(examples=["anna@example.org"])] = None
    password: str = ""


class PasswordChange(Body):
    """A new password, and the one so far; where a provider alone signs in, that is to be confirmed with it.

    With `disconnect` only the new password signs in from then on.
    """

    current: str = ""
    new: str
    disconnect: bool = False


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
def get_account(system: SystemOf, request: Request, account: AccountOf) -> AccountOut:
    """One's own account."""
    return _out(system, request, account)


@router.patch("/account", **allow_accounts())
def patch_account(system: SystemOf, request: Request, account: AccountOf, given: AccountChange) -> AccountOut:
    """Change one's own name or e-mail address."""
    if given.email is not None:
        change_email(system, account, given.email, _shown(request, given.password))
    if given.name is not None:
        rename(system, account, given.name)
    return _out(system, request, reread(system, account))


@router.post("/account/password", status_code=status.HTTP_204_NO_CONTENT, **allow_accounts())
def post_password(system: SystemOf, request: Request, account: AccountOf, given: PasswordChange) -> None:
    """Change one's own password. Every other session ends, and one-time links to the account."""
    token = request.cookies.get(session_cookie(request), "")
    shown = _shown(request, given.current)
    change_password(system, account, given.new, shown, token=token, disconnects=given.disconnect)


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


def _shown(request: Request, password: str) -> Shown:
    return Shown(password, request.cookies.get(confirmation_cookie(request), ""), address_of(request))


def _out(system: System, request: Request, account: AccountRow) -> AccountOut:
    connected = connected_with(system, account)
    return AccountOut(
        email=account.email,
        name=account.name,
        operator=account.operator,
        has_password=has_password(system, account),
        provider=None if connected is None else ProviderOut.model_validate(connected, from_attributes=True),
        needs=needs(system, account),
        confirmed=has_confirmed(system, account, request.cookies.get(confirmation_cookie(request), "")),
    )
