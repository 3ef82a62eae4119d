"""One-time links: what each is for, and using it."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from pipeline.api.access import CallerOf, SystemOf, allow_public, session_cookie
from pipeline.api.body import Body
from pipeline.api.session import Me, address_of, client_of, keep_session, me
from pipeline.core.link_kind import LinkKind
from pipeline.core.roles import Role
from pipeline.services.accounts.callers import caller_of_session
from pipeline.services.accounts.sign_in import begin_session, sign_out
from pipeline.services.accounts.use_link import Given, follow_link, look_at_link

router = APIRouter(tags=["links"])


class LinkOut(BaseModel):
    """What a one-time link is for.

    `team` and `role` are an invitation's. `name` is whose link it is that signs in or sets a password, and `email` the
    address of the same, or that an invitation was sent to.
    """

    kind: LinkKind
    team: str | None
    role: Role | None
    name: str | None
    email: str | None
    invited_by: str | None
    expires_at: datetime


class LinkUse(Body):
    """What a link asks for: a password, and for a new account a name and an e-mail address."""

    name: str = ""
    email: str = ""
    password: str = ""


@router.get("/links/{token}", **allow_public())
def get_link(system: SystemOf, token: str) -> LinkOut:
    """What a link is for. It stays unused."""
    link, account = look_at_link(system, token)
    return LinkOut(
        kind=link.kind,
        team=link.team,
        role=link.role,
        name=None if account is None else account.name,
        email=account.email if account is not None else link.email,
        invited_by=link.created_by,
        expires_at=link.expires_at,
    )


@router.post("/links/{token}", **allow_public())
def post_link(
    system: SystemOf, caller: CallerOf, request: Request, response: Response, token: str, given: LinkUse
) -> Me:
    """Use a link. It works once; the answer sets the session's cookie.

    An invitation is accepted by the account that is signed in, else by the account that has the given address and
    password, else by a new one.
    """
    filled = Given(given.name, given.email, given.password, address_of(request))
    account = follow_link(system, token, caller, filled)
    if before := request.cookies.get(session_cookie(request)):
        now = caller_of_session(system, before)
        if now.account is not None and now.account.id == account.id:
            return me(system, now)
        sign_out(system, before)
    session = begin_session(system, account, client_of(request))
    keep_session(request, response, session)
    return me(system, caller_of_session(system, session))
