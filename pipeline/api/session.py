"""Sign in, sign out, and who is signed in."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from fastapi import APIRouter, Request, Response, status
from pydantic import BaseModel

from pipeline.api.access import CallerOf, SystemOf, allow_public, session_cookie
from pipeline.api.body import Body
from pipeline.core.roles import Role
from pipeline.services.accounts.callers import SESSION_S, Caller, caller_of_session
from pipeline.services.accounts.sign_in import sign_in, sign_out
from pipeline.services.oidc.config import provider_name
from pipeline.services.system import System

router = APIRouter(tags=["session"])


class SignIn(Body):
    """What somebody signs in with."""

    email: str
    password: str


class MyTeam(BaseModel):
    """A team of the caller, and its role there."""

    id: UUID
    name: str
    role: Role


class Shared(BaseModel):
    """The video that a share's link opened in this browser."""

    team_id: UUID
    team: str
    video_id: UUID
    video: str


class Me(BaseModel):
    """Who the caller is.

    `email` is empty where a key or nobody calls. `provider` names what people can also sign in
    with.
    """

    kind: Literal["nobody", "account", "key"]
    email: str
    name: str
    operator: bool
    teams: list[MyTeam]
    shared: Shared | None
    provider: str | None


@router.get("/health", **allow_public())
def get_health() -> dict[str, str]:
    """Whether this process answers; of its servers it says nothing."""
    return {"status": "ok"}


@router.post("/session", **allow_public())
def post_session(system: SystemOf, request: Request, response: Response, given: SignIn) -> Me:
    """Sign in. The answer sets the session's cookie."""
    _, token = sign_in(
        system,
        given.email,
        given.password,
        address=address_of(request),
        client=client_of(request),
    )
    if before := request.cookies.get(session_cookie(request)):
        sign_out(system, before)
    keep_session(request, response, token)
    return me(system, caller_of_session(system, token))


@router.get("/session", **allow_public())
def get_session(system: SystemOf, caller: CallerOf) -> Me:
    """Who is signed in, also where nobody is."""
    return me(system, caller)


@router.delete("/session", status_code=status.HTTP_204_NO_CONTENT, **allow_public())
def delete_session(system: SystemOf, request: Request, response: Response) -> None:
    """Sign out."""
    if token := request.cookies.get(session_cookie(request)):
        sign_out(system, token)
    response.delete_cookie(session_cookie(request), secure=request.url.scheme == "https", httponly=True)


def address_of(request: Request) -> str:
    """The network address that a request comes from."""
    return request.client.host if request.client else ""


def client_of(request: Request) -> str:
    """What a browser calls itself."""
    return request.headers.get("user-agent", "")


def keep_session(
    request: Request, response: Response, token: str, cookie: str | None = None, keep_s: float = SESSION_S
) -> None:
    """Give the browser its session."""
    response.set_cookie(
        cookie or session_cookie(request),
        token,
        max_age=int(keep_s),
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )


def me(system: System, caller: Caller) -> Me:
    """The caller as JSON fields."""
    who = caller.account
    return Me(
        kind="account" if who is not None else "key" if caller.known else "nobody",
        email="" if who is None else who.email,
        name=who.name if who is not None else caller.name if caller.known else "",
        operator=who is not None and who.operator,
        teams=[MyTeam(id=team.id, name=team.name, role=team.role) for team in caller.teams],
        shared=None if caller.shared is None else Shared.model_validate(caller.shared, from_attributes=True),
        provider=provider_name(system.settings),
    )
