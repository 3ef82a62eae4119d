"""Who may call which endpoint. Every endpoint says it, in its declaration and so in the OpenAPI document.

Somebody who is no member of a team gets the same answer whether it exists or not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Request
from fastapi.requests import HTTPConnection

from pipeline.core.roles import Role
from pipeline.db.accounts import AccountRow, TeamOf
from pipeline.errors import NotAllowed, NotFound, NotSignedIn
from pipeline.services.accounts.callers import Caller, caller_of_key, caller_of_session
from pipeline.services.system import System

ACCESS_FIELD = "x-access"
#: Anybody; whoever is signed in or has a key; an account that may make teams. Else a role in the team of the path.
PUBLIC, KNOWN, ACCOUNT, OPERATOR = "public", "known", "account", "operator"

_NO_TEAM = "there is no such team, or you are not in it"


def system_of(request: Request) -> System:
    """The servers that this process works with."""
    system: System = request.app.state.system
    return system


def session_cookie(request: HTTPConnection) -> str:
    """The name of the session's cookie. Browsers send `__Host-` cookies over TLS alone, and to this host alone."""
    return "__Host-poseline" if request.url.scheme in {"https", "wss"} else "poseline"


def share_cookie(request: HTTPConnection) -> str:
    """The name of the cookie of who opened a share's link; beside the other, so that nobody is signed out by a link."""
    return f"{session_cookie(request)}-share"


def confirmation_cookie(request: HTTPConnection) -> str:
    """The name of the cookie of who showed the provider a moment ago that the account is theirs."""
    return f"{session_cookie(request)}-confirmed"


def pages_address(request: Request, system: System) -> str:
    """Where browsers reach the pages, without a slash at its end: as it is set, or else as this request did."""
    return (system.settings.web_url or str(request.base_url)).rstrip("/")


def caller_of(request: HTTPConnection, system: Annotated[System, Depends(system_of)]) -> Caller:
    """Who makes this request, or opens this WebSocket."""
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and secret:
        caller = caller_of_key(system, secret.strip())
        if not caller.known:
            raise NotSignedIn("this key is not valid, or no longer; ask an owner of the team for a new one")
        return caller
    return caller_of_session(
        system, request.cookies.get(session_cookie(request)), request.cookies.get(share_cookie(request))
    )


SystemOf = Annotated[System, Depends(system_of)]
CallerOf = Annotated[Caller, Depends(caller_of)]


def allow(role: Role, *, shared: bool = False, keys: bool = True) -> dict[str, Any]:
    """Let members of the path's team call this endpoint who have this role, or one that may do more.

    Args:
        shared: whether somebody with a link to the path's video may, too.
        keys: whether keys of the role may; false for what only somebody with an account can do.
    """

    def check(request: Request, caller: CallerOf, team_id: UUID) -> None:
        request.state.team = _team_for(caller, team_id, role, request.path_params.get("video_id") if shared else None)
        if not keys:
            account_of(caller)

    return _declare(f"{role}{' or share' if shared else ''}{'' if keys else ' without keys'}", check)


def allow_public() -> dict[str, Any]:
    """Let anybody call this endpoint."""
    return _declare(PUBLIC, lambda: None)


def allow_known() -> dict[str, Any]:
    """Let every account and every key call this endpoint."""

    def check(caller: CallerOf) -> None:
        if not caller.known:
            raise NotSignedIn

    return _declare(KNOWN, check)


def allow_accounts() -> dict[str, Any]:
    """Let every account call this endpoint, but no key."""

    def check(caller: CallerOf) -> None:
        account_of(caller)

    return _declare(ACCOUNT, check)


def allow_operators() -> dict[str, Any]:
    """Let accounts call this endpoint that may make teams."""

    def check(caller: CallerOf) -> None:
        if not account_of(caller).operator:
            raise NotAllowed("only an operator may do this; `poseline accounts` lists them")

    return _declare(OPERATOR, check)


def account_of(caller: CallerOf) -> AccountRow:
    """The account of the caller.

    Raises:
        NotSignedIn: it has none.
        NotAllowed: it is a key.
    """
    if caller.account is None:
        raise NotAllowed("a key may not do this; sign in") if caller.key is not None else NotSignedIn
    return caller.account


def team_of(request: Request) -> TeamOf:
    """The team of the path, whose member the caller is."""
    team: TeamOf | None = getattr(request.state, "team", None)
    if team is None:  # its id could not be read, so that nobody looked for it
        raise NotFound(_NO_TEAM)
    return team


#: The team of the path and the caller's account; of an endpoint that `allow` or `allow_accounts` declares.
TeamOfPath = Annotated[TeamOf, Depends(team_of)]
AccountOf = Annotated[AccountRow, Depends(account_of)]


def still_allowed(request: Request, system: System, team_id: UUID, role: Role) -> bool:
    """Whether who made a request that is still being answered has this role in the team now."""
    try:
        require_role(caller_of(request, system), team_id, role)
    except (NotSignedIn, NotAllowed, NotFound):
        return False
    return True


def require_role(caller: Caller, team_id: UUID, role: Role) -> TeamOf:
    """The team, if the caller has this role there, or one that may do more.

    Raises:
        NotSignedIn: it is not known who calls.
        NotAllowed: the role is not enough.
        NotFound: there is no such team, or it is not one of the caller's.
    """
    return _team_for(caller, team_id, role, None)


def _team_for(caller: Caller, team_id: UUID, role: Role, shared_video: str | None) -> TeamOf:
    team = caller.team(team_id)
    if team is not None:
        if not team.role.includes(role):
            raise NotAllowed
        return team
    shared = caller.shared
    if shared is not None and shared.team_id == team_id and shared_video == str(shared.video_id):
        return TeamOf(shared.team_id, shared.team, Role.VIEWER)
    if not caller.known and shared is None:
        raise NotSignedIn
    raise NotFound(_NO_TEAM)


def _declare(access: str, check: Callable[..., None]) -> dict[str, Any]:
    return {"dependencies": [Depends(check)], "openapi_extra": {ACCESS_FIELD: access}}
