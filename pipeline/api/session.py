"""Sign in, sign out, and who is signed in."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Request, Response, status
from pydantic import BaseModel

from pipeline.api.access import CallerOf, SystemOf, allow_known, allow_public, session_cookie
from pipeline.core.roles import Role
from pipeline.services.accounts.callers import SESSION_S, Caller
from pipeline.services.accounts.sign_in import sign_in, sign_out

router = APIRouter(tags=["session"])


class SignIn(BaseModel):
    """What somebody signs in with."""

    email: str
    password: str


class MyTeam(BaseModel):
    """A team of the caller, and its role there."""

    id: UUID
    name: str
    role: Role


class Me(BaseModel):
    """Who the caller is.

    `email` is empty where a key calls.
    """

    email: str
    name: str
    operator: bool
    teams: list[MyTeam]


@router.get("/health", **allow_public())
def get_health() -> dict[str, str]:
    """Whether this process answers; of its servers it says nothing."""
    return {"status": "ok"}


@router.post("/session", **allow_public())
def post_session(system: SystemOf, request: Request, response: Response, given: SignIn) -> Me:
    """Sign in. The answer sets the session's cookie."""
    account, token = sign_in(
        system,
        given.email,
        given.password,
        address=request.client.host if request.client else "",
        client=request.headers.get("user-agent", ""),
    )
    keep_session(request, response, token)
    return Me(email=account.email, name=account.name, operator=account.operator, teams=[])


@router.get("/session", **allow_known())
def get_session(caller: CallerOf) -> Me:
    """Who is signed in."""
    return me(caller)


@router.delete("/session", status_code=status.HTTP_204_NO_CONTENT, **allow_public())
def delete_session(system: SystemOf, request: Request, response: Response) -> None:
    """Sign out."""
    if token := request.cookies.get(session_cookie(request)):
        sign_out(system, token)
    response.delete_cookie(session_cookie(request), secure=request.url.scheme == "https", httponly=True)


def keep_session(request: Request, response: Response, token: str) -> None:
    """Give the browser its session."""
    response.set_cookie(
        session_cookie(request),
        token,
        max_age=int(SESSION_S),
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )


def me(caller: Caller) -> Me:
    """The caller as JSON fields."""
    teams = [MyTeam(id=team.id, name=team.name, role=team.role) for team in caller.teams]
    if caller.account is None:
        return Me(email="", name=caller.name, operator=False, teams=teams)
    account = caller.account
    return Me(email=account.email, name=account.name, operator=account.operator, teams=teams)
